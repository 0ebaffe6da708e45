"""What happens during an attempt reaches its journal from anywhere below, without being passed
along: calls from `upstreams/http.py`, answers from `enrichment/remember.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

What = Literal["calls", "answers", "unreadable"]
Record = Callable[[What, dict[str, object]], None]

_record: ContextVar[Record | None] = ContextVar("attempt_record", default=None)


@contextmanager
def recorded_by(record: Record) -> Iterator[None]:
    """While inside, `tell_attempt` of this task and of those that it starts goes to `record`."""
    token = _record.set(record)
    try:
        yield
    finally:
        _record.reset(token)


def tell_attempt(what: What, **facts: object) -> None:
    """One call, one answer or one source's unreadable rows; words and numbers, never a contact.
    Outside an attempt nobody listens.
    """
    record = _record.get()
    if record is not None:
        record(what, facts)
