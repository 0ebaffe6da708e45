"""`rejects`: deliveries that could not be parsed. List, show, replay, dismiss."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from typer import Argument, Exit, Option, echo

from c2s_enrich.cli import frame
from c2s_enrich.cli.ending import NOT_DONE, NOT_FOUND, fail, load_settings, note
from c2s_enrich.cli.lazy import database, ops, wiring
from c2s_enrich.cli.printing import Column, print_table, visible, when

Reason = Annotated[str | None, Option(help="why they were rejected, for example not_json")]

app = frame.group("Deliveries we could not parse, kept as received. Inspect or replay them.")


@app.command("list")
def list_rejects(
    reason: Reason = None,
    everything: Annotated[bool, Option("--all", help="Settled ones, too.")] = False,
    limit: frame.Limit = 20,
    as_json: frame.AsJson = False,
) -> None:
    """The newest rejected deliveries, without what is in them."""
    waiting_only = not everything
    rows = frame.with_pool(
        lambda pool: _desk(pool).rejects(waiting_only=waiting_only, reason=reason, limit=limit)
    )
    columns: dict[str, Column] = {
        "received": "received_at", "delivery": "id", "reason": "reason",
        "lead": lambda line: ops.rejects.line_text(line.lead_id) or "-", "bytes": "size",
        "state": _state,
    }  # fmt: skip
    print_table(rows, columns, as_json=as_json, empty="No rejected delivery waits.")


@app.command("show")
def show_reject(
    reject_id: UUID,
    reveal: Annotated[
        bool, Option("--reveal", help="Show names, contacts and all the rest as it arrived.")
    ] = False,
) -> None:
    """One rejected delivery with its text. What may be about a person is masked."""
    line_text = ops.rejects.line_text
    reject = frame.with_pool(lambda pool: _desk(pool).reject(reject_id))
    if reject is None:
        fail(f"there is no rejected delivery {reject_id}", NOT_FOUND)
    lead = line_text(reject.lead_id) or "-"
    echo(f"{reject.id}  lead {lead}  {reject.reason}  {line_text(reject.detail)}")
    echo(f"  received {when(reject.received_at)}  {reject.size} bytes")
    echo(f"  {_state(reject)}")
    for name, value in reject.headers.items():
        echo(f"  {line_text(name)}: {line_text(str(value))}")
    echo(ops.rejects.body_text(reject.raw, reveal=reveal))


@app.command("replay")
def replay_rejects(
    reject_ids: Annotated[list[UUID] | None, Argument(help="rejected deliveries by id")] = None,
    reason: Reason = None,
) -> None:
    """Send their bytes through today's parser. Events are queued; what still cannot be read stays.
    Safe to repeat.

    A body whose id and updated_at are taken by another one becomes an event a microsecond later:
    both are kept and processed in order.
    """
    if bool(reject_ids) == (reason is not None):
        fail("say which rejected deliveries: ids, or --reason")

    async def replay(pool: database.Pool) -> list[UUID]:
        desk = _desk(pool)
        stay: list[UUID] = []
        chosen = reject_ids or await desk.waiting_for(str(reason))

        async def each(_: database.Pool) -> list[UUID]:
            for reject_id in chosen:
                done = await desk.replay(reject_id)
                if done is None:
                    said = "there is no such rejected delivery"
                elif done.already_at is not None:
                    said = f"was replayed already, at {when(done.already_at)}"
                else:
                    more = f" (and {len(done.flaws) - 3} more)" if len(done.flaws) > 3 else ""
                    flaws = "".join(f"; {visible(flaw)}" for flaw in done.flaws[:3]) + more
                    said = f"{done.stored} events stored, {done.known} known{flaws}"
                echo(f"{reject_id}  {said}")
                if done is None or done.flaws:
                    stay.append(reject_id)
            echo(f"{len(chosen)} checked, {len(stay)} still rejected")
            return chosen

        words = {"rejects": [str(reject_id) for reject_id in chosen[:10]]}
        await frame.audited("replay", words, each)(pool)
        return stay

    if frame.with_pool(replay):
        raise Exit(NOT_DONE)


@app.command("dismiss")
def dismiss_rejects(reject_ids: list[UUID], because: frame.Because) -> None:
    """They wait no longer: nothing in them is needed. Their bytes stay until retention.

    c2s-enrich rejects dismiss ID --because "a test of C2S"
    """
    words = {"rejects": [str(each) for each in reject_ids]}
    done = frame.with_pool(
        frame.audited("dismiss", words, lambda pool: _desk(pool).dismiss(reject_ids), because)
    )
    note(f"{len(done)} of {len(reject_ids)} dismissed.")
    if not done:
        raise Exit(NOT_FOUND)


def _state(line: ops.rejects.Reject) -> str:
    if line.replayed_at:
        return f"replayed {when(line.replayed_at)}"
    return f"dismissed {when(line.dismissed_at)}" if line.dismissed_at else "waits"


def _desk(pool: database.Pool) -> ops.rejects.RejectsDesk:
    return wiring.operators.build_rejects(load_settings("migrate"), pool)
