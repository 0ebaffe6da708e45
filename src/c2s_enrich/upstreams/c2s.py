"""Contact2Sale: reads leads and puts one message on a lead, either directly or through the gateway
in front of it.

C2S has no idempotency key. So `send` says exactly what is known: accepted, a clear no (nothing was
recorded), or Uncertain, after which only reading the lead back can tell. It never marks a lead as
interacted and never creates one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime

from c2s_enrich.clock import Clock
from c2s_enrich.errors import LeadNotFound
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.c2s_answers import (
    SendAnswer,
    read_company,
    read_done,
    read_lead,
    read_leads,
    read_messages,
    read_sent,
    read_whole,
    segment,
    unwrap_gateway,
    updated_at_or_after,
)
from c2s_enrich.upstreams.http import AnyTransport, CallMetrics, Limiter, Policy, Upstream
from c2s_enrich.upstreams.limits import Admission
from c2s_enrich.upstreams.response import Response, same

# C2S answers 403 to a larger page.
PAGE_SIZE = 50
# One reconciliation looks at a thousand leads; more would eat the rate limit for a quarter of an
# hour.
MOST_PAGES = 20
HOOK_ACTIONS = ("on_create_lead", "on_update_lead", "on_close_lead")


class C2s:
    """The CRM. With a gateway, all about leads goes through it; `me` and `subscribe` never do."""

    def __init__(
        self,
        direct: Upstream,
        gateway: Upstream | None = None,
        *,
        message_path: str = "/leads/{lead_id}/create_message",
    ) -> None:
        self._direct = direct
        self._leads = gateway or direct
        self._through_gateway = gateway is not None
        self._unwrap: Callable[[Response], Response] = unwrap_gateway if gateway else same
        self._message_path = message_path

    async def lead(self, lead_id: str) -> LeadFacts:
        """What C2S knows of a lead, with its messages. Raises LeadNotFound, UpstreamError."""
        facts = await self._leads.call(
            "lead", "GET", f"/leads/{segment(lead_id)}", read=read_lead, unwrap=self._unwrap
        )
        if facts is None:
            raise LeadNotFound
        return facts

    async def lead_json(self, lead_id: str) -> Mapping[str, object]:
        """The lead as C2S's own JSON object. Raises LeadNotFound, UpstreamError."""
        lead = await self._leads.call(
            "lead", "GET", f"/leads/{segment(lead_id)}", read=read_whole, unwrap=self._unwrap
        )
        if lead is None:
            raise LeadNotFound
        return lead

    async def messages(self, lead_id: str) -> tuple[str, ...]:
        """The texts and external ids of all messages on a lead. Raises LeadNotFound, UpstreamError.

        A lead without a list of messages is Unreadable and not one without messages: nobody may
        conclude from it that ours is not there.
        """
        texts = await self._leads.call(
            "lead", "GET", f"/leads/{segment(lead_id)}", read=read_messages, unwrap=self._unwrap
        )
        if texts is None:
            raise LeadNotFound
        return texts

    async def admit(self) -> Admission:
        """The limits' leave for one call about a lead; see `Upstream.admit`."""
        return await self._leads.admit()

    async def send(
        self,
        lead_id: str,
        body: str,
        ref: str,
        *,
        admission: Admission | None = None,
        before_send: Callable[[], None],
    ) -> SendAnswer:
        """Puts a message on a lead. `ref` is in the body too and becomes its external_id where C2S
        is called directly.

        A clear no: LeadNotFound, Refused, Throttled, Unauthorised, Unavailable, and Paused, NoSlot
        or whatever `before_send` (see `Upstream.call`) raised. Raises Uncertain where
        C2S may have taken it.
        """
        if self._through_gateway:
            path, message = f"/leads/{segment(lead_id)}/messages", {"message": body}
        else:
            path, message = (
                self._message_path.replace("{lead_id}", segment(lead_id)),
                {"body": body, "external_id": ref},
            )
        accepted = await self._leads.call(
            "message",
            "POST",
            path,
            read=lambda response: read_sent(response, ref),
            json=message,
            idempotent=False,
            unwrap=self._unwrap,
            admission=admission,
            before_send=before_send,
        )
        if accepted is None:
            raise LeadNotFound
        return replace(accepted, confirmed=not self._through_gateway)

    async def leads_updated_since(self, since: datetime) -> AsyncIterator[Mapping[str, object]]:
        """Leads changed at or after `since`, newest first, as C2S's own JSON objects, for
        reconciliation. Raises UpstreamError.

        The date filters are not sent: whether C2S honours them is unknown, and one of them can
        empty the window. The end is a short page (the pagination block is not always there) or a
        page on which nothing is new any more.
        """
        for page in range(1, MOST_PAGES + 1):
            query = {"sort": "-updated_at", "perpage": str(PAGE_SIZE), "page": str(page)}
            leads = await self._leads.call(
                "leads", "GET", "/leads", read=read_leads, params=query, unwrap=self._unwrap
            )
            changed = [lead for lead in leads if updated_at_or_after(lead, since)]
            for lead in changed:
                yield lead
            if len(leads) < PAGE_SIZE or not changed:
                return

    async def me(self) -> str:
        """The company's name. Raises Unauthorised where the token is wrong, UpstreamError."""
        return await self._direct.call("me", "GET", "/me", read=read_company)

    async def subscribe(self, action: str, url: str) -> None:
        """Makes C2S deliver one of HOOK_ACTIONS to `url`; any other URL of the token ends."""
        await self._direct.call(
            "subscribe",
            "POST",
            "/api/subscribe",
            read=read_done,
            json={"hook_action": action, "hook_url": url},
        )

    async def unsubscribe(self, action: str) -> None:
        """Ends the delivery of one of HOOK_ACTIONS."""
        await self._direct.call(
            "unsubscribe", "POST", "/api/unsubscribe", read=read_done, json={"hook_action": action}
        )


def open_c2s(
    settings: Settings,
    limits: Limiter,
    clock: Clock,
    metrics: CallMetrics,
    *,
    transport: AnyTransport | None = None,
) -> Upstream:
    """The way to C2S itself.

    Both header forms exist in its documentation and accounts were seen that honour only one, so by
    default both go out, and after a refusal the one that such an account wanted.
    """
    bearer = f"Bearer {settings.c2s_token.reveal()}"
    authorization, authentication = {"Authorization": bearer}, {"Authentication": bearer}
    forms = {
        "both": ({**authorization, **authentication}, authentication),
        "authorization": (authorization, authentication),
        "authentication": (authentication, authorization),
    }[settings.c2s_auth_header]
    policy = Policy(timeout=settings.c2s_timeout)
    return Upstream(
        "c2s",
        settings.c2s_base_url,
        policy,
        limits,
        clock,
        metrics,
        credentials=forms,
        transport=transport,
    )


def open_gateway(
    settings: Settings,
    limits: Limiter,
    clock: Clock,
    metrics: CallMetrics,
    *,
    transport: AnyTransport | None = None,
) -> Upstream | None:
    """The way through the gateway, without credentials; None where it is not set."""
    if not settings.c2s_gateway_url:
        return None
    return Upstream(
        "c2s",
        settings.c2s_gateway_url,
        Policy(timeout=settings.c2s_timeout),
        limits,
        clock,
        metrics,
        transport=transport,
    )
