"""Contact2Sale: reads leads and puts one message on a lead, directly or through the gateway.

C2S has no idempotency key. So `send` says exactly what is known: accepted, a clear no (nothing was
recorded), or Uncertain, after which only reading the lead back can tell. It never creates a lead.
The `_read…` functions are pure: from a Response to what it says, or to the error that it is.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

from c2s_enrich.errors import LeadNotFound, Refused, Unavailable, Uncertain, Unreadable
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.fields import text_of
from c2s_enrich.upstreams.http import CallServices, Upstream
from c2s_enrich.upstreams.limits import Admission
from c2s_enrich.upstreams.response import Response

T = TypeVar("T")

# C2S answers 403 to a larger page.
PAGE_SIZE = 50
# More than a thousand leads would eat the rate limit for a quarter of an hour.
MOST_PAGES = 20


@dataclass(frozen=True)
class SendAnswer:
    """C2S took the message. Not `confirmed` through the gateway, whose 200 proves nothing."""

    message_id: str | None
    confirmed: bool


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
        return await self._lead(lead_id, lambda _, facts: facts)

    async def lead_json(self, lead_id: str) -> Mapping[str, object]:
        """The lead as C2S's own JSON object. Raises LeadNotFound, UpstreamError."""
        return await self._lead(lead_id, _read_whole)

    async def messages(self, lead_id: str) -> tuple[str, ...]:
        """The texts and external ids of all messages on a lead. Raises LeadNotFound, UpstreamError:
        Unreadable where there is no list of them, which does not prove that ours is not there.
        """
        return await self._lead(lead_id, _read_messages)

    async def _lead(self, lead_id: str, read: Callable[[Response, LeadFacts], T]) -> T:
        """What `read` makes of a lead that is there."""

        def read_known(response: Response) -> T | None:
            if response.status == 404 and not response.is_html:
                return None
            facts = LeadFacts.from_json(_read_json(response))
            if facts is None:
                raise response.unreadable("no lead in it")
            return read(response, facts)

        path = f"/leads/{_segment(lead_id)}"
        found = await self.leads.call("lead", "GET", path, read=read_known)
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
            path.replace("{lead_id}", _segment(lead_id)),
            read=lambda response: _read_sent(response, ref),
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
            leads = await self.leads.call("leads", "GET", "/leads", read=_read_leads, params=query)
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
        return await self.direct.call("me", "GET", "/me", read=_read_company)

    async def subscribe(self, action: str, url: str) -> None:
        """Makes C2S deliver a hook (on_create_lead …) to `url`; any other URL of the token ends."""
        await self._account("subscribe", {"hook_action": action, "hook_url": url})

    async def unsubscribe(self, action: str) -> None:
        await self._account("unsubscribe", {"hook_action": action})

    async def _account(self, call: str, json: object) -> None:
        await self.direct.call(call, "POST", f"/api/{call}", read=_read_done, json=json)


def open_c2s(settings: Settings, services: CallServices) -> Upstream:
    """The way to C2S itself. Accounts were seen that honour only one of the two documented headers:
    by default both go out, and after a refusal the one that such an account wanted.
    """
    bearer = f"Bearer {settings.c2s_token.reveal()}"
    authorization, authentication = {"Authorization": bearer}, {"Authentication": bearer}
    forms = {
        "both": (authorization | authentication, authentication),
        "authorization": (authorization, authentication),
        "authentication": (authentication, authorization),
    }[settings.c2s_auth_header]
    return Upstream("c2s", settings.c2s_base_url, settings.c2s_timeout, services, forms)


def open_gateway(settings: Settings, services: CallServices) -> Upstream:
    """The way through the gateway in front of C2S, which wants no credentials."""
    url, timeout = settings.c2s_gateway_url, settings.c2s_timeout
    return Upstream("c2s", url, timeout, services, unwrap=_unwrap_gateway)


