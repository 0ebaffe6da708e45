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

# Exit status and actions, with every cause that has them.
_TABLE: tuple[tuple[Status, tuple[str, ...], tuple[str, ...]], ...] = (
    (0, (), ("erased", "told", "told_before", "echo", "suppressed", "shadow")),
    (0, ("again",), ("given_up", "no_news", "closed", "completed_by_hand")),
    (0, ("newer",), ("superseded",)),
    (0, ("fresh",), ("nobody_known",)),
    (1, ("look", "replay", "dismiss"), ("rejected",)),
    (1, ("pollers", "start"), ("no_poller", "stuck")),
    (1, ("doctor", "resume"), ("credential_refused",)),
    (1, ("again", "alike"), ("lead_not_found", "missing_customer", "refused", "unreadable")),
    (1, ("again", "alike"), ("too_old", "bug")),
    (1, ("again", "give_up", "alike"), ("worker_lost",)),
    (1, ("delivered", "not_delivered"), ("delivery_unclear",)),
    (1, ("delivered", "not_delivered", "again"), ("not_told",)),
    (3, ("reconcile",), ("never_arrived",)),
    (75, (), ("lead_busy", "queued", "suspect_turn", "database_was_away", "running")),
    (75, ("again",), ("backing_off", "scheduled")),
    (75, ("others",), ("rate_limited",)),
    (75, ("resume", "others"), ("upstream_paused", "throttled")),
    (75, ("budget", "others"), ("budget_spent",)),
    (75, ("delivered", "not_delivered"), ("reading_back",)),
)
CAUSES = {cause: (status, actions) for status, actions, causes in _TABLE for cause in causes}


@cache
def sentences(name: str, module: str = __file__) -> Mapping[str, Any]:
    """`sentences/<name>.toml` next to a module; here a language, with a table for each cause."""
    path = Path(module).with_name("sentences") / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
