"""Notices when C2S itself is being turned away: refused deliveries about leads that we know, and
authentic ones that were neither stored nor kept.

C2S shows nobody a failed hook: a rotated secret that did not reach it would be a silent gap. Only
C2S knows the ids of our leads. They are compared once a minute: strangers cause no work.
"""

import re

from c2s_enrich.database import Statements
from c2s_enrich.serving.problem import Faults

# Seconds; C2S delivers many times an hour while people work. Later it was dealt with.
_FRESH = 3600.0
# Ids of refused deliveries that wait for the comparison. More of them say nothing new.
_MOST_IDS = 100
# A lead's own id is among the first ids of its body.
_IDS_OF_ONE = 5
# Why an authentic delivery may be refused before anything of it is kept.
_WITHOUT_TRACE = {
    "content_encoding": "their body was compressed",
    "body_too_large": "their body was larger than BODY_LIMIT",
    "body_too_slow": "their body did not arrive in time",
}
_LOST = (
    "{count} deliveries with the right token were neither stored nor kept: {why}. The last came"
    " {ago:.0f} s ago. `reconcile` finds their leads."
)
_REFUSED = (
    "Deliveries about {count} leads that we know were refused, the last {ago:.0f} s ago: compare"
    " the webhook secret with the one in C2S's subscription."
)
_ID = re.compile(rb'"(?:lead_)?id"\s{0,5}:\s{0,5}"?([A-Za-z0-9-]{1,64})')


class Refusals:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._waiting: dict[str, None] = {}

    def refused(self, beginning: bytes) -> None:
        """A delivery was answered 401; `beginning` is the first part of its body."""
        if len(self._waiting) < _MOST_IDS:
            found = [match[1].decode() for match in _ID.finditer(beginning)]
            self._waiting.update(dict.fromkeys(found[:_IDS_OF_ONE]))

    def accepted(self) -> None:
        """A delivery showed a right secret: whoever was refused, it is not all of C2S."""
        self._waiting.clear()
        self._faults.end("known_refused")

    def turned_away(self, reason: str) -> None:
        """A delivery with a right secret was refused; where it left no trace, it is lost."""
        if why := _WITHOUT_TRACE.get(reason):
            self._faults.add(reason, why, sentence=_LOST, fresh=_FRESH)

    async def compare(self, sql: Statements) -> None:
        """Looks once whether we know the leads of refused deliveries."""
        ids, self._waiting = list(self._waiting), {}
        if ids and (known := await sql.rows("known_leads", lead_ids=ids)):
            self._faults.add("known_refused", count=len(known), sentence=_REFUSED, fresh=_FRESH)
