"""The whole retry policy on one page: an error in, how the attempt ends out. Pure: no clock, no
database, no chance of its own.

| error                             | ending                              | spent | until         |
| --------------------------------- | ----------------------------------- | ----- | ------------- |
| Unavailable, Uncertain            | retry later (backoff)               | yes   | never         |
| Unreadable                        | retry later (backoff)               | yes   | 4 attempts    |
| Throttled, Paused, NoSlot         | postpone until it wants us          | no    | the age limit |
| Unauthorised, BudgetSpent, NotYet | postpone                            | no    | the age limit |
| Refused                           | fail                                |       |               |
| MissingCustomer, LeadNotFound     | fail                                |       |               |
| DeliveryUnclear                   | fail, a person decides              |       |               |
| LeaseLost                         | retry later, where it is still ours | yes   | max_attempts  |
| our own database is away          | postpone for seconds                | no    | the age limit |
| anything else                     | our bug: retry later                | yes   | max_attempts  |

An upstream that is down must fail no event: when the attempts are spent on Unavailable or
Uncertain, the event goes on waiting at the longest backoff until the age limit. The age limit
exists so that nothing loops for ever unseen; for the same reason an attempt whose lease ended
counts, whoever notices it first: this worker (LeaseLost) or the one that reclaims.
"""

from dataclasses import dataclass
from datetime import timedelta

from c2s_enrich import errors
from c2s_enrich.queue.backoff import Backoff
from c2s_enrich.queue.claim import Claim, Ending, WaitReason
from c2s_enrich.redaction import redact_error

# A vendor that changed its format will not change it back within minutes; a truncated answer heals
# at once.
UNREADABLE_ATTEMPTS = 4

_REASONS: dict[type[BaseException], WaitReason] = {
    errors.Paused: "paused",
    errors.NoSlot: "slot",
    errors.BudgetSpent: "budget",
}


@dataclass(frozen=True)
class RetryPolicy:
    """The numbers; see settings BACKOFF_BASE, BACKOFF_CAP and AGE_LIMIT."""

    backoff: Backoff
    age_limit: timedelta


def verdict(error: BaseException, claim: Claim, policy: RetryPolicy, chance: float) -> Ending:
    """`chance` is uniform in [0, 1) and spreads what would otherwise come back together."""
    text = redact_error(error)
    too_old = claim.age > policy.age_limit
    match error:
        case errors.MissingCustomer():
            return Ending.failed("missing_customer", text)
        case errors.LeadNotFound():
            return Ending.failed("lead_not_found", text)
        case errors.DeliveryUnclear():
            return Ending.failed("delivery_unclear", text)
        case errors.Refused():
            return Ending.failed("upstream_refused", text)
        case errors.Throttled(upstream=upstream, retry_after=wait):
            wait = _spread(wait, chance)
            return _wait(too_old, wait, "upstream_unavailable", text, "throttled", upstream)
        case (
            errors.Paused(upstream=upstream, wait=wait)
            | errors.NoSlot(upstream=upstream, wait=wait)
            | errors.BudgetSpent(upstream=upstream, wait=wait)
        ):
            wait, reason = _spread(wait, chance), _REASONS[type(error)]
            return _wait(too_old, wait, "upstream_unavailable", text, reason, upstream)
        case errors.Unauthorised(upstream=upstream):
            wait = policy.backoff.wait(claim.attempts, chance)
            return _wait(too_old, wait, "upstream_refused", text, "credential", upstream)
        case errors.NotYet(wait=wait):
            # Waiting for a read-back is not a new kind of error: the last one stays in the row.
            return _wait(too_old, wait, None, text, "read_back", None)
        case errors.Unavailable(upstream=upstream) | errors.Uncertain(upstream=upstream):
            if claim.attempts < claim.max_attempts and not too_old:
                return Ending.retried(
                    policy.backoff.wait(claim.attempts, chance), "upstream_unavailable", text
                )
            wait = _spread(policy.backoff.cap, chance)
            return _wait(too_old, wait, "upstream_unavailable", text, "backoff", upstream)
        case errors.Unreadable():
            spent = claim.attempts >= min(UNREADABLE_ATTEMPTS, claim.max_attempts)
            return _retry_or_fail(spent, claim, policy, chance, "upstream_unreadable", text)
        case errors.LeaseLost():
            return _retry_or_fail(
                claim.attempts >= claim.max_attempts, claim, policy, chance, "worker_lost", text
            )
        case _:
            return _retry_or_fail(
                claim.attempts >= claim.max_attempts, claim, policy, chance, "bug", text
            )


def database_away(claim: Claim, policy: RetryPolicy, chance: float) -> Ending:
    """How an attempt ends that our own database has interrupted."""
    text = "the database could not be reached"
    if claim.age > policy.age_limit:
        return Ending.failed("bug", f"{text}; gave up at the age limit")
    return Ending.postponed(timedelta(seconds=1 + 2 * chance), None, text, "database")


def _spread(wait: timedelta, chance: float) -> timedelta:
    # Up to a fifth later, at least 250 ms and at most 15 s: enough that a backlog does not return
    # in one instant.
    room = min(max(wait * 0.2, timedelta(milliseconds=250)), timedelta(seconds=15))
    return wait + room * chance


def _wait(
    too_old: bool,
    wait: timedelta,
    kind: str | None,
    text: str,
    reason: WaitReason,
    upstream: str | None,
) -> Ending:
    if too_old:
        return Ending.failed(kind or "delivery_unclear", f"{text}; gave up at the age limit")
    return Ending.postponed(wait, kind, text, reason, upstream)


def _retry_or_fail(
    spent: bool, claim: Claim, policy: RetryPolicy, chance: float, kind: str, text: str
) -> Ending:
    if spent:
        return Ending.failed(kind, text)
    return Ending.retried(policy.backoff.wait(claim.attempts, chance), kind, text)
