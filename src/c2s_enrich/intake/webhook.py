"""The webhook over HTTP: authenticate, receive within limits, read, store, answer.

A plain ASGI endpoint for every method: the request is never wrapped or routed, which costs time.
"""

import asyncio
import random
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from c2s_enrich.errors import NotStored
from c2s_enrich.intake import receive as bodies
from c2s_enrich.intake.auth import ACCEPTED, Gate
from c2s_enrich.intake.metrics import IntakeMetrics
from c2s_enrich.intake.payload import SENTENCES, read_delivery
from c2s_enrich.intake.refusals import Refusals
from c2s_enrich.intake.writer import DeliveryReceipt, Writer
from c2s_enrich.serving.middleware import Notes, notes_of
from c2s_enrich.serving.problem import CLOSE, Faults, HttpProblem
from c2s_enrich.serving.protocol import TRUSTED
from c2s_enrich.settings import Settings

# C2S's subscription knows only an address: the token may be its last part, never logged.
PATH = "/api/v1/webhooks/c2s"
_PATH_WITH_TOKEN = PATH + "/{token}"

_CHALLENGE = {"www-authenticate": "Bearer"}
# A body this large takes milliseconds to read: a thread does it.
_LARGE = 64 * 1024
_WESTERN = re.compile(
    rb'charset\s{0,5}=\s{0,5}"?(iso[-_]8859-1|latin-?1|windows-1252|cp1252)\b', re.IGNORECASE
)
# Hook names were seen in two vocabularies: on_update_lead and lead.updated.
_ACTION = re.compile(r"[\w.:-]{1,100}", re.ASCII)

_METHOD_NOT_ALLOWED = HttpProblem(
    405, "method_not_allowed", "Deliveries are POSTed.", {"allow": "POST", **CLOSE}
)
_COMPRESSED = HttpProblem(
    415,
    "content_encoding",
    "The body is compressed, which is not supported.",
    {"accept-encoding": "identity", **CLOSE},
)


class WebApp(Starlette):
    """The webhook, a whole ASGI app, in front of Starlette's router and middleware. That takes 5 %
    off web's processor time (442 µs a delivery through the router, 420 here).
    """

    def __init__(self, webhook: ASGIApp, **others: Any) -> None:
        super().__init__(**others)
        self._webhook = webhook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        ours = path == PATH or path.startswith(PATH + "/")
        if ours and scope["type"] == "http":
            await self._webhook(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


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
        except ClientDisconnect:
            notes["reason"] = "sender_gone"
            return
        self._metrics.answered(answer.status_code, time.perf_counter() - started)
        if isinstance(answer, HttpProblem):
            notes["reason"] = answer.reason
            if scope.get(TRUSTED):
                self._refusals.turned_away(answer.reason)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, notes: Notes) -> Response:
        if scope["method"] != "POST":
            return _METHOD_NOT_ALLOWED
        headers = scope["headers"]
        verdict = self._gate.judge(headers, scope["path"][len(PATH) + 1 :])
        self._metrics.secrets[verdict] += 1
        notes["verdict"] = verdict
        if verdict not in ACCEPTED:
            beginning, ended = await bodies.drop_body(headers, receive, bodies.PEEK_SECONDS)
            self._refusals.refused(beginning)
            shown = _CHALLENGE if ended else _CHALLENGE | CLOSE
            detail = "A delivery needs the webhook token."
            return HttpProblem(401, "token_" + verdict, detail, shown)
        self._refusals.accepted()
        scope[TRUSTED] = True
        # The header may come more than once.
        encodings = {value.strip().lower() for key, value in headers if key == b"content-encoding"}
        if not encodings <= {b"", b"identity"}:
            return _COMPRESSED
        # Strangers do not count: they must not take the place of deliveries.
        if self._deliveries >= self._settings.request_limit:
            return self._busy("too_many_requests", "too many deliveries at once", CLOSE)
        self._deliveries += 1
        body = b""
        try:
            limit = self._settings.body_limit
            seconds = self._settings.receive_timeout.total_seconds()
            body = await bodies.receive_body(headers, receive, self._metrics, limit, seconds)
            return await self._deliver(body, scope, notes)
        except bodies.BodyRefused as refused:
            return HttpProblem(refused.status, refused.reason, str(refused), CLOSE)
        except bodies.NoRoom:
            return self._busy("too_many_bytes", "too many bytes are being received", CLOSE)
        except NotStored as error:
            return self._busy("not_stored", str(error))
        finally:
            self._metrics.body_bytes -= len(body)
            self._deliveries -= 1

    async def _deliver(self, body: bytes, scope: Scope, notes: Notes) -> Response:
        body = _in_utf8(body, bodies.header(scope["headers"], b"content-type"))
        origin = _origin(scope)
        action = origin.get("hook_action")
        most = self._settings.batch_limit
        if len(body) > _LARGE:
            delivery = await asyncio.to_thread(read_delivery, body, action, most)
        else:
            delivery = read_delivery(body, action, most)
        receipt = await self._writer.store(delivery, origin)
        self._faults.end("not_stored")
        self._metrics.stored(receipt)
        notes["received"] = receipt.received
        notes["processed"] = receipt.processed
        return _answer_to(receipt)

    def _busy(self, reason: str, why: str, headers: Mapping[str, str] | None = None) -> Response:
        self._faults.add(reason, why)
        # Jitter: those who are sent away together must not come back together.
        later = {"retry-after": str(self._jitter.randint(1, 10)), **(headers or {})}
        return HttpProblem(503, reason, f"Not stored: {why}. Deliver it again.", later)


@lru_cache(maxsize=64)
def _answer_to(receipt: DeliveryReceipt) -> Response:
    """200 only where at least one event of the delivery is in `webhook_events`."""
    told = msgspec.structs.asdict(receipt)
    problems = told.pop("problems")
    if problems:
        told["errors"] = [
            {"index": each.index, "reason": each.reason, "detail": SENTENCES[each.reason]}
            for each in problems
        ]
    if receipt.rejected < receipt.received:
        return JSONResponse({"status": "received", **told})
    reason = problems[0].reason
    status = 413 if reason == "too_many_events" else 400
    detail = SENTENCES[reason] + " The delivery was kept for a person to look at."
    return HttpProblem(status, reason, detail, **told)


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
