"""Every cause that `explain` knows: its exit status, what mends it, its sentences."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

Language = Literal["en", "pt"]
Status = Literal[0, 1, 3, 75]
NAMES = {"c2s": "C2S", "diretrix": "Diretrix", "work_api": "Work API"}

# Command, paid calls at most, messages at most (none of them twice). The key names its meaning.
ACTIONS: dict[str, tuple[str, int, int]] = {
    "reconcile": ("c2s-enrich reconcile --lead {lead_id}", 0, 1),
    "look": ("c2s-enrich rejects show {reject_id}", 0, 0),
    "replay": ("c2s-enrich rejects replay {reject_id}", 3, 1),
    "dismiss": ("c2s-enrich rejects dismiss {reject_id}", 0, 0),
    "pollers": ("c2s-enrich pollers", 0, 0),
    "start": ("c2s-enrich poller", 0, 0),
    "resume": ("c2s-enrich upstreams resume {upstream_name}", 0, 0),
    "others": ("c2s-enrich events list --waiting {upstream_name}", 0, 0),
    "alike": ("c2s-enrich events list --error {error_group}", 0, 0),
    "budget": ("c2s-enrich upstreams budget {upstream_name} CALLS", 0, 0),
    "doctor": ("c2s-enrich doctor --online", 0, 0),
    "again": ("c2s-enrich events reprocess {event_id}", 3, 1),
    "fresh": ("c2s-enrich events reprocess {event_id} --fresh", 3, 1),
    "delivered": ("c2s-enrich messages delivered {open_message}", 0, 0),
    "not_delivered": ("c2s-enrich messages not-delivered {open_message}", 0, 1),
    "give_up": ("c2s-enrich events fail {event_id} --because TEXT", 0, 0),
    "newer": ("c2s-enrich explain {newer_event}", 0, 0),
}

_FAILED: tuple[Status, tuple[str, ...]] = (1, ("again", "alike"))
# Exit status and actions of every cause.
CAUSES: dict[str, tuple[Status, tuple[str, ...]]] = {
    "never_arrived": (3, ("reconcile",)),
    "rejected": (1, ("look", "replay", "dismiss")),
    "erased": (0, ()),
    "no_poller": (1, ("pollers", "start")),
    "lead_busy": (75, ()),
    "queued": (75, ()),
    "suspect_turn": (75, ()),
    "upstream_paused": (75, ("resume", "others")),
    "credential_refused": (1, ("doctor", "resume")),
    "budget_spent": (75, ("budget", "others")),
    "rate_limited": (75, ("others",)),
    "throttled": (75, ("resume", "others")),
    "backing_off": (75, ("again",)),
    "reading_back": (75, ("delivered", "not_delivered")),
    "database_was_away": (75, ()),
    "scheduled": (75, ("again",)),
    "running": (75, ()),
    "stuck": (1, ("pollers", "start")),
    "lead_not_found": _FAILED,
    "missing_customer": _FAILED,
    "refused": _FAILED,
    "unreadable": _FAILED,
    "too_old": _FAILED,
    "bug": _FAILED,
    "worker_lost": (1, ("again", "give_up", "alike")),
    "given_up": (0, ("again",)),
    "delivery_unclear": (1, ("delivered", "not_delivered")),
    "told": (0, ()),
    "told_before": (0, ()),
    "echo": (0, ()),
    "no_news": (0, ("again",)),
    "superseded": (0, ("newer",)),
    "nobody_known": (0, ("fresh",)),
    "closed": (0, ("again",)),
    "suppressed": (0, ()),
    "shadow": (0, ()),
    "not_told": (1, ("delivered", "not_delivered", "again")),
    "completed_by_hand": (0, ("again",)),
}


@cache
def sentences(name: str, beside: str = __file__) -> Mapping[str, Any]:
    """`sentences/<name>.toml` beside a module; here a language, with a table for each cause."""
    path = Path(beside).with_name("sentences") / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
