"""How long to wait before the next attempt: doubling, with full jitter."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Backoff:
    """Waits from `base` on, doubling with each attempt up to `cap`."""

    base: timedelta
    cap: timedelta

    def ceiling(self, attempts: int) -> timedelta:
        """The longest wait after this many attempts (1 = the first has just failed)."""
        factor = 2 ** min(max(attempts - 1, 0), 64)
        # Compared as a ratio, because the product may be beyond timedelta's range.
        return self.base * factor if factor < self.cap / self.base else self.cap

    def wait(self, attempts: int, chance: float) -> timedelta:
        """`chance` is uniform in [0, 1). Never under a tenth of the ceiling: zero is a hot loop."""
        return self.ceiling(attempts) * (0.1 + 0.9 * chance)
