"""What the data-protection law asks for. Personal data comes on stdin: no shell remembers it."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from c2s_enrich.cli import ending, frame

if TYPE_CHECKING:
    from c2s_enrich.hashing import HashKeys
    from c2s_enrich.people.contact import Email, Phone
    from c2s_enrich.people.cpf import Cpf
    from c2s_enrich.privacy.erase import ErasurePlan, ErasureReceipt

T = TypeVar("T")

app = frame.group("Opposition, access and where personal data is (LGPD).")


def erase(
    lead: Annotated[str | None, typer.Option(help="C2S's id of the lead")] = None,
    cpf_stdin: Annotated[
        bool,
        typer.Option(
            "--cpf-stdin",
            help="Read the person's CPF from standard input; below it contacts to follow although "
            "they lead to others too, one a line.",
        ),
    ] = False,
    again: Annotated[
        Path | None,
        typer.Option(help="After a restore: a file with the erased lines of earlier erasures."),
    ] = None,
    dry_run: frame.DryRun = False,
    yes: frame.Yes = False,
) -> None:
    """Remove a lead, or a person with all their leads, from every table (LGPD). Cannot be undone.

    Prints a receipt that names nobody, and keyed hashes to keep outside the database: after a
    restore, --again erases them again.
    """
    from c2s_enrich.privacy.erase import erase as erase_from
    from c2s_enrich.privacy.erase import erase_again, plan_erasure

    if [lead is not None, cpf_stdin, again is not None].count(True) != 1:
        ending.fail(
            "say who: --lead ID, --again FILE, or --cpf-stdin and the CPF on standard input"
        )
    keys = ending.load_settings("migrate").hash_keys
    if again is not None:
        text = ending.guarded(lambda: again.read_text("utf-8", "replace"))
        hashes = re.findall(r"\b[0-9a-f]{8}:[0-9a-f]{64}\b", text)
        if not hashes:
            ending.fail(f"{again} holds no erased line")
        if strange := {each[:8] for each in hashes} - set(keys.ids):
            made = ", ".join(sorted(strange))
            ending.fail(f"{made}: the key of these lines is neither HASH_KEY nor HASH_KEY_PREVIOUS")
        receipts = _with_keys(lambda pool, keys: erase_again(pool, keys, hashes))
        ending.note(f"{len(receipts)} of {len(hashes)} were stored again and are erased")
        for receipt in receipts:
            _print_receipt(receipt, keys)
        return
    cpf, follow = _person() if cpf_stdin else (None, [])

    def with_whom(act: Callable[..., Awaitable[T]]) -> T:
        return frame.with_pool(lambda pool: act(pool, lead_id=lead, cpf=cpf, follow=follow))

    _print_plan(with_whom(plan_erasure))
    if not dry_run:
        frame.confirm("erase", yes)
        _print_receipt(with_whom(erase_from), keys)


@app.command()
def suppress(yes: frame.Yes = False) -> None:
    """Do not process a person again: a CPF, phone or e-mail from standard input. Their events end
    ignored, before anything is looked up or paid for.
    """
    from c2s_enrich.people.cpf import Cpf
    from c2s_enrich.privacy import suppress

    subject = _subject()
    if not isinstance(subject, Cpf):
        others = _with_keys(lambda pool, _: suppress.sharing(pool, subject))
        if others > 1:
            ending.note(f"This contact leads to {others} people: it would process none of them.")
            frame.confirm("suppress", yes)
    added = _with_keys(lambda pool, keys: suppress.suppress(pool, keys, subject))
    ending.note("suppressed" if added else "was suppressed already")


@app.command()
def unsuppress() -> None:
    """Process a person again: the CPF, phone or e-mail from standard input."""
    from c2s_enrich.privacy import suppress

    subject = _subject()
    if not _with_keys(lambda pool, keys: suppress.unsuppress(pool, keys, subject)):
        ending.fail("that is not on the list", ending.NOT_FOUND)
    ending.note("no longer suppressed")


@app.command("list")
def suppressions(as_json: frame.AsJson = False) -> None:
    """Who must not be processed: keyed hashes, which name nobody."""
    from c2s_enrich.privacy.suppress import suppressed

    frame.print_table(
        frame.with_pool(lambda pool: suppressed(pool)),
        {"since": "created_at", "kind": "kind", "hash": "hash"},
        as_json=as_json,
        empty="Nobody is suppressed.",
    )


@app.command()
def export() -> None:
    """What is held on a person, as JSON, for the person; their CPF from standard input."""
    from c2s_enrich.privacy.erase import export as held_on

    cpf, _ = _person()
    frame.print_json(frame.with_pool(lambda pool: held_on(pool, cpf)))


@app.command()
def places(as_json: frame.AsJson = False) -> None:
    """Every place where personal data can be, and what an erasure does there."""
    from c2s_enrich.privacy.places import PLACES

    frame.print_table(
        PLACES,
        {
            "place": lambda row: f"{row.table}.{row.column}",
            "erasure": "erasure",
            "holds": "holds",
        },
        as_json=as_json,
    )


def _person() -> tuple[Cpf, list[str]]:
    """The CPF of the first line, and the contacts below it in canonical form."""
    from c2s_enrich.people.cpf import Cpf
    from c2s_enrich.privacy.suppress import kind_and_text, read_subject

    first, *rest = sys.stdin.read().splitlines() or [""]
    cpf = Cpf.parse(first.strip())
    if cpf is None:
        ending.fail("standard input did not contain a valid CPF")
    contacts = [read_subject(line) for line in rest if line.strip()]
    if any(each is None or isinstance(each, Cpf) for each in contacts):
        ending.fail("below the CPF there may only be phones and e-mails, one a line")
    return cpf, [kind_and_text(each)[1] for each in contacts if each]


def _subject() -> Cpf | Phone | Email:
    from c2s_enrich.privacy.suppress import read_subject

    subject = read_subject(sys.stdin.readline())
    if subject is None:
        ending.fail("standard input did not contain a valid CPF, phone or e-mail")
    if not sys.stdin.isatty() and sys.stdin.read().strip():
        ending.fail("standard input holds more than one line: nothing was done, give one at a time")
    return subject


def _with_keys(ask: Callable[[frame.Pool, HashKeys], Awaitable[T]]) -> T:
    """What `ask` answers with the database and the key of its hashes; another key is refused."""
    from c2s_enrich.enrichment.history import DatabaseHistory

    keys = ending.load_settings("migrate").hash_keys
    if not keys.ids:
        ending.fail("HASH_KEY is not set: the hashes are made with it")

    async def asked(pool: frame.Pool) -> T:
        await DatabaseHistory(pool).check_key(keys)
        return await ask(pool, keys)

    return frame.with_pool(asked)


def _print_plan(plan: ErasurePlan) -> None:
    ending.note(f"By the id or the CPF itself: {_some(plan.named)}")
    for one in plan.by_contact:
        why = "" if one.followed else "; others share it: not followed unless named below the CPF"
        ending.note(f"{frame.visible(one.contact)} reaches {_some(one.lead_ids)}{why}")
    rows = ", ".join(f"{table} {count}" for table, count in plan.counts.items() if count)
    ending.note(f"To erase: {_some(plan.lead_ids)}. Rows removed or emptied: {rows or 'none'}.")


def _some(lead_ids: Sequence[str]) -> str:
    shown = ", ".join(map(frame.visible, lead_ids[:20])) or "none"
    more = f" and {len(lead_ids) - 20} more" if len(lead_ids) > 20 else ""
    return f"{len(lead_ids)} lead{'' if len(lead_ids) == 1 else 's'} ({shown}{more})"


def _print_receipt(receipt: ErasureReceipt, keys: HashKeys) -> None:
    by = f"asked for by {receipt.asked_by}"
    typer.echo(f"receipt {receipt.id}  erased at {frame.when(receipt.erased_at)}  {by}")
    for table, count in receipt.counts.items():
        typer.echo(f"  {table}  {count}")
    if not keys.ids:
        return ending.note("HASH_KEY is not set: nothing to keep for erase --again.")
    for subject in receipt.subjects:
        typer.echo(f"erased {keys.hashes('erased', subject)[0]}")
    return ending.note(
        "Keep the erased lines outside the database: after a restore, erase --again FILE."
    )
