"""The webhook over HTTP: authenticate, receive within limits, read, store, answer.

A plain ASGI endpoint for every method: the request is never wrapped or routed, which costs time.
"""

import asyncio
import random
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope, Send

from c2s_enrich.errors import NotStored
from c2s_enrich.intake import receive as bodies
from c2s_enrich.intake.auth import ACCEPTED, Gate, Headers
from c2s_enrich.intake.job import DeliveryReceipt
from c2s_enrich.intake.metrics import IntakeMetrics
from c2s_enrich.intake.payload import SENTENCES, read_delivery
from c2s_enrich.intake.refusals import Refusals
from c2s_enrich.intake.writer import Writer
from c2s_enrich.serving.faults import Faults
from c2s_enrich.serving.middleware import Notes, notes_of
from c2s_enrich.serving.problem import CLOSE, Answer, problem
from c2s_enrich.serving.protocol import TRUSTED
from c2s_enrich.settings import Settings

# C2S's subscription knows only an address: the token may be its last part, never logged.
PATH = "/api/v1/webhooks/c2s"
_PATH_WITH_TOKEN = PATH + "/{token}"

_CHALLENGE = (b"www-authenticate", b"Bearer")
# A body this large takes milliseconds to read: a thread does it.
_LARGE = 64 * 1024
_WESTERN = re.compile(
    rb'charset\s{0,5}=\s{0,5}"?(iso[-_]8859-1|latin-?1|windows-1252|cp1252)\b', re.IGNORECASE
)
# Hook names were seen in two vocabularies: on_update_lead and lead.updated.
_ACTION = re.compile(r"[\w.:-]{1,100}", re.ASCII)

_METHOD_NOT_ALLOWED = problem(
    405, "method_not_allowed", "Deliveries are POSTed.", (b"allow", b"POST"), CLOSE
)
_COMPRESSED = problem(
    415,
    "content_encoding",
    "The body is compressed, which is not supported.",
    (b"accept-encoding", b"identity"),
    CLOSE,
)


