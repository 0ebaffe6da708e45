"""One delivery on its way into the database, and what became of it."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from c2s_enrich.intake.payload import ParsedDelivery, ParsedEvent, Reason, Rejection

EventVerdict = Literal["stored", "duplicate", "same_key_other_body", "not_storable"]

# What an event weighs besides its payload: the objects around it.
_OVERHEAD = 1024


class EventProblem(Struct, frozen=True):
    """Why an event is not stored as such. `index` is None where the whole body is meant."""

    index: int | None
    reason: Reason


class DeliveryReceipt(Struct, frozen=True):
    """What became of one delivery, all of it committed: received = processed + duplicates +
    rejected. An event whose key holds too many other bodies is a duplicate and a problem.
    """

    received: int
    processed: int
    duplicates: int
    rejected: int
    problems: tuple[EventProblem, ...] = ()


_ONE_STORED = DeliveryReceipt(received=1, processed=1, duplicates=0, rejected=0)


class EventRow(Struct):
    """One event. Its id is chosen once: so a repeated INSERT knows its own success."""

    event: ParsedEvent
    row_id: UUID
    request_id: str
    updated_at: datetime
    verdict: EventVerdict | None = None


class Job:
    """One delivery on its way. `committed` ends when all of it is in the database, or cannot be."""

    __slots__ = ("committed", "delivery", "origin", "reject_ids", "rows", "trouble", "weight")

    def __init__(
        self, delivery: ParsedDelivery, origin: Mapping[str, str], committed: asyncio.Future[None]
    ) -> None:
        self.delivery = delivery
        self.origin = origin
        self.committed = committed
        # What to tell where it is not committed in time.
        self.trouble = "the database did not answer in time"
        ids = _new_ids(delivery.received)
        request_id = origin.get("request_id", "")
        self.rows = [
            EventRow(event, row_id, request_id, event.updated_at)
            for event, row_id in zip(delivery.events, ids, strict=False)
        ]
        self.reject_ids = ids[len(self.rows) :]
        self.weight = (
            sum(len(event.payload) for event in delivery.events)
            + sum(len(rejection.raw) for rejection in delivery.rejections)
            + _OVERHEAD * delivery.received
        )

    def rejects(self) -> Iterable[tuple[UUID, Rejection]]:
        """What is to be kept in rejected_deliveries. Every row has its verdict."""
        yield from zip(self.reject_ids, self.delivery.rejections, strict=True)
        for row in self.rows:
            if row.verdict in ("same_key_other_body", "not_storable"):
                event = row.event
                yield row.row_id, Rejection(event.index, row.verdict, event.payload, event.lead_id)

    def receipt(self) -> DeliveryReceipt:
        """The counts. Every row has its verdict."""
        if len(self.rows) == 1 and self.rows[0].verdict == "stored" and not self.reject_ids:
            # Nearly every delivery.
            return _ONE_STORED
        counts = Counter(row.verdict for row in self.rows)
        problems = [EventProblem(each.index, each.reason) for _, each in self.rejects()]
        return DeliveryReceipt(
            received=self.delivery.received,
            processed=counts["stored"],
            duplicates=counts["duplicate"] + counts["same_key_other_body"],
            rejected=len(self.delivery.rejections) + counts["not_storable"],
            problems=tuple(sorted(problems, key=lambda problem: problem.index or 0)),
        )


def _new_ids(count: int) -> list[UUID]:
    """UUIDs of version 7: the index grows at its end, and the claim keeps arrival order."""
    milliseconds = time.time_ns() // 1_000_000 << 80
    noise = os.urandom(10 * count)
    return [
        UUID(int=milliseconds | int.from_bytes(noise[i : i + 10], "big") & _NOISE | _VERSION_7)
        for i in range(0, 10 * count, 10)
    ]


# 12 and 62 of the last 80 bits are noise; the others say "version 7" and "variant of RFC 9562".
_NOISE = 0x0FFF << 64 | (1 << 62) - 1
_VERSION_7 = 0x7 << 76 | 0b10 << 62
