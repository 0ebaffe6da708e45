"""Leads: `explain`, `leads show`, and `reconcile` for those that no webhook told us of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from typer import Exit, Option, echo

from c2s_enrich.cli import frame
from c2s_enrich.cli.ending import NOT_FOUND, fail, load_settings, note
from c2s_enrich.cli.lazy import database, enrichment, ops, wiring
from c2s_enrich.cli.printing import operator_zone, print_json, print_table, visible, when

app = frame.group("What is known of a lead, and all that happened to it.")


def explain(
    what: frame.What,
    history: Annotated[bool, Option("--history", help="All that happened to it.")] = False,
    lang: Annotated[Literal["en", "pt"], Option(help="language of the sentences")] = "en",
    as_json: frame.AsJson = False,
    url: frame.Url = None,
) -> None:
    """Why it stands where it stands, what comes next, and the command that mends it.

    Exit status: 0 all is well, 1 a person has to act, 3 not found, 75 it goes on by itself.

    c2s-enrich explain a27acb6706163126e6369bba649160ae
    """
    said = _explained(what, lang, history=history, url=url)
    print_json(said) if as_json else _print(said)
    raise Exit(said.status)


@app.command("show")
def show_lead(what: frame.What, as_json: frame.AsJson = False) -> None:
    """All that happened to a lead, oldest first. Why it stands where it stands: `explain`.

    c2s-enrich leads show a27acb6706163126e6369bba649160ae
    """
    said = _explained(what)
    if not said.history:
        fail(f"nothing is known of {visible(what)}: try `c2s-enrich explain`", NOT_FOUND)
    if as_json:
        return print_json({"lead_id": said.lead_id, "history": said.history})
    columns = {"at": "at", "event": "event_id", "what": "what", "detail": "detail"}
    return print_table(said.history, columns, spare=("event",))


def _explained(
    what: str, lang: Literal["en", "pt"] = "en", *, history: bool = True, url: str | None = None
) -> ops.explain.Explanation:
    from urllib.parse import quote

    explained = ops.explain.explained
    return frame.ask(
        url,
        f"explain/{quote(what, safe='')}",
        lambda pool: explained(pool, what, lang, operator_zone(), history=history),
        ops.explain.Explanation,
        query={"lang": lang, "history": str(history).lower()},
    )


def _print(said: ops.explain.Explanation) -> None:
    event = f"  event {said.event_id}" if said.event_id else ""
    echo(f"Lead {visible(said.lead_id or '?')}{event}\n")
    for sentence in (said.summary, *said.because, *filter(None, [said.next])):
        echo(f"  {sentence}")
    if said.history:
        echo()
    for each in said.history:
        echo(f"  {when(each.at)}  {each.what}  {visible(each.detail)}".rstrip())
    if said.actions:
        echo()
    for action in said.actions:
        cost = [f"up to {action.paid_calls} paid calls"] if action.paid_calls else []
        cost += [f"{action.sends} message at most, never twice"] if action.sends else []
        price = f"  ({', '.join(cost)})" if cost else ""
        echo(f"  {action.why}:  {action.command}{price}")
    note(f"Times are {operator_zone()}.")


def reconcile(
    since: Annotated[str, Option(help="how far to look back: 90m, 24h, 7d")] = "24h",
    lead: Annotated[str | None, Option(help="only this lead, whenever it changed")] = None,
    dry_run: frame.DryRun = False,
    as_json: frame.AsJson = False,
) -> None:
    """Ask C2S which leads changed and queue those that no webhook told us about. Takes 6 s for each
    50 leads.
    """
    try:
        back = ops.filters.read_length(since)
    except ValueError as error:
        fail(f"--since {since} {error}")
    if back <= timedelta():
        fail("--since is 0")
    report = _reconciled(back, lead=lead, dry_run=dry_run)
    print_json(report) if as_json else _tell(report, one=lead is not None)


def restored(
    since: Annotated[str, Option(help="to when, with its offset: 2026-03-01T10:00-03:00")],
) -> None:
    """Say that the database was restored. What waits, and what is composed for leads from before,
    is looked up in C2S before it is sent; then reconciles from that time on.
    """
    try:
        moment = datetime.fromisoformat(since)
        back = datetime.now(UTC) - moment
    except (ValueError, TypeError):
        fail(f"--since {since} is not a time with its offset, such as 2026-03-01T10:00-03:00")
    if back <= timedelta():
        fail("--since is not in the past")
    _tell(_reconciled(back, restored_to=moment), one=False)


def _reconciled(
    back: timedelta,
    *,
    lead: str | None = None,
    dry_run: bool = False,
    restored_to: datetime | None = None,
) -> ops.reconcile.Report:
    settings = load_settings("poller")

    async def asked(services: wiring.Upstreams, pool: database.Pool) -> ops.reconcile.Report:
        history, c2s = enrichment.history.DatabaseHistory(pool), services.c2s
        await history.check_key(settings.hash_keys)
        if restored_to:
            marked = await history.restored(restored_to)
            note(f"waiting messages that are looked up in C2S before they are sent: {marked}")
        one_lead, reconcile = ops.reconcile.one_lead, ops.reconcile.reconcile
        listed = c2s.leads_updated_since if lead is None else one_lead(c2s.lead_json, lead)
        return await reconcile(pool, listed, settings.hash_keys, back, dry_run)

    return frame.with_upstreams(settings, asked)


def _tell(report: ops.reconcile.Report, *, one: bool) -> None:
    for missing in report.missing:
        echo(f"missing: lead {visible(missing.lead_id)}, changed at {when(missing.updated_at)}")
    changed = "leads" if one else f"leads changed since {when(report.since)}"
    note(
        f"{report.looked_at} {changed}: {report.known} known, {report.unchanged} with nothing new, "
        f"{report.erased} erased, {report.unreadable} unreadable, {len(report.missing)} missing; "
        f"{report.inserted} put into the queue"
    )
