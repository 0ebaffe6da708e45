"""Contact2Sale: reads leads and puts one message on a lead, either directly or through the gateway
in front of it.

C2S has no idempotency key. So `send` says exactly what is known: accepted, a clear no (nothing was
recorded), or Uncertain, after which only reading the lead back can tell. It never marks a lead as
interacted and never creates one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from c2s_enrich.clock import Clock
from c2s_enrich.errors import LeadNotFound, Refused, Unavailable, Uncertain, Unreadable
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.http import (
    AnyTransport,
    CallMetrics,
    Limiter,
    Policy,
    Response,
    Upstream,
    same,
)
from c2s_enrich.upstreams.limits import Admission

# C2S answers 403 to a larger page.
PAGE_SIZE = 50
# One reconciliation looks at a thousand leads; more would eat the rate limit for a quarter of an
# hour.
MOST_PAGES = 20
HOOK_ACTIONS = ("on_create_lead", "on_update_lead", "on_close_lead")


@dataclass(frozen=True)
class SendAnswer:
    """C2S took the message. `confirmed` is False through the gateway, whose 200 proves nothing
    until the message is read back.
    """

    message_id: str | None
    confirmed: bool


class C2s:
    """The CRM. With a gateway, everything about leads goes through it; the account's own calls
    (`me`, `subscribe`) never do.
    """

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
            "lead", "GET", f"/leads/{_segment(lead_id)}", read=_read_lead, unwrap=self._unwrap
        )
        if facts is None:
            raise LeadNotFound
        return facts

    async def lead_json(self, lead_id: str) -> Mapping[str, object]:
        """The lead as C2S's own JSON object. Raises LeadNotFound, UpstreamError."""
        lead = await self._leads.call(
            "lead", "GET", f"/leads/{_segment(lead_id)}", read=_read_whole, unwrap=self._unwrap
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
            "lead", "GET", f"/leads/{_segment(lead_id)}", read=_read_messages, unwrap=self._unwrap
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
            path, message = f"/leads/{_segment(lead_id)}/messages", {"message": body}
        else:
            path, message = (
                self._message_path.replace("{lead_id}", _segment(lead_id)),
                {"body": body, "external_id": ref},
            )
        accepted = await self._leads.call(
            "message",
            "POST",
            path,
            read=lambda response: _read_sent(response, ref),
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
                "leads", "GET", "/leads", read=_read_leads, params=query, unwrap=self._unwrap
            )
            changed = [lead for lead in leads if _updated_at_or_after(lead, since)]
            for lead in changed:
                yield lead
            if len(leads) < PAGE_SIZE or not changed:
                return

    async def me(self) -> str:
        """The company's name as the token's owner sees it. Raises Unauthorised where the token is
        wrong, UpstreamError.
        """
        return await self._direct.call("me", "GET", "/me", read=_read_company)

    async def subscribe(self, action: str, url: str) -> None:
        """Makes C2S deliver one of HOOK_ACTIONS to `url`. There is one URL a token: any other
        subscription ends silently.
        """
        await self._direct.call(
            "subscribe",
            "POST",
            "/api/subscribe",
            read=_read_done,
            json={"hook_action": action, "hook_url": url},
        )

    async def unsubscribe(self, action: str) -> None:
        """Ends the delivery of one of HOOK_ACTIONS."""
        await self._direct.call(
            "unsubscribe", "POST", "/api/unsubscribe", read=_read_done, json={"hook_action": action}
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
    """The way to C2S through the gateway, which needs no credentials of ours; None where
    C2S_GATEWAY_URL is not set.
    """
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


def unwrap_gateway(response: Response) -> Response:
    """The answer behind the gateway's 500. It turns every error of C2S into 500 with a text, in
    which only C2S's status survives.

    Without exactly one status in the text (a time-out, a crash of its own) the 500 stays what it
    is: unclear for a message. Raises Refused for the gateway's own 404.
    """
    if response.status == 404:
        # An error of C2S would be 500 here, so it is not the lead that is missing.
        raise Refused(
            response.upstream,
            "HTTP 404: the gateway itself has no such path; is C2S_GATEWAY_URL right?",
        )
    if response.status != 500:
        return response
    # The text quotes the URL, and a lead id may hold any three digits.
    text = re.sub(r"https?://\S+|/leads/\S+", " ", response.body.decode("utf-8", "replace"))
    statuses = set(re.findall(r"(?<![\w.])([345]\d\d)(?![\w.])", text))
    return (
        replace(response, status=int(statuses.pop()), body=text.encode())
        if len(statuses) == 1
        else response
    )


def _segment(lead_id: str) -> str:
    """A lead id as one segment of a path. Ids come from outside: dots too, so that ".." stays an
    id.
    """
    return quote(lead_id, safe="").replace(".", "%2E")


def _read_lead(response: Response) -> LeadFacts | None:
    if response.status == 404 and not response.is_html:
        return None
    facts = LeadFacts.from_json(_read_json(response))
    if facts is None:
        raise response.unreadable("no lead in it")
    return facts


def _read_whole(response: Response) -> Mapping[str, object] | None:
    if _read_lead(response) is None:
        return None
    answer = response.json()
    inner = answer.get("data") if isinstance(answer, dict) else None
    return inner if isinstance(inner, dict) else {"lead": answer}


def _read_messages(response: Response) -> tuple[str, ...] | None:
    facts = _read_lead(response)
    if facts is None:
        return None
    if not _lists_messages(response.json()):
        raise response.unreadable("no list of messages")
    return facts.messages


def _lists_messages(answer: object) -> bool:
    """Whether the lead, its attributes or the envelope around it has a list of messages, be it
    empty.
    """
    if not isinstance(answer, dict):
        return False
    inner = (answer.get("data"), answer.get("lead"), answer.get("attributes"))
    return isinstance(answer.get("messages"), list) or any(_lists_messages(part) for part in inner)


def _read_leads(response: Response) -> list[Mapping[str, object]]:
    answer = _read_json(response)
    leads = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(leads, list):
        raise response.unreadable("no list of leads")
    return [lead for lead in leads if isinstance(lead, dict)]


def _updated_at_or_after(lead: Mapping[str, object], since: datetime) -> bool:
    facts = LeadFacts.from_json(lead)
    return facts is not None and facts.updated_at is not None and facts.updated_at >= since


def _read_company(response: Response) -> str:
    answer = _read_json(response)
    places = (answer, answer.get("data")) if isinstance(answer, dict) else ()
    for place in places:
        if isinstance(place, dict) and isinstance(place.get("company_name"), str):
            return str(place["company_name"])
    raise response.unreadable("no company_name")


def _read_done(response: Response) -> None:
    answer = _read_json(response)
    if isinstance(answer, dict) and answer.get("success") is False:
        raise response.refused()


def _read_json(response: Response) -> object:
    _check_refusal(response)
    return response.json()


def _read_sent(response: Response, ref: str) -> SendAnswer | None:
    """Any 2xx with JSON or with nothing is a yes. A web page with 2xx is a proxy talking: it proves
    neither yes nor no.
    """
    if response.is_html and not response.ok and response.status not in (401, 403):
        raise Unavailable(
            response.upstream,
            f"HTTP {response.status} with a web page: it was not the API that answered",
        )
    if response.status == 404:
        return None
    _check_refusal(response)
    if not response.body.strip():
        return SendAnswer(None, confirmed=True)
    try:
        answer = response.json()
    except Unreadable as error:
        unclear = Uncertain(response.upstream, error.detail)
    else:
        if not isinstance(answer, dict) or (
            answer.get("success") is not False and "error" not in answer
        ):
            return SendAnswer(_message_id(answer, ref), confirmed=True)
        unclear = Uncertain(response.upstream, f"HTTP {response.status} with an error inside")
    raise unclear


def _check_refusal(response: Response) -> None:
    """403 is C2S's word for a bad token and for a bad parameter alike; the body tells which. What
    it does not tell is taken for the token: that postpones leads, the other would fail them.
    """
    if (
        response.status == 403
        and not response.is_html
        and re.search(rb"\bdate\b|strptime|per_?page", response.body, re.IGNORECASE)
    ):
        raise response.refused()
    if response.status in (401, 403):
        raise response.unauthorised()
    if not response.ok and response.is_html:
        raise response.unreadable("a web page instead of JSON")
    if not response.ok:
        raise response.refused()


def _message_id(answer: object, ref: str) -> str | None:
    """The id of the message that was just made, found by its ref among the lead's messages."""
    data = answer.get("data") if isinstance(answer, dict) else None
    messages = data.get("messages") if isinstance(data, dict) else None
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and (
            ref in str(message.get("body")) or message.get("external_id") == ref
        ):
            identity = message.get("id")
            return identity if isinstance(identity, str) else None
    return None
