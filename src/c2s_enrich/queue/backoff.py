"""How long to wait before the next attempt: doubling, with full jitter, so that failures do not return together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Backoff:
    """Waits from `base` on, doubling with each attempt up to `cap`."""

    base: timedelta
    cap: timedelta

    def ceiling(self, attempts: int) -> timedelta:
        """The longest wait after this many attempts (1 = the first has just failed)."""
        # 2**30 bases is far beyond any cap; the bound keeps the product inside timedelta's range.
        return min(self.cap, self.base * 2 ** min(max(attempts - 1, 0), 30)) if self.base < self.cap else self.cap

    def wait(self, attempts: int, chance: float) -> timedelta:
        """The wait itself; `chance` is uniform in [0, 1). Never under a tenth of the ceiling: a zero wait is a hot loop."""
        return self.ceiling(attempts) * (0.1 + 0.9 * chance)