def _unwrap_gateway(response: Response) -> Response:
    """The answer behind the gateway's 500: it turns every error of C2S into 500 with a text, in
    which only C2S's status survives. Without exactly one status in it (a time-out, a crash of its
    own) it stays 500: unclear for a message. Raises Refused for the gateway's own 404.
    """
    if response.status == 404:
        # An error of C2S would be 500 here, so it is not the lead that is missing.
        detail = "HTTP 404: the gateway itself has no such path; is C2S_GATEWAY_URL right?"
        raise Refused(response.upstream, detail)
    if response.status != 500:
        return response
    # The text quotes the URL, and a lead id may hold any three digits.
    text = re.sub(r"https?://\S+|/leads/\S+", " ", response.body.decode("utf-8", "replace"))
    statuses = set(re.findall(r"(?<![\w.])([345]\d\d)(?![\w.])", text))
    if len(statuses) != 1:
        return response
    return replace(response, status=int(statuses.pop()), body=text.encode())


def _segment(lead_id: str) -> str:
    """A lead id as one segment of a path; dots are encoded, so that ".." stays an id."""
    return quote(lead_id, safe="").replace(".", "%2E")


def _read_json(response: Response) -> object:
    _check(response)
    return response.json()


def _check(response: Response) -> None:
    """403 is C2S's word for a bad token and for a bad parameter alike; the body tells which. What
    it does not tell is taken for the token: that postpones leads, the other would fail them.
    """
    if not response.ok:
        about_a_parameter = re.search(rb"(?i)\bdate\b|strptime|per_?page", response.body)
        response.check(forbidden=about_a_parameter is None)


def _within(answer: object, name: str) -> object:
    return answer.get(name) if isinstance(answer, dict) else None


def _read_whole(response: Response, _: LeadFacts) -> Mapping[str, object]:
    answer = response.json()
    inner = _within(answer, "data")
    return inner if isinstance(inner, dict) else {"lead": answer}


def _read_messages(response: Response, facts: LeadFacts) -> tuple[str, ...]:
    if not _lists_messages(response.json()):
        raise response.unreadable("no list of messages")
    return facts.messages


def _lists_messages(answer: object) -> bool:
    """Whether the lead, its attributes or its envelope has a list of messages, be it empty."""
    places = ("data", "lead", "attributes")
    return isinstance(_within(answer, "messages"), list) or any(
        _lists_messages(inner) for place in places if (inner := _within(answer, place))
    )


def _read_leads(response: Response) -> list[Mapping[str, object]]:
    answer = _read_json(response)
    leads = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(leads, list):
        raise response.unreadable("no list of leads")
    return [lead for lead in leads if isinstance(lead, dict)]


def _read_company(response: Response) -> str:
    answer = _read_json(response)
    for place in (answer, _within(answer, "data")):
        if isinstance(name := _within(place, "company_name"), str):
            return name
    raise response.unreadable("no company_name")


def _read_done(response: Response) -> None:
    if _within(_read_json(response), "success") is False:
        raise response.failure(Refused)


def _read_sent(response: Response, ref: str) -> SendAnswer | None:
    """2xx with JSON or nothing is a yes; a web page is a proxy talking and proves nothing."""
    status = response.status
    if response.is_html and not response.ok and status not in (401, 403):
        detail = f"HTTP {status} with a web page: it was not the API that answered"
        raise Unavailable(response.upstream, detail)
    if status == 404:
        return None
    _check(response)
    if not response.body.strip():
        return SendAnswer(None, confirmed=True)
    try:
        answer = response.json()
    except Unreadable as error:
        raise Uncertain(response.upstream, error.detail) from None
    if isinstance(answer, dict) and (answer.get("success") is False or "error" in answer):
        raise Uncertain(response.upstream, f"HTTP {status} with an error inside")
    # The message that was just made, found by its ref among the lead's messages.
    messages = _within(_within(answer, "data"), "messages")
    for message in messages if isinstance(messages, list) else ():
        if ref in str(_within(message, "body")) or _within(message, "external_id") == ref:
            return SendAnswer(text_of(message, "id"), confirmed=True)
    return SendAnswer(None, confirmed=True)
