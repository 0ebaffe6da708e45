"""Notices when C2S itself is being turned away: a run of refused deliveries that look like C2S, and
nothing accepted since.

C2S shows nobody a failed hook. A rotated secret that did not reach the subscription would otherwise
be a silent, growing gap.
"""

from __future__ import annotations

from datetime import timedelta

from c2s_enrich.clock import Clock

# One stray request is a scanner or a person with curl.
_RUN = 3
# C2S delivers many times an hour while people work; a run that ended this long ago has been dealt
# with or was not C2S.
_FRESH = timedelta(hours=1)
# Only the beginning of a refused body is looked at; it is dropped at once.
PEEK = 4096

_SIGNS = (
    b'"hook_action"',
    b'"attributes"',
    b'"customer"',
    b'"lead"',
    b'"internal_id"',
    b'"updated_at"',
)


def looks_like_c2s(body: bytes, user_agent: bytes) -> bool:
    """A lead-shaped beginning (two field names of a lead), or a sender that names itself."""
    agent = user_agent.lower()
    if b"contact2sale" in agent or b"c2s" in agent:
        return True
    return sum(sign in body[:PEEK] for sign in _SIGNS) >= 2


class Refusals:
    """The current run, in this process's memory: two numbers, however many requests come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._last = 0.0

    def refused(self) -> None:
        """A delivery that looks like C2S was answered 401."""
        self._count += 1
        self._last = self._clock.boottime()

    def accepted(self) -> None:
        """A delivery showed a right secret: whoever was refused, it is not all of C2S."""
        self._count = 0

    def sentence(self) -> str | None:
        """What /health should say, if anything."""
        ago = self._clock.boottime() - self._last
        if self._count < _RUN or ago > _FRESH.total_seconds():
            return None
        return (
            f"{self._count} deliveries that look like C2S were refused in a row, the last {ago:.0f} s ago:"
            " compare the webhook secret with the one in C2S's subscription"
        )
