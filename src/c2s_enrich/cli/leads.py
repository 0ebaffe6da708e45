"""Leads: `explain`, `leads show`, and `reconcile` for those that no webhook told us of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from c2s_enrich.cli import ending, frame
from c2s_enrich.cli.remote import Url, ask

if TYPE_CHECKING:
    from c2s_enrich.ops.explain import Explanation
    from c2s_enrich.ops.reconcile import Report

app = frame.group("What is known of a lead, and all that happened to it.")


def explain(
    what: frame.What,
    history: Annotated[bool, typer.Option("--history", help="All that happened to it.")] = False,
    lang: Annotated[Literal["en", "pt"], typer.Option(help="language of the sentences")] = "en",
    as_json: frame.AsJson = False,
    url: Url = None,
) -> None:
    """Why it stands where it stands, what comes next, and the command that mends it.

    Exit status: 0 all is well, 1 a person has to act, 3 not found, 75 it goes on by itself.

    c2s-enrich explain a27acb6706163126e6369bba649160ae
    """
    from urllib.parse import quote

    from c2s_enrich.ops.explain import Explainer, Explanation

    said = ask(
        url,
        f"explain/{quote(what, safe='')}",
        lambda pool: Explainer(pool).explained(what, lang, frame.operator_zone(), history=history),
        Explanation,
        query={"lang": lang, "history": str(history).lower()},
    )
    frame.print_json(said) if as_json else _print(said)
    raise typer.Exit(said.status)


@app.command("show")
def show_lead(what: frame.What, as_json: frame.AsJson = False) -> None:
    """All that happened to a lead, oldest first. Why it stands where it stands: `explain`.

    c2s-enrich leads show a27acb6706163126e6369bba649160ae
    """
    from c2s_enrich.ops.explain import Explainer

    said = frame.with_pool(
        lambda pool: Explainer(pool).explained(what, "en", frame.operator_zone(), history=True)
    )
    if not said.history:
        known = frame.visible(what)
        ending.fail(f"nothing is known of {known}: try `c2s-enrich explain`", ending.NOT_FOUND)
    if as_json:
        return frame.print_json({"lead_id": said.lead_id, "history": said.history})
    return frame.print_table(
        said.history,
        {"at": "at", "event": "event_id", "what": "what", "detail": "detail"},
        as_json=False,
        spare=("event",),
    )


def reconcile(
    since: Annotated[str, typer.Option(help="how far to look back: 90m, 24h, 7d")] = "24h",
    lead: Annotated[str | None, typer.Option(help="only this lead, whenever it changed")] = None,
    dry_run: frame.DryRun = False,
    as_json: frame.AsJson = False,
) -> None:
    """Ask C2S which leads changed and queue those that no webhook told us about. Takes 6 s for each
    50 leads.
    """
    from c2s_enrich.ops.filters import read_length

    try:
        back = read_length(since)
    except ValueError as error:
        ending.fail(f"--since {since} {error}")
    if back <= timedelta():
        ending.fail("--since is 0")
    report = _reconciled(back, lead=lead, dry_run=dry_run)
    frame.print_json(report) if as_json else _tell(report, one=lead is not None)


def restored(
    since: Annotated[str, typer.Option(help="to when, with its offset: 2026-03-01T10:00-03:00")],
) -> None:
    """Say that the database was restored. What waits, and what is composed for leads from before,
    is looked up in C2S before it is sent; then reconciles from that time on.
    """
    try:
        moment = datetime.fromisoformat(since)
        back = datetime.now(UTC) - moment
    except (ValueError, TypeError):
        ending.fail(
            f"--since {since} is not a time with its offset, such as 2026-03-01T10:00-03:00"
        )
    if back <= timedelta():
        ending.fail("--since is not in the past")
    _tell(_reconciled(back, restored_to=moment), one=False)


def _reconciled(
    back: timedelta,
    *,
    lead: str | None = None,
    dry_run: bool = False,
    restored_to: datetime | None = None,
) -> Report:
    from c2s_enrich.enrichment.history import DatabaseHistory
    from c2s_enrich.ops.reconcile import one_lead
    from c2s_enrich.ops.reconcile import reconcile as reconcile_with

    settings = ending.load_settings("poller")

    async def asked(upstreams: frame.Upstreams, pool: frame.Pool) -> Report:
        history, c2s = DatabaseHistory(pool), upstreams.c2s
        await history.check_key(settings.hash_keys)
        if restored_to:
            marked = await history.restored(restored_to)
            ending.note(
                f"waiting messages that are looked up in C2S before they are sent: {marked}"
            )
        listed = c2s.leads_updated_since if lead is None else one_lead(c2s.lead_json, lead)
        return await reconcile_with(pool, listed, settings.hash_keys, back, dry_run)

    return frame.with_upstreams(settings, asked)


def _tell(report: Report, *, one: bool) -> None:
    for missing in report.missing:
        at = frame.when(missing.updated_at)
        typer.echo(f"missing: lead {frame.visible(missing.lead_id)}, changed at {at}")
    changed = "leads" if one else f"leads changed since {frame.when(report.since)}"
    ending.note(
        f"{report.looked_at} {changed}: {report.known} known, {report.unchanged} with nothing new, "
        f"{report.erased} erased, {report.unreadable} unreadable, {len(report.missing)} missing; "
        f"{report.inserted} put into the queue"
    )


def _print(said: Explanation) -> None:
    event = f"  event {said.event_id}" if said.event_id else ""
    typer.echo(f"Lead {frame.visible(said.lead_id or '?')}{event}\n")
    for sentence in (said.summary, *said.because, *filter(None, [said.next])):
        typer.echo(f"  {sentence}")
    if said.history:
        typer.echo()
    for each in said.history:
        typer.echo(f"  {frame.when(each.at)}  {each.what}  {frame.visible(each.detail)}".rstrip())
    if said.actions:
        typer.echo()
    for action in said.actions:
        cost = [f"up to {action.paid_calls} paid calls"] if action.paid_calls else []
        cost += [f"{action.sends} message at most, never twice"] if action.sends else []
        price = f"  ({', '.join(cost)})" if cost else ""
        typer.echo(f"  {action.why}:  {action.command}{price}")
    ending.note(f"Times are {frame.operator_zone()}.")
