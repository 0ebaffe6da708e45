"""Tells the seller, once: the one step that cannot be undone.

C2S's create_message has no idempotency key, so the outbox row decides:

    pending ──permit──▶ sending ──a clear yes──▶ sent
       ▲                  │  ▲
       └──a clear no──────┘  └── no clear answer: stays here until a look at the lead finds it
                                 (sent), or two looks after the settle time do not (then it may be
                                 sent again, or a person decides)

"sending" is committed before the first byte leaves. Whoever finds a row in "sending" that he did
not put there himself reads the lead back first. The first message of each account proves that C2S
shows what it has, and one that a restore may have forgotten begins in "sending" (`history.py`).
What is promised: at most one copy, unless C2S applies a request later than the settle time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from c2s_enrich import errors
from c2s_enrich.enrichment.extract import own_refs
from c2s_enrich.enrichment.message import refs_of
from c2s_enrich.enrichment.store import EnrichmentStore, OutboxMessage, sent_fact
from c2s_enrich.hashing import HashKeys
from c2s_enrich.queue.claim import Claim, Fact, Journal, Lease
from c2s_enrich.queue.verdict import UNREADABLE_ATTEMPTS
from c2s_enrich.redaction import redact_error
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.upstreams.c2s import C2s

_log = get_logger(__name__)


@dataclass(frozen=True)
class Sender:
    """Brings one outbox message to `sent`, or raises why not yet. `pulse` gives what tells, without
    a clock, whether the database has ended this poller's session since.
    """

    store: EnrichmentStore
    c2s: C2s
    metrics: Metrics
    keys: HashKeys
    pulse: Callable[[], Callable[[], bool]]
    settings: Settings

    async def __call__(
        self, claim: Claim, lease: Lease, journal: Journal, message: OutboxMessage
    ) -> Fact | None:
        """The fact to commit with the event's completion; None when the seller was told before."""
        if message.status == "sent":
            return None
        if message.status == "sending":
            if (seen := await self._seen_at_c2s(claim, message)) is not None:
                return await self._found(message, seen)
            await self._wait_or_give_up(message)
        # Admission first: the settle time counts from the permit, and the request follows at once.
        admission = await self.c2s.leads.admit()
        await journal.at("permit")
        still_alive = self.pulse()
        sending_at = await self.store.permit_send(claim, message)
        if sending_at is None:
            raise errors.LeaseLost
        await journal.at("permitted")

        def before_send() -> None:
            lease.must_outlast(self.settings.c2s_timeout)
            if not still_alive():
                # This process was frozen, its clock perhaps with it: another has the right to send.
                raise errors.LeaseLost("the database has ended this poller's pulse")

        try:
            answer = await self.c2s.send(
                claim.lead_id,
                message.body,
                message.ref,
                admission=admission,
                before_send=before_send,
            )
        except errors.Uncertain:
            self.metrics.messages.labels("uncertain").inc()
            raise
        except errors.EnrichError:
            # A clear no, also from `before_send`: no byte left, or C2S did not take it.
            await self.store.not_sent(message, sending_at)
            raise
        await journal.at("answered")
        if answer.confirmed:
            self.metrics.messages.labels("answer").inc()
            fact = sent_fact(message, "answer", answer.message_id)
            if not message.to_prove:
                return fact
            await self.store.record_sent(fact)
            await self._prove_reading_back(claim, message)
            return None
        # The gateway's yes proves nothing.
        if (seen := await self._seen_at_c2s(claim, message)) is not None:
            return await self._found(message, seen)
        self.metrics.messages.labels("uncertain").inc()
        raise errors.Uncertain("c2s", "accepted through the gateway, but not yet on the lead")

    async def _found(self, message: OutboxMessage, order: tuple[str, ...]) -> Fact:
        """Raises NotYet where others of ours stand behind it: it is not what the seller read last,
        and the next attempt says that it holds again.
        """
        fact = sent_fact(message, "read_back", order=order)
        if order and order[-1] != message.ref:
            await self.store.record_sent(fact)
            raise errors.NotYet(timedelta(), f"ref {message.ref} is on the lead, not as the last")
        return fact

    async def clear_up(self, claim: Claim, content_key: str | None) -> bool:
        """Before this content is stored (None: there is nothing to tell): whether a send of this
        event with another content is on the lead; one that is not can be withdrawn after this.
        Raises as sending does while it is not clear.
        """
        found = False
        for message in await self.store.unclear_messages(claim, content_key):
            if (seen := await self._seen_at_c2s(claim, message)) is not None:
                await self.store.record_sent(sent_fact(message, "read_back", order=seen))
                found = True
            else:
                await self._wait_or_give_up(message)
        return found

    async def _prove_reading_back(self, claim: Claim, message: OutboxMessage) -> None:
        """C2S has this message for sure: can it be found on the lead?"""
        try:
            found = await self._order_on_the_lead(claim, message) is not None
        except errors.EnrichError as error:
            found = False
            _log.warning("reading_back_failed", error=redact_error(error))
        await self.store.record_read_back(found=found)
        if not found:
            _log.warning("reading_back_unproven", ref=message.ref)

    async def _order_on_the_lead(
        self, claim: Claim, message: OutboxMessage
    ) -> tuple[str, ...] | None:
        """The refs of our messages on the lead, oldest first; None where this one is not there."""
        # Under the key of before a rotation it may have been sent and forgotten by a restore.
        refs = {message.ref, *refs_of(claim.lead_id, message.content_key, self.keys)}
        texts = await self.c2s.messages(claim.lead_id)
        if not any(ref in text for ref in refs for text in texts):
            return None
        return tuple(message.ref if ref in refs else ref for ref in own_refs(texts))

    async def _seen_at_c2s(self, claim: Claim, message: OutboxMessage) -> tuple[str, ...] | None:
        try:
            seen = await self._order_on_the_lead(claim, message)
        except (errors.Refused, errors.Unreadable) as error:
            if isinstance(error, errors.Unreadable) and claim.attempts < UNREADABLE_ATTEMPTS:
                raise  # one garbled page proves nothing yet
            # Where C2S does not let us read messages back, nothing can clear this up by itself.
            raise errors.DeliveryUnclear(
                f"the lead's messages cannot be read back ({error.detail}): "
                f"was ref {message.ref} delivered?"
            ) from None
        if seen is not None:
            self.metrics.messages.labels("read_back").inc()
            await self.store.record_read_back(found=True)
        return seen

    async def _wait_or_give_up(self, message: OutboxMessage) -> None:
        """Returns when the message may be sent again; else raises NotYet or DeliveryUnclear."""
        if message.unsettled is not None and message.unsettled > timedelta():
            raise errors.NotYet(
                message.unsettled,
                f"waiting until C2S can no longer apply the last send of ref {message.ref}",
            )
        looked = await self.store.record_look(message)
        if looked is None:
            raise errors.NotYet(timedelta(seconds=1), f"ref {message.ref} has moved on meanwhile")
        looks, proven = looked
        if looks < 2:
            raise errors.NotYet(
                self.settings.second_look, f"ref {message.ref} was not found; a second look follows"
            )
        # One that was never sent by what the database knows is only looked up after a restore.
        held = self.settings.delivery_unclear == "hold" and message.sends > 0
        if not proven:
            why = "not found on the lead, but no message was ever read back from this C2S account"
        elif held or message.sends >= self.settings.max_sends:
            why = f"sent {message.sends} time(s) without a clear answer and not found on the lead"
        else:
            return
        self.metrics.messages.labels("unclear").inc()
        raise errors.DeliveryUnclear(f"{why}: was ref {message.ref} delivered?")
