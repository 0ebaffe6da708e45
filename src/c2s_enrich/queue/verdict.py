"""The whole retry policy on one page: an error in, how the attempt ends out. Pure: no clock, no
database, no chance of its own (`chance` is uniform in [0, 1)).

An upstream that is down must fail no event: when the attempts are spent on an outage, the event
goes on waiting at the longest backoff until the age limit. The age limit exists so that nothing
loops for ever unseen; for the same reason an attempt whose lease ended counts, whoever notices it
first: this worker (LeaseLost) or the one that reclaims.
"""

from datetime import timedelta
from typing import Literal

from c2s_enrich import errors
from c2s_enrich.queue.claim import Claim, Ending, WaitReason
from c2s_enrich.redaction import redact_error
from c2s_enrich.settings import Settings

# A vendor that changed its format will not change it back within minutes; a truncated answer heals
# at once.
UNREADABLE_ATTEMPTS = 4

# fail: at once, a person must act. wait: not this event's fault, so the attempt is given back.
# retry: with backoff, until the attempts are spent. outlast: the same, and wait after that.
# What waits fails at the age limit.
Answer = Literal["fail", "wait", "retry", "outlast"]

# The error, our answer, the error_kind in the row, what a waiting event waits for. The first row
# that fits counts; what only the last one fits is our bug.
_POLICY: tuple[tuple[type[BaseException], Answer, str | None, WaitReason], ...] = (
    (errors.MissingCustomer, "fail", "missing_customer", "backoff"),
    (errors.LeadNotFound, "fail", "lead_not_found", "backoff"),
    (errors.DeliveryUnclear, "fail", "delivery_unclear", "backoff"),
    (errors.Refused, "fail", "upstream_refused", "backoff"),
    (errors.Throttled, "wait", "upstream_unavailable", "throttled"),
    (errors.Paused, "wait", "upstream_unavailable", "paused"),
    (errors.NoSlot, "wait", "upstream_unavailable", "slot"),
    (errors.BudgetSpent, "wait", "upstream_unavailable", "budget"),
    (errors.Unauthorised, "wait", "upstream_refused", "credential"),
    # Waiting for a read-back is not a new kind of error: the last one stays in the row.
    (errors.NotYet, "wait", None, "read_back"),
    (errors.Unavailable, "outlast", "upstream_unavailable", "backoff"),
    (errors.Uncertain, "outlast", "upstream_unavailable", "backoff"),
    (errors.Unreadable, "retry", "upstream_unreadable", "backoff"),
    (errors.LeaseLost, "retry", "worker_lost", "backoff"),
    (BaseException, "retry", "bug", "backoff"),
)


def verdict(error: BaseException, claim: Claim, settings: Settings, chance: float) -> Ending:
    text = redact_error(error)
    answer, kind, reason = next(row[1:] for row in _POLICY if isinstance(error, row[0]))
    too_old = claim.age > settings.age_limit
    later = backoff(settings, claim.attempts, chance)
    most = claim.max_attempts
    if isinstance(error, errors.Unreadable):
        most = min(most, UNREADABLE_ATTEMPTS)
    if answer == "fail" or (answer == "retry" and claim.attempts >= most):
        return Ending("failed", error_kind=kind, error_message=text)
    if answer == "retry" or (answer == "outlast" and claim.attempts < most and not too_old):
        return Ending("retried", error_kind=kind, error_message=text, delay=later, reason=reason)
    if too_old:
        text = f"{text}; gave up at the age limit"
        return Ending("failed", error_kind=kind or "delivery_unclear", error_message=text)
    match error:
        case errors.NotYet(wait=wait):
            pass
        case errors.Unauthorised():
            wait = later
        case errors.Throttled(retry_after=named):
            wait = _spread(named, chance)
        case errors.Paused(wait=named) | errors.NoSlot(wait=named) | errors.BudgetSpent(wait=named):
            wait = _spread(named, chance)
        case _:
            wait = _spread(settings.backoff_cap, chance)
    upstream = error.upstream if isinstance(error, errors.UpstreamError) else None
    return Ending(
        "postponed",
        error_kind=kind,
        error_message=text,
        delay=wait,
        waiting_for=upstream,
        reason=reason,
    )


def database_away(claim: Claim, settings: Settings, chance: float) -> Ending:
    """How an attempt ends that our own database has interrupted."""
    text = "the database could not be reached"
    if claim.age > settings.age_limit:
        text = f"{text}; gave up at the age limit"
        return Ending("failed", error_kind="bug", error_message=text)
    delay = timedelta(seconds=1 + 2 * chance)
    return Ending("postponed", error_message=text, delay=delay, reason="database")


def backoff(settings: Settings, attempts: int, chance: float) -> timedelta:
    """How long to wait before the next attempt. Never under a tenth of the longest wait: zero is a
    hot loop.
    """
    return longest_backoff(settings, attempts) * (0.1 + 0.9 * chance)


def longest_backoff(settings: Settings, attempts: int) -> timedelta:
    """After the first attempt BACKOFF_BASE; it doubles with each one, up to BACKOFF_CAP."""
    base, cap = settings.backoff_base, settings.backoff_cap
    factor = 2 ** min(max(attempts - 1, 0), 64)
    # Compared as a ratio, because the product may be beyond timedelta's range.
    return base * factor if factor < cap / base else cap


def _spread(wait: timedelta, chance: float) -> timedelta:
    # Up to a fifth later, at least 250 ms and at most 15 s: enough that a backlog does not return
    # in one instant.
    room = min(max(wait * 0.2, timedelta(milliseconds=250)), timedelta(seconds=15))
    return wait + room * chance
