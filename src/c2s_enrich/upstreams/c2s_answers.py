"""What C2S's answers say. Pure: from a Response to nouns, or to the error that it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from c2s_enrich.errors import Refused, Unavailable, Uncertain, Unreadable
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.upstreams.fields import text_of
from c2s_enrich.upstreams.response import Response


@dataclass(frozen=True)
class SendAnswer:
    """C2S took the message. Not `confirmed` through the gateway, whose 200 proves nothing."""

    message_id: str | None
    confirmed: bool


def unwrap_gateway(response: Response) -> Response:
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
    status = response.status
    if response.is_html and not response.ok and status not in (401, 403):
        detail = f"HTTP {status} with a web page: it was not the API that answered"
        raise Unavailable(response.upstream, detail)
    if status == 404:
        return None
    _check_refusal(response)
    if not response.body.strip():
        return SendAnswer(None, confirmed=True)
    try:
        answer = response.json()
    except Unreadable as error:
        detail = error.detail
    else:
        failed = isinstance(answer, dict) and (answer.get("success") is False or "error" in answer)
        if not failed:
            return SendAnswer(_message_id(answer, ref), confirmed=True)
        detail = f"HTTP {status} with an error inside"
    raise Uncertain(response.upstream, detail)


def _check_refusal(response: Response) -> None:
    """403 is C2S's word for a bad token and for a bad parameter alike; the body tells which. What
    it does not tell is taken for the token: that postpones leads, the other would fail them.
    """
    if response.ok:
        return
    about_a_parameter = rb"(?i)\bdate\b|strptime|per_?page"
    if response.status in (401, 402) or (
        response.status == 403
        and (response.is_html or not re.search(about_a_parameter, response.body))
    ):
        raise response.unauthorised()
    if response.is_html:
        raise response.unreadable("a web page instead of JSON")
    raise response.refused()


def _message_id(answer: object, ref: str) -> str | None:
    """The id of the message that was just made, found by its ref among the lead's messages."""
    data = answer.get("data") if isinstance(answer, dict) else None
    messages = data.get("messages") if isinstance(data, dict) else None
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        if ref in str(message.get("body")) or message.get("external_id") == ref:
            return text_of(message, "id")
    return None
