"""What goes wrong and when: a pure function of the seed. Starts nothing and touches nothing.

A seed fixes the schedule, not the run: which event a `kill -9` hits depends on the machine.
Repeating a seed repeats the trouble.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from c2s_enrich.sandbox.stage import QUICK

# Every named point of an event's life at which a poller can die; see `queue.claim.Journal`.
POINTS = (
    "claimed", "extract", "extract:done", "skip", "skip:done", "lookup", "lookup:done",
    "enrich", "enrich:done", "store", "store:done", "send", "permit", "permitted",
    "answered", "send:done",
)  # fmt: skip
# Two of each, so that one can be killed or frozen while the other goes on.
POLLERS = ("poller-1", "poller-2")
# Longer than the lease: a frozen poller wakes up when its events belong to others. Longer than
# STORE_TIMEOUT and than the sender's patience, too: whoever posts to a frozen web has gone when it
# wakes up.
FROZEN_SECONDS = float(QUICK["LEASE_SECONDS"]) + 2.0
_UPSTREAMS = ("c2s", "diretrix", "work_api")

# Each fault with what it can strike. "sleep_at" is a freeze of which the poller's own clock knows
# nothing: only the fence is left, and between the permit and the send the pulse. "promotion"
# crashes the server and promotes a standby that has every COMMIT; "restore" puts a copy back that
# has the target's age and more. "commit_lost" carries statements
# out and loses their answers; in a "silence" nothing comes and nothing is closed. "clock" is how
# many seconds a poller's clocks are wrong. "operator_resets" sets rows of every status back to
# received, as reprocessing does; "transaction_held" keeps rows of this status locked. C2S mostly
# tells us of a message whose answer was lost by its hook; without that, only reading the lead back
# can.
TARGETS: dict[str, tuple[str, ...]] = {
    "kill_poller": POLLERS,
    "terminate_poller": POLLERS,
    "kill_web": ("web",),
    "terminate_web": ("web",),
    "freeze_web": ("web",),
    "die_at": POINTS,
    "zombie": POLLERS,
    "sleep_at": POINTS,
    "clock": ("-86400", "-7", "7", "86400"),
    "postgres_fast": ("postgres",),
    "postgres_immediate": ("postgres",),
    "promotion": ("postgres",),
    "restore": ("postgres",),
    "disk_full": ("postgres",),
    "commit_lost": ("postgres",),
    "silence": ("postgres",),
    "connections_cut": ("postgres",),
    "notify_lost": ("postgres",),
    "transaction_held": ("received", "processing"),
    "operator_resets": ("some", "all"),
    "slow": _UPSTREAMS,
    "error500": _UPSTREAMS,
    "throttle": _UPSTREAMS,
    "hang": _UPSTREAMS,
    "reset": _UPSTREAMS,
    "garbage": _UPSTREAMS,
    "double": _UPSTREAMS,
    "refuse_credential": _UPSTREAMS,
    "accept_then_lose": ("answer", "answer_and_hook"),
}
FAULTS = tuple(TARGETS)

# How many paid calls trouble can cut off: of one poller all that it works on, of which each may ask
# two questions at once; of the database those of all pollers. The others cut off none.
CUTS_OFF = dict.fromkeys(("kill_poller", "terminate_poller", "zombie"), 20) | dict.fromkeys(
    (
        "postgres_fast",
        "postgres_immediate",
        "promotion",
        "disk_full",
        "commit_lost",
        "silence",
        "connections_cut",
        "transaction_held",
        "operator_resets",
    ),
    44,
)
# A poller that works on one event at a time.
ODD_CUTS_OFF = 2

# Kills are cheap and say the most, so a round holds several of them for each other fault.
_OFTEN = {
    "kill_poller": 5,
    "terminate_poller": 2,
    "kill_web": 2,
    "die_at": 14,
    "zombie": 2,
    "sleep_at": 3,
    "commit_lost": 3,
    "accept_then_lose": 4,
}
# Longer than the shortest drill: they begin it.
_LONG = ("sleep_at", "zombie", "freeze_web", "silence", "restore", "promotion")
# A poller needs about a second to come up, several on a busy machine; closer together, nothing
# would ever be worked on.
_STRIKES_PER_SECOND = 1.0


@dataclass(frozen=True)
class Strike:
    """One fault: `at` seconds after the beginning, against `target`, for `seconds` where it
    lasts.
    """

    at: float
    fault: str
    target: str
    seconds: float


def schedule(seed: int, seconds: float, only: str | None = None) -> tuple[Strike, ...]:
    """The faults of a run of so many seconds, in order of time. The first ones are of all kinds,
    one each.
    """
    chance = Random(f"drill {seed}")  # noqa: S311 invented trouble
    cards = _cards(chance, only)
    count = max(len(FAULTS) if only is None else 1, int(seconds * _STRIKES_PER_SECOND))
    step = seconds / count
    strikes = []
    for number in range(count):
        fault, target = next(cards)
        at = round((number + chance.random()) * step, 3)
        strikes.append(Strike(at, fault, target, round(chance.uniform(0.5, 2.5), 3)))
    return tuple(strikes)


def _cards(chance: Random, only: str | None) -> Iterator[tuple[str, str]]:
    """Rounds without end. Each fault goes through all its targets before it comes back to one."""
    faults = FAULTS if only is None else (only,)
    targets = {fault: _in_turn(chance, TARGETS[fault]) for fault in faults}
    deck = sorted(chance.sample(faults, len(faults)), key=lambda fault: fault not in _LONG)
    while True:
        for fault in deck:
            yield fault, next(targets[fault])
        deck = [fault for fault in faults for _ in range(_OFTEN.get(fault, 1))]
        chance.shuffle(deck)


def _in_turn(chance: Random, targets: tuple[str, ...]) -> Iterator[str]:
    while True:
        yield from chance.sample(targets, len(targets))
