"""The dial: what goes wrong, at which upstream, on which kind of call, how often. Seeded, so that a
run can be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from random import Random
from typing import Self

UPSTREAMS = ("c2s", "diretrix", "work_api", "gateway")
KINDS = (
    "slow",  # answers, `seconds` late
    "throttle",  # 429 with `retry_after`
    "error500",  # 500 (or `status`)
    "unauthorised",  # the credential is refused, in this upstream's way
    "garbage",  # 200 with a web page
    "truncated",  # 200 with half of the JSON
    "double",  # answers, and then the same answer once more
    "hang",  # takes nothing, answers nothing, closes after `seconds`
    "reset",  # takes nothing, cuts the connection in the middle of an answer
    "accept_then_lose",  # does it, then cuts the connection after `seconds` without an answer
)


@dataclass
class Fault:
    """One setting of the dial.

    `call` limits it to one kind of call ("message", "lead", "phone", "email", "record" …), `only`
    to calls whose subject (contact, CPF, lead id) contains it. `count` is how many times it happens
    at most, None for always.
    """

    kind: str
    call: str | None = None
    only: str | None = None
    probability: float = 1.0
    count: int | None = None
    seconds: float = 0.0
    retry_after: str = "1 minute"
    status: int = 500

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a fault is one of {', '.join(KINDS)}")
        if self.kind == "hang" and not self.seconds:
            self.seconds = 3600.0

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Reads what the dial's route takes. Raises ValueError, TypeError."""
        if not isinstance(data, dict):
            raise ValueError("a fault is an object")
        return cls(**data)


class Dial:
    """The faults in force, by upstream. Several may be set for one upstream; the first that strikes
    counts.
    """

    def __init__(self, seed: int) -> None:
        self._chance = Random(f"faults {seed}")  # noqa: S311 invented trouble
        self._faults: dict[str, list[Fault]] = {name: [] for name in UPSTREAMS}

    def set(self, upstream: str, *faults: Fault) -> None:
        """Replaces the faults of one upstream; none given: it works again."""
        self._faults[upstream] = list(faults)

    def add(self, upstream: str, fault: Fault) -> None:
        """One more fault beside those in force."""
        self._faults[upstream].append(fault)

    def clear(self) -> None:
        """Everything works again."""
        for name in self._faults:
            self._faults[name] = []

    def draw(self, upstream: str, call: str, subject: str) -> Fault | None:
        """What happens to this call; uses up one of the fault's count."""
        for fault in self._faults[upstream]:
            wanted = fault.call in (None, call) and (fault.only is None or fault.only in subject)
            if wanted and fault.count != 0 and self._chance.random() < fault.probability:
                if fault.count is not None:
                    fault.count -= 1
                return fault
        return None

    def to_json(self) -> Mapping[str, object]:
        """The faults in force, for the page and the route."""
        return {name: [asdict(fault) for fault in faults] for name, faults in self._faults.items()}
