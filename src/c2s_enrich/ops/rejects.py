"""Rejected deliveries: look at them, and send their bytes through today's parser again.

What is an event by now is stored as one and worked off like any other; what is not stays and says
why. Nothing is changed or deleted: neither the bytes nor the event that may hold the same key.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from c2s_enrich.connection import Connection
from c2s_enrich.database import Pool, Statements
from c2s_enrich.redaction import MASK, redact, visible

# Enough of a masked body to see what is wrong with it, little enough for the masking to be quick.
_MASKED_LENGTH = 20_000


Reader = Callable[[bytes, str | None], tuple[Sequence[Mapping[str, Any]], Sequence[str]]]
"""Intake's parser, given the bytes and the hook_action that the request named. Answers events with
lead_id, updated_at, hook_action and payload, which is their JSON as it arrived, and a sentence for
each part that cannot be read.
"""


@dataclass(frozen=True)
class Reject:
    """A rejected delivery as a list shows it; `size` in bytes, `times` counts equal ones."""

    id: UUID
    received_at: datetime
    reason: str
    detail: str | None
    lead_id: str | None
    size: int
    replayed_at: datetime | None
    times: int
    last_received_at: datetime
    dismissed_at: datetime | None

    @property
    def state(self) -> str:
        return "replayed" if self.replayed_at else "dismissed" if self.dismissed_at else "waits"


@dataclass(frozen=True)
class WholeReject(Reject):
    """With its bytes, and with what its request said."""

    raw: bytes
    headers: dict[str, Any]


@dataclass(frozen=True)
class Replay:
    """What became of a replay: new events, events known before, and why it stays."""

    id: UUID
    stored: int = 0
    known: int = 0
    flaws: tuple[str, ...] = ()
    already_at: datetime | None = None


class RejectsDesk:
    def __init__(self, pool: Pool, read: Reader) -> None:
        self._pool = pool
        self._sql = Statements(pool, "rejects")
        self._read = read

    async def rejects(
        self,
        *,
        waiting_only: bool,
        reason: str | None,
        limit: int | None,
        after: UUID | None = None,
    ) -> list[Reject]:
        """Newest first, without what is in them, from behind the one `after`; None: all."""
        words = {"waiting_only": waiting_only, "reason": reason, "limit": limit, "after": after}
        return await self._sql.read(Reject, "list_rejects", **words)

    async def waiting_for(self, reason: str) -> list[UUID]:
        """All that wait and were rejected for it, in the order in which they came."""
        found = await self.rejects(waiting_only=True, reason=reason, limit=None)
        return [line.id for line in reversed(found)]

    async def reject(self, reject_id: UUID) -> WholeReject | None:
        return await self._sql.one(WholeReject, "get_reject", id=reject_id)

    async def replay(self, reject_id: UUID) -> Replay | None:
        """Stores what is readable by now; marks it when all of it is. None: no such delivery."""
        async with self._pool.connection() as connection, connection.transaction():
            sql = Statements(connection, "rejects")
            reject = await sql.one(WholeReject, "get_reject", id=reject_id)
            if reject is None:
                return None
            if reject.replayed_at is not None:
                return Replay(reject_id, already_at=reject.replayed_at)
            if not reject.raw and reject.reason != "empty_body":
                gone = "Its bytes were removed, by age or by an erasure."
                return Replay(reject_id, flaws=(gone,))
            events, unread = self._read(reject.raw, reject.headers.get("hook_action"))
            verdicts = [await self._store(connection, event) for event in events]
            refused = [verdict for verdict in verdicts if verdict not in ("stored", "known")]
            flaws = (*unread, *refused)
            if not flaws:
                await sql.touch("mark_replayed", id=reject_id)
            return Replay(reject_id, verdicts.count("stored"), verdicts.count("known"), flaws)

    async def _store(self, connection: Connection, event: Mapping[str, Any]) -> str:
        """`stored`, `known`, or why not. Where another body holds its key, it is stored as intake
        does.
        """
        sql = Statements(connection, "rejects")
        values = {**event, "payload": Jsonb(event["payload"], bytes)}
        new = dict(values)
        try:
            # A savepoint: JSON that the database refuses must not take other events with it.
            async with connection.transaction():
                while True:
                    if await sql.touch("insert_replayed", **new):
                        return "stored"
                    rows = await sql.rows("compare_replayed", **values)
                    [(verdict, at)] = rows or [("new_body", event["updated_at"])]
                    if verdict == "same_key_other_body":
                        return "Too many other bodies hold its id and updated_at."
                    if verdict != "new_body":
                        return "known"
                    new["updated_at"] = at
        except (
            psycopg.DataError,
            psycopg.IntegrityError,
            psycopg.errors.ProgramLimitExceeded,
            psycopg.errors.StatementTooComplex,
        ):
            return "The database does not take this JSON."

    async def dismiss(self, reject_ids: Sequence[UUID]) -> list[UUID]:
        """Marks them: nothing is to be done. Returns those that were waiting until now."""
        return [each for (each,) in await self._sql.rows("dismiss_rejects", ids=list(reject_ids))]


def body_text(raw: bytes, *, reveal: bool) -> str:
    """The bytes as text that no terminal obeys. Unless revealed, only what cannot be about a person
    is left: names cannot be told from other words, so keys, ids, times, short numbers and hook
    names stay.
    """
    if reveal:
        return visible(raw.decode("utf-8", "backslashreplace"), keep="\n")
    # Without NULs: in UTF-16 they stand between a number's digits and would hide it.
    text = raw[:_MASKED_LENGTH].replace(b"\0", b"").decode("utf-8", "backslashreplace")
    left_out = len(raw) - _MASKED_LENGTH
    shown = visible(redact(_TOKEN.sub(_masked_token, text)), keep="\n")
    return shown + (f"\n… {left_out} bytes more" if left_out > 0 else "")


def line_text(text: str | None) -> str:
    """A field that a sender may have filled, as part of one line: masked, escaped and short."""
    return visible(redact(text or ""))[:100]


_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*(?:"|\\?\Z)) (?P<colon>\s*:)?
        | (?P<word>\w[\w.@%+-]*) (?P<sign>=)?""",
    re.VERBOSE | re.DOTALL,
)
_KEY = re.compile(r'"[A-Za-z_][A-Za-z0-9_.-]{0,40}"')
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,40}")
_HARMLESS = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|true|false|null|NaN"
    r"|-?[0-9]{1,7}(?:\.[0-9]{1,7})?|(?:on_|lead\.)[a-z_]{1,40}"
    r"|\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"
)


def _masked_token(token: re.Match[str]) -> str:
    string, word = token["string"], token["word"]
    if string is None:
        kept = _HARMLESS.fullmatch(word) or (token["sign"] and _PLAIN_KEY.fullmatch(word))
        return (word if kept else MASK) + (token["sign"] or "")
    if token["colon"] is not None:
        return (string if _KEY.fullmatch(string) else f'"{MASK}"') + token["colon"]
    return string if _HARMLESS.fullmatch(string.strip('"')) else f'"{MASK}"'