@dataclass
class Webhook:
    _settings: Settings
    _writer: Writer
    _metrics: IntakeMetrics
    _refusals: Refusals
    _faults: Faults
    _jitter: random.Random
    _deliveries: int = 0

    def __post_init__(self) -> None:
        self._gate = Gate(self._settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        notes = notes_of(scope)
        notes["route"] = PATH if len(scope["path"]) == len(PATH) else _PATH_WITH_TOKEN
        try:
            answer = await self._answer(scope, receive, notes)
        except bodies.SenderGone:
            notes["reason"] = "sender_gone"
            return
        self._metrics.answered(answer.status, time.perf_counter() - started)
        if answer.reason:
            notes["reason"] = answer.reason
            if scope.get(TRUSTED):
                self._refusals.turned_away(answer.reason)
        await answer.send(send)

    async def _answer(self, scope: Scope, receive: Receive, notes: Notes) -> Answer:
        if scope["method"] != "POST":
            return _METHOD_NOT_ALLOWED
        headers = scope["headers"]
        verdict = self._gate.judge(headers, scope["path"][len(PATH) + 1 :])
        self._metrics.secrets[verdict] += 1
        notes["verdict"] = verdict
        if verdict not in ACCEPTED:
            beginning, ended = await bodies.drop_body(headers, receive, bodies.PEEK_SECONDS)
            self._refusals.refused(beginning)
            close = () if ended else (CLOSE,)
            detail = "A delivery needs the webhook token."
            return problem(401, "token_" + verdict, detail, _CHALLENGE, *close)
        self._refusals.accepted()
        scope[TRUSTED] = True
        if not _is_uncompressed(headers):
            return _COMPRESSED
        # Strangers do not count: they must not take the place of deliveries.
        if self._deliveries >= self._settings.request_limit:
            return self._busy("too_many_requests", "too many deliveries at once", CLOSE)
        self._deliveries += 1
        try:
            body = await self._body(headers, receive)
            if isinstance(body, Answer):
                return body
            try:
                return await self._deliver(body, scope, notes)
            finally:
                self._metrics.body_bytes -= len(body)
        finally:
            self._deliveries -= 1

    async def _body(self, headers: Headers, receive: Receive) -> bytes | Answer:
        limit = self._settings.body_limit
        seconds = self._settings.receive_timeout.total_seconds()
        try:
            return await bodies.receive_body(headers, receive, self._metrics, limit, seconds)
        except TimeoutError:
            detail = f"The body did not arrive within {seconds:g} seconds."
            return problem(408, "body_too_slow", detail, CLOSE)
        except bodies.BodyTooLarge:
            detail = f"A delivery has at most {limit} bytes."
            return problem(413, "body_too_large", detail, CLOSE)
        except bodies.NoRoom:
            return self._busy("too_many_bytes", "too many bytes are being received", CLOSE)

    async def _deliver(self, body: bytes, scope: Scope, notes: Notes) -> Answer:
        body = _in_utf8(body, bodies.header(scope["headers"], b"content-type"))
        origin = _origin(scope)
        action = origin.get("hook_action")
        most = self._settings.batch_limit
        if len(body) > _LARGE:
            delivery = await asyncio.to_thread(read_delivery, body, action, most)
        else:
            delivery = read_delivery(body, action, most)
        try:
            receipt = await self._writer.store(delivery, origin)
        except NotStored as error:
            return self._busy("not_stored", str(error))
        self._faults.end("not_stored")
        self._metrics.stored(receipt)
        notes["received"] = receipt.received
        notes["processed"] = receipt.processed
        return _answer_to(receipt)

    def _busy(self, reason: str, why: str, *headers: tuple[bytes, bytes]) -> Answer:
        self._faults.add(reason, why)
        # Jitter: those who are sent away together must not come back together.
        later = (b"retry-after", b"%d" % self._jitter.randint(1, 10))
        return problem(503, reason, f"Not stored: {why}. Deliver it again.", later, *headers)


@lru_cache(maxsize=64)
def _answer_to(receipt: DeliveryReceipt) -> Answer:
    """200 only where at least one event of the delivery is in `webhook_events`."""
    told = msgspec.structs.asdict(receipt)
    problems = told.pop("problems")
    if problems:
        told["errors"] = [
            {"index": each.index, "reason": each.reason, "detail": SENTENCES[each.reason]}
            for each in problems
        ]
    if receipt.rejected < receipt.received:
        return Answer(200, msgspec.json.encode({"status": "received", **told}))
    reason = problems[0].reason
    status = 413 if reason == "too_many_events" else 400
    detail = SENTENCES[reason] + " The delivery was kept for a person to look at."
    return problem(status, reason, detail, **told)


def _is_uncompressed(headers: Headers) -> bool:
    """Whether no Content-Encoding but identity is named; the header may come more than once."""
    return all(
        value.strip().lower() in (b"", b"identity")
        for key, value in headers
        if key == b"content-encoding"
    )


def _in_utf8(body: bytes, content_type: bytes) -> bytes:
    """JSON is UTF-8. What is not, and says that it is Latin-1, is taken at its word."""
    if _WESTERN.search(content_type):
        try:
            body.decode()
        except UnicodeDecodeError:
            with suppress(UnicodeDecodeError):
                return body.decode("cp1252").encode()
    return body


def _origin(scope: Scope) -> dict[str, str]:
    """What a delivery says outside its body: only words of a known form, so nothing secret."""
    origin = {"request_id": notes_of(scope).get("request_id", "")}
    named = bodies.header(scope["headers"], b"x-webhook-event").decode("latin-1")
    if not named and scope["query_string"]:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        named = next(iter(query.get("hook_action", []) + query.get("event", [])), "")
    if _ACTION.fullmatch(named):
        origin["hook_action"] = named
    return origin
