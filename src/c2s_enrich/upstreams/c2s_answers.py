"""What C2S's answers say. Pure: from a Response to nouns, or to the error that it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from c2s_enrich.errors import Refused, Unavailable, Uncertain, Unreadable
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.upstreams.response import Response


@dataclass(frozen=True)
class SendAnswer:
    """C2S took the message. Not `confirmed` through the gateway, whose 200 proves nothing."""

    message_id: str | None
    confirmed: bool


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


def segment(lead_id: str) -> str:
    """A lead id as one segment of a path; dots are encoded, so that ".." stays an id."""
    return quote(lead_id, safe="").replace(".", "%2E")


def read_lead(response: Response) -> LeadFacts | None:
    if response.status == 404 and not response.is_html:
        return None
    facts = LeadFacts.from_json(_read_json(response))
    if facts is None:
        raise response.unreadable("no lead in it")
    return facts


def read_whole(response: Response) -> Mapping[str, object] | None:
    if read_lead(response) is None:
        return None
    answer = response.json()
    inner = answer.get("data") if isinstance(answer, dict) else None
    return inner if isinstance(inner, dict) else {"lead": answer}


def read_messages(response: Response) -> tuple[str, ...] | None:
    facts = read_lead(response)
    if facts is None:
        return None
    if not _lists_messages(response.json()):
        raise response.unreadable("no list of messages")
    return facts.messages


def _lists_messages(answer: object) -> bool:
    """Whether the lead, its attributes or its envelope has a list of messages, be it empty."""
    if not isinstance(answer, dict):
        return False
    inner = (answer.get("data"), answer.get("lead"), answer.get("attributes"))
    return isinstance(answer.get("messages"), list) or any(_lists_messages(part) for part in inner)


def read_leads(response: Response) -> list[Mapping[str, object]]:
    answer = _read_json(response)
    leads = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(leads, list):
        raise response.unreadable("no list of leads")
    return [lead for lead in leads if isinstance(lead, dict)]


def updated_at_or_after(lead: Mapping[str, object], since: datetime) -> bool:
    facts = LeadFacts.from_json(lead)
    return facts is not None and facts.updated_at is not None and facts.updated_at >= since


def read_company(response: Response) -> str:
    answer = _read_json(response)
    places = (answer, answer.get("data")) if isinstance(answer, dict) else ()
    for place in places:
        if isinstance(place, dict) and isinstance(place.get("company_name"), str):
            return str(place["company_name"])
    raise response.unreadable("no company_name")


def read_done(response: Response) -> None:
    answer = _read_json(response)
    if isinstance(answer, dict) and answer.get("success") is False:
        raise response.refused()


def _read_json(response: Response) -> object:
    _check_refusal(response)
    return response.json()


def read_sent(response: Response, ref: str) -> SendAnswer | None:
    """2xx with JSON or nothing is a yes; a web page is a proxy talking and proves nothing."""
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
