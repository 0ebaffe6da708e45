"""Failures: as problem+json (RFC 9457), which never quotes the request, and counted for /health."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from c2s_enrich.clock import Clock

# For answers given before the body was read to its end: what still arrives must not be taken for
# the next request.
CLOSE = {"connection": "close"}
_ANSWERED_503 = (
    "{count} requests were answered 503 within {within:.0f} s, the last one {ago:.0f} s ago: {why}."
)


class HttpProblem(Response):
    """`reason` is a word for programs and the log, `detail` a sentence. Below 500 the fault is the
    sender's.
    """

    media_type = "application/problem+json"

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.reason = reason
        document = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "reason": reason,
            "detail": detail,
            "fault": "sender" if status < 500 else "service",
            **more,
        }
        super().__init__(msgspec.json.encode(document), status, headers)


@dataclass
class _Run:
    """What failed for one reason without a success in between; times by the clock."""

    sentence: str
    fresh: float
    first: float
    last: float = 0.0
    count: int = 0
    why: str = ""


class Faults:
    """What went wrong here lately, by reason, in this process's memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: dict[str, _Run] = {}

    def add(
        self,
        reason: str,
        why: str = "",
        count: int = 1,
        sentence: str = _ANSWERED_503,
        fresh: float = 600.0,
    ) -> None:
        """`sentence` tells of `count`, `why`, and the seconds `within` and `ago`. `fresh` seconds
        after the last one it has passed, or nobody delivers. `why` holds nothing that a sender
        wrote.
        """
        now = self._clock.boottime()
        run = self._runs.get(reason)
        if run is None or now - run.last > fresh:
            run = self._runs[reason] = _Run(sentence, fresh, first=now)
        run.count, run.last, run.why = run.count + count, now, why

    def end(self, reason: str) -> None:
        self._runs.pop(reason, None)

    def sentences(self) -> list[str]:
        now = self._clock.boottime()
        return [
            run.sentence.format(
                count=run.count, why=run.why, within=now - run.first, ago=now - run.last
            )
            for run in self._runs.values()
            if now - run.last <= run.fresh
        ]
