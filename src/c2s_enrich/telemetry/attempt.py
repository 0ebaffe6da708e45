"""What happens during an attempt reaches its journal, and every line meanwhile names the event."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Literal

What = Literal["calls", "answers", "unreadable"]
Record = Callable[[What, dict[str, object]], None]

_attempt: ContextVar[tuple[Record, Mapping[str, object]] | None] = ContextVar(
    "attempt", default=None
)


def begin_attempt(record: Record, named: Mapping[str, object]) -> None:
    """What this task and its children `tell_attempt` goes to `record`; their lines say `named`."""
    _attempt.set((record, named))


def tell_attempt(what: What, **facts: object) -> None:
    """Words and numbers, never a contact. Outside an attempt nobody listens."""
    if attempt := _attempt.get():
        attempt[0](what, facts)


def event_names() -> Mapping[str, object]:
    attempt = _attempt.get()
    return attempt[1] if attempt else {}
