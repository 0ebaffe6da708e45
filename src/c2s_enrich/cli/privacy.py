"""What the data-protection law asks for. Personal data comes on stdin: no shell remembers it."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from typer import Option, echo

from c2s_enrich.cli import frame
from c2s_enrich.cli.ending import NOT_FOUND, fail, guarded, load_settings, note
from c2s_enrich.cli.lazy import database, enrichment, hashing, people, privacy
from c2s_enrich.cli.printing import Column, print_json, print_table, visible, when

T = TypeVar("T")

app = frame.group("Opposition, access and where personal data is (LGPD).")


def erase(
    lead: Annotated[str | None, Option(help="C2S's id of the lead")] = None,
    cpf_stdin: Annotated[
        bool,
        Option(
            "--cpf-stdin",
            help="Read the person's CPF from standard input; below it contacts to follow although "
            "they lead to others too, one a line.",
        ),
    ] = False,
    again: Annotated[
        Path | None,
        Option(help="After a restore: a file with the erased lines of earlier erasures."),
    ] = None,
    dry_run: frame.DryRun = False,
    yes: frame.Yes = False,
) -> None:
    """Remove a lead, or a person with all their leads, from every table (LGPD). Cannot be undone.

    Prints a receipt that names nobody, and keyed hashes to keep outside the database: after a
    restore, --again erases them again.
    """
    if [lead is not None, cpf_stdin, again is not None].count(True) != 1:
        fail("say who: --lead ID, --again FILE, or --cpf-stdin and the CPF on standard input")
    keys = load_settings("migrate").hash_keys
    if again is not None:
        text = guarded(lambda: again.read_text("utf-8", "replace"))
        hashes = re.findall(r"\b[0-9a-f]{8}:[0-9a-f]{64}\b", text)
        if not hashes:
            fail(f"{again} holds no erased line")
        if strange := {each[:8] for each in hashes} - set(keys.ids):
            made = ", ".join(sorted(strange))
            fail(f"{made}: the key of these lines is neither HASH_KEY nor HASH_KEY_PREVIOUS")
        receipts = _with_keys(lambda pool, keys: privacy.erase.erase_again(pool, keys, hashes))
        note(f"{len(receipts)} of {len(hashes)} were stored again and are erased")
        for receipt in receipts:
            _print_receipt(receipt, keys)
        return
    cpf, follow = _person() if cpf_stdin else (None, [])

    def with_whom(act: Callable[..., Awaitable[T]]) -> T:
        return frame.with_pool(lambda pool: act(pool, lead_id=lead, cpf=cpf, follow=follow))

    _print_plan(with_whom(privacy.erase.plan_erasure))
    if not dry_run:
        frame.confirm("erase", yes)
        _print_receipt(with_whom(privacy.erase.erase), keys)


@app.command()
def suppress(yes: frame.Yes = False) -> None:
    """Do not process a person again: a CPF, phone or e-mail from standard input. Their events end
    ignored, before anything is looked up or paid for.
    """
    subject = _subject()
    if not isinstance(subject, people.cpf.Cpf):
        others = _with_keys(lambda pool, _: privacy.suppress.sharing(pool, subject))
        if others > 1:
            note(f"This contact leads to {others} people: it would process none of them.")
            frame.confirm("suppress", yes)
    added = _with_keys(lambda pool, keys: privacy.suppress.suppress(pool, keys, subject))
    note("suppressed" if added else "was suppressed already")


@app.command()
def unsuppress() -> None:
    """Process a person again: the CPF, phone or e-mail from standard input."""
    subject = _subject()
    if not _with_keys(lambda pool, keys: privacy.suppress.unsuppress(pool, keys, subject)):
        fail("that is not on the list", NOT_FOUND)
    note("no longer suppressed")


@app.command("list")
def list_suppressed(as_json: frame.AsJson = False) -> None:
    """Who must not be processed: keyed hashes, which name nobody."""
    rows = frame.with_pool(lambda pool: privacy.suppress.suppressed(pool))
    columns = {"since": "created_at", "kind": "kind", "hash": "hash"}
    print_table(rows, columns, as_json=as_json, empty="Nobody is suppressed.")


@app.command()
def export() -> None:
    """What is held on a person, as JSON, for the person; their CPF from standard input."""
    cpf, _ = _person()
    print_json(frame.with_pool(lambda pool: privacy.erase.export(pool, cpf)))


@app.command()
def places(as_json: frame.AsJson = False) -> None:
    """Every place where personal data can be, and what an erasure does there."""
    columns: dict[str, Column] = {
        "place": lambda row: f"{row.table}.{row.column}", "erasure": "erasure", "holds": "holds",
    }  # fmt: skip
    print_table(privacy.places.PLACES, columns, as_json=as_json)


def _person() -> tuple[people.cpf.Cpf, list[str]]:
    """The CPF of the first line, and the contacts below it in canonical form."""
    first, *rest = sys.stdin.read().splitlines() or [""]
    cpf = people.cpf.Cpf.parse(first.strip())
    if cpf is None:
        fail("standard input did not contain a valid CPF")
    contacts = [privacy.suppress.read_subject(line) for line in rest if line.strip()]
    if any(each is None or isinstance(each, people.cpf.Cpf) for each in contacts):
        fail("below the CPF there may only be phones and e-mails, one a line")
    return cpf, [privacy.suppress.kind_and_text(each)[1] for each in contacts if each]


def _subject() -> people.cpf.Cpf | people.contact.Phone | people.contact.Email:
    subject = privacy.suppress.read_subject(sys.stdin.readline())
    if subject is None:
        fail("standard input did not contain a valid CPF, phone or e-mail")
    if not sys.stdin.isatty() and sys.stdin.read().strip():
        fail("standard input holds more than one line: nothing was done, give one at a time")
    return subject


def _with_keys(ask: Callable[[database.Pool, hashing.HashKeys], Awaitable[T]]) -> T:
    """What `ask` answers with the database and the key of its hashes; another key is refused."""
    keys = load_settings("migrate").hash_keys
    if not keys.ids:
        fail("HASH_KEY is not set: the hashes are made with it")

    async def asked(pool: database.Pool) -> T:
        await enrichment.history.DatabaseHistory(pool).check_key(keys)
        return await ask(pool, keys)

    return frame.with_pool(asked)


def _print_plan(plan: privacy.erase.ErasurePlan) -> None:
    note(f"By the id or the CPF itself: {_some(plan.named)}")
    for one in plan.by_contact:
        why = "" if one.followed else "; others share it: not followed unless named below the CPF"
        note(f"{visible(one.contact)} reaches {_some(one.lead_ids)}{why}")
    rows = ", ".join(f"{table} {count}" for table, count in plan.counts.items() if count)
    note(f"To erase: {_some(plan.lead_ids)}. Rows removed or emptied: {rows or 'none'}.")


def _some(lead_ids: Sequence[str]) -> str:
    shown = ", ".join(map(visible, lead_ids[:20])) or "none"
    more = f" and {len(lead_ids) - 20} more" if len(lead_ids) > 20 else ""
    return f"{len(lead_ids)} lead{'' if len(lead_ids) == 1 else 's'} ({shown}{more})"


def _print_receipt(receipt: privacy.erase.ErasureReceipt, keys: hashing.HashKeys) -> None:
    by = f"asked for by {receipt.asked_by}"
    echo(f"receipt {receipt.id}  erased at {when(receipt.erased_at)}  {by}")
    for table, count in receipt.counts.items():
        echo(f"  {table}  {count}")
    if not keys.ids:
        return note("HASH_KEY is not set: nothing to keep for erase --again.")
    for subject in receipt.subjects:
        echo(f"erased {keys.hashes('erased', subject)[0]}")
    return note("Keep the erased lines outside the database: after a restore, erase --again FILE.")
