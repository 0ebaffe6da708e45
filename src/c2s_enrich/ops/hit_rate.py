"""Notices that a source answers but knows nobody any more: no error shows it, and it once went
unseen for five days elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from c2s_enrich.database import Pool
from c2s_enrich.enrichment.people_store import HitRate, PeopleStore


async def hit_rate_problem(pool: Pool) -> str | None:
    """One sentence for /health where a source's latest answers find far fewer people than those
    before; None where all is well.
    """
    return sentence(await PeopleStore(pool).hit_rates())


def sentence(rates: Sequence[HitRate]) -> str | None:
    """Names each source that fell. Numbers only, nobody's data."""
    fallen = [
        f"{rate.source} by {rate.kind} found {rate.latest_found} of the last {rate.latest}, "
        f"after {100 * rate.earlier_found / rate.earlier:.0f} % of the {rate.earlier} before"
        for rate in rates
        if rate.fell
    ]
    return f"A source knows far fewer people than it did: {'; '.join(fallen)}." if fallen else None
