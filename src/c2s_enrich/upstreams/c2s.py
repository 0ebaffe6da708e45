"""Contact2Sale: reads leads and puts one message on a lead, directly or through the gateway.

C2S has no idempotency key. So `send` says exactly what is known: accepted, a clear no (nothing was
recorded), or Uncertain, after which only reading the lead back can tell. It never creates a lead.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from c2s_enrich.errors import LeadNotFound
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams import c2s_answers as answers
from c2s_enrich.upstreams.c2s_answers import SendAnswer, segment
from c2s_enrich.upstreams.http import CallServices, Upstream
from c2s_enrich.upstreams.limits import Admission
from c2s_enrich.upstreams.response import Response

T = TypeVar("T")

# C2S answers 403 to a larger page.
PAGE_SIZE = 50
# More than a thousand leads would eat the rate limit for a quarter of an hour.
MOST_PAGES = 20


@dataclass(frozen=True)
class C2s:
    """The CRM. With a gateway, all about leads goes through it; `me` and `subscribe` never do."""

    direct: Upstream
    gateway: Upstream | None
    message_path: str

    @property
    def leads(self) -> Upstream:
        return self.gateway or self.direct

    async def lead(self, lead_id: str) -> LeadFacts:
        """What C2S knows of a lead, with its messages. Raises LeadNotFound, UpstreamError."""
        return await self._lead(lead_id, answers.read_lead)

    async def lead_json(self, lead_id: str) -> Mapping[str, object]:
        """The lead as C2S's own JSON object. Raises LeadNotFound, UpstreamError."""
        return await self._lead(lead_id, answers.read_whole)

    async def messages(self, lead_id: str) -> tuple[str, ...]:
        """The texts and external ids of all messages on a lead. Raises LeadNotFound, UpstreamError:
        Unreadable where there is no list of them, which does not prove that ours is not there.
        """
        return await self._lead(lead_id, answers.read_messages)

    async def _lead(self, lead_id: str, read: Callable[[Response], T | None]) -> T:
        found = await self.leads.call("lead", "GET", f"/leads/{segment(lead_id)}", read=read)
        if found is None:
            raise LeadNotFound
        return found

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

        Raises Uncertain where C2S may have taken it. A clear no is any other UpstreamError,
        LeadNotFound, or what `before_send` (see `Upstream.call`) raised.
        """
        path, message = self.message_path, {"body": body, "external_id": ref}
        if self.gateway:
            path, message = "/leads/{lead_id}/messages", {"message": body}
        accepted = await self.leads.call(
            "message",
            "POST",
            path.replace("{lead_id}", segment(lead_id)),
            read=lambda response: answers.read_sent(response, ref),
            json=message,
            idempotent=False,
            admission=admission,
            before_send=before_send,
        )
        if accepted is None:
            raise LeadNotFound
        return replace(accepted, confirmed=self.gateway is None)

    async def leads_updated_since(self, since: datetime) -> AsyncIterator[Mapping[str, object]]:
        """Leads changed at or after `since`, newest first, as C2S's own JSON. Raises UpstreamError.

        Date filters are not sent: whether C2S honours them is unknown. The end is a short page (the
        pagination block is not always there) or one on which nothing is new.
        """
        for page in range(1, MOST_PAGES + 1):
            query = {"sort": "-updated_at", "perpage": str(PAGE_SIZE), "page": str(page)}
            leads = await self.leads.call(
                "leads", "GET", "/leads", read=answers.read_leads, params=query
            )
            changed = False
            for lead in leads:
                facts = LeadFacts.from_json(lead)
                if facts and facts.updated_at and facts.updated_at >= since:
                    changed = True
                    yield lead
            if len(leads) < PAGE_SIZE or not changed:
                return

    async def me(self) -> str:
        """The company's name. Raises Unauthorised where the token is wrong, UpstreamError."""
        return await self.direct.call("me", "GET", "/me", read=answers.read_company)

    async def subscribe(self, action: str, url: str) -> None:
        """Makes C2S deliver a hook (on_create_lead …) to `url`; any other URL of the token ends."""
        await self._account("subscribe", {"hook_action": action, "hook_url": url})

    async def unsubscribe(self, action: str) -> None:
        await self._account("unsubscribe", {"hook_action": action})

    async def _account(self, call: str, json: object) -> None:
        await self.direct.call(call, "POST", f"/api/{call}", read=answers.read_done, json=json)


def open_c2s(settings: Settings, services: CallServices) -> Upstream:
    """The way to C2S itself. Accounts were seen that honour only one of the two documented headers:
    by default both go out, and after a refusal the one that such an account wanted.
    """
    bearer = f"Bearer {settings.c2s_token.reveal()}"
    authorization, authentication = {"Authorization": bearer}, {"Authentication": bearer}
    forms = {
        "both": ({**authorization, **authentication}, authentication),
        "authorization": (authorization, authentication),
        "authentication": (authentication, authorization),
    }[settings.c2s_auth_header]
    return Upstream("c2s", settings.c2s_base_url, settings.c2s_timeout, services, forms)


def open_gateway(settings: Settings, services: CallServices) -> Upstream:
    """The way through the gateway in front of C2S, which wants no credentials."""
    return Upstream(
        "c2s",
        settings.c2s_gateway_url,
        settings.c2s_timeout,
        services,
        unwrap=answers.unwrap_gateway,
        transport="gateway",
    )
