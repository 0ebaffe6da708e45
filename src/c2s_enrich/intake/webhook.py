"""The webhook over HTTP: authenticate, receive within limits, read, store, answer. Everything it
does is INSERT.

A plain ASGI endpoint: the request is never wrapped or routed, so that what costs time on the way of
a delivery stands here.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from c2s_enrich.errors import NotStored
from c2s_enrich.intake.auth import ACCEPTED, Gate, Headers
from c2s_enrich.intake.fast.time_limit import TimeLimit
from c2s_enrich.intake.metrics import Tally
from c2s_enrich.intake.payload import SENTENCES, Delivery, Limits, read_delivery
from c2s_enrich.intake.refusals import PEEK, Refusals, looks_like_c2s
from c2s_enrich.intake.writer import Receipt
from c2s_enrich.serving.answers import CLOSE, Answer, problem
from c2s_enrich.serving.middleware import Notes, notes_of
from c2s_enrich.settings import Settings

# C2S's subscription knows only an address, so the token may be its last part. In the log its place
# is named and it is not.
PATH = "/api/v1/webhooks/c2s"
_PATH_WITH_TOKEN = PATH + "/{token}"

# A body this large takes milliseconds to read: a thread does it, and the loop goes on with
# everybody else's.
_LARGE = 64 * 1024
# All bodies in memory at once, in bytes. 64 full-size deliveries, or tens of thousands of usual
# ones.
_BODIES = 64 * 1024 * 1024
# A sender whose body is too large should get to read why: so much of it is received and dropped
# before the answer.
_DRAIN = 8 * 1024 * 1024
_DRAIN_SECONDS = 2.0
# A refused sender's first bytes are worth this long a look, to see whether it is C2S.
_PEEK_SECONDS = 0.25
# Hook names were seen in two vocabularies: on_update_lead and lead.updated.
_ACTION = re.compile(r"[\w.:-]{1,100}", re.ASCII)


class Store(Protocol):
    """What intake needs of its writer."""

    async def store(self, delivery: Delivery, origin: Mapping[str, str]) -> Receipt:
        """Returns after COMMIT; raises NotStored."""
        ...


class WebApp(Starlette):
    """Starlette for every address but the webhook's, which is told apart in front of its router and
    middlewares: they cost as much time as reading the delivery does. `webhook` is a whole ASGI app.
    """

    def __init__(
        self,
        webhook: ASGIApp,
        routes: Sequence[BaseRoute],
        middleware: Sequence[Middleware],
        **more: Any,
    ) -> None:
        super().__init__(routes=routes, middleware=middleware, **more)
        self._webhook = webhook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if (
            path.startswith(PATH)
            and scope["type"] == "http"
            and path[len(PATH) : len(PATH) + 1] in ("", "/")
        ):
            await self._webhook(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class _TooLarge(Exception):
    """The body exceeds its limit."""


class _Gone(Exception):
    """The sender hung up before its body was complete: nobody is left to answer."""


class Webhook:
    """One ASGI endpoint for every method, so that the wrong ones get their answer here too."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        tally: Tally,
        refusals: Refusals,
        jitter: random.Random,
    ) -> None:
        self._gate = Gate.of(settings)
        self._limits = Limits(events=settings.batch_limit)
        self._body_limit = settings.body_limit
        self._receive_timeout = settings.receive_timeout.total_seconds()
        self._receive_limit = TimeLimit(self._receive_timeout)
        self._request_limit = settings.request_limit
        self._store = store
        self._tally = tally
        self._refusals = refusals
        self._jitter = jitter
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        notes = notes_of(scope)
        notes["route"] = PATH if len(scope["path"]) == len(PATH) else _PATH_WITH_TOKEN
        self._requests += 1
        try:
            answer = await self._answer(scope, receive, notes)
        except _Gone:
            notes["reason"] = "sender_gone"
            return
        finally:
            self._requests -= 1
        self._tally.answered(answer.status, time.perf_counter() - started)
        if answer.reason:
            notes["reason"] = answer.reason
        await answer.send(send)

    async def _answer(self, scope: Scope, receive: Receive, notes: Notes) -> Answer:
        if scope["method"] != "POST":
            return problem(
                405, "method_not_allowed", "Deliveries are POSTed.", (b"allow", b"POST"), CLOSE
            )
        if self._requests > self._request_limit:
            return self._busy("too_many_requests", "Too many requests are being answered.", CLOSE)
        headers = scope["headers"]
        verdict = self._gate.judge(headers, scope["path"][len(PATH) + 1 :])
        self._tally.secrets[verdict] += 1
        notes["verdict"] = verdict
        if verdict not in ACCEPTED:
            ended = await self._notice_refusal(headers, receive)
            more = () if ended else (CLOSE,)
            return problem(
                401,
                "token_" + verdict,
                "A delivery needs the webhook token.",
                (b"www-authenticate", b"Bearer"),
                *more,
            )
        self._refusals.accepted()
        if not _is_as_it_is(headers):
            accepted = (b"accept-encoding", b"identity")
            return problem(
                415,
                "content_encoding",
                "Bodies are taken as they are, not compressed.",
                accepted,
                CLOSE,
            )
        try:
            with self._receive_limit():
                body = await self._receive(headers, receive)
        except TimeoutError:
            return problem(
                408,
                "body_too_slow",
                f"The body did not arrive within {self._receive_timeout:g} seconds.",
                CLOSE,
            )
        except _TooLarge:
            return problem(
                413, "body_too_large", f"A delivery has at most {self._body_limit} bytes.", CLOSE
            )
        except NotStored:
            return self._busy("too_many_bytes", "Too much is being received.", CLOSE)
        try:
            return await self._deliver(body, scope, notes)
        finally:
            self._tally.body_bytes -= len(body)

    async def _deliver(self, body: bytes, scope: Scope, notes: Notes) -> Answer:
        origin = _origin(scope)
        if len(body) > _LARGE:
            delivery = await asyncio.to_thread(
                read_delivery, body, origin.get("hook_action"), self._limits
            )
        else:
            delivery = read_delivery(body, origin.get("hook_action"), self._limits)
        try:
            receipt = await self._store.store(delivery, origin)
        except NotStored as error:
            return self._busy("not_stored", f"Not stored: {error}. Deliver it again.")
        self._tally.stored(receipt)
        notes["received"] = receipt.received
        notes["processed"] = receipt.processed
        return _answer_to(receipt)

    def _busy(self, reason: str, detail: str, *headers: tuple[bytes, bytes]) -> Answer:
        # Jitter: those who are sent away together must not come back together.
        return problem(
            503, reason, detail, (b"retry-after", b"%d" % self._jitter.randint(1, 10)), *headers
        )

    async def _receive(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body; its length stays counted in the tally until the caller takes it off.
        Raises _TooLarge, _Gone, NotStored.
        """
        announced = _header(headers, b"content-length")
        if announced.isdigit() and int(announced[:20]) > self._body_limit:
            await self._drain(headers, receive)
            raise _TooLarge
        size = 0
        parts: list[bytes] = []
        try:
            while True:
                part, more = await _next_part(receive)
                parts.append(part)
                size += len(part)
                self._tally.body_bytes += len(part)
                if size > self._body_limit:
                    parts.clear()
                    await self._drain(headers, receive, already=size, more=more)
                    raise _TooLarge
                if self._tally.body_bytes > _BODIES:
                    raise NotStored
                if not more:
                    return parts[0] if len(parts) == 1 else b"".join(parts)
        except BaseException:
            self._tally.body_bytes -= size
            raise

    async def _drain(
        self, headers: Headers, receive: Receive, *, already: int = 0, more: bool = True
    ) -> None:
        """Receives and drops, within bounds: closing on a sender that still writes would reset the
        line and lose our answer.
        """
        if _header(headers, b"expect"):
            # It waits for our word before it sends; this answer is the word.
            return
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while more and already <= _DRAIN:
                    part, more = await _next_part(receive)
                    already += len(part)
        except TimeoutError:
            return

    async def _notice_refusal(self, headers: Headers, receive: Receive) -> bool:
        """Counts who looks like C2S. Whether the body has ended: the rest of one that has not is
        not waited for.
        """
        beginning = b""
        size, more = 0, True
        if not _header(headers, b"expect"):
            try:
                async with asyncio.timeout(_PEEK_SECONDS):
                    while more and size <= _DRAIN:
                        part, more = await _next_part(receive)
                        size += len(part)
                        beginning += part[: PEEK - len(beginning)]
            except TimeoutError:
                more = True
        if looks_like_c2s(beginning, _header(headers, b"user-agent")):
            self._refusals.refused()
        return not more


async def _next_part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _Gone
    return message.get("body", b""), message.get("more_body", False)


def _header(headers: Headers, name: bytes) -> bytes:
    return next((value.strip() for key, value in headers if key == name), b"")


def _is_as_it_is(headers: Headers) -> bool:
    """Whether no Content-Encoding but identity is named; the header may come more than once."""
    return all(
        value.strip().lower() in (b"", b"identity")
        for key, value in headers
        if key == b"content-encoding"
    )


def _origin(scope: Scope) -> dict[str, str]:
    """What a delivery says about itself outside its body. Only words of a known form are taken:
    nothing secret fits through.
    """
    origin: dict[str, str] = {}
    named = _header(scope["headers"], b"x-webhook-event").decode("latin-1")
    if not named and scope["query_string"]:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        named = next(iter(query.get("hook_action", []) + query.get("event", [])), "")
    if _ACTION.fullmatch(named):
        origin["hook_action"] = named
    return origin


@lru_cache(maxsize=64)
def _answer_to(receipt: Receipt) -> Answer:
    """200 only where at least one event of the delivery is in `webhook_events`, from now on or from
    before.
    """
    counts = {
        "received": receipt.received,
        "processed": receipt.processed,
        "duplicates": receipt.duplicates,
        "rejected": receipt.rejected,
    }
    if receipt.problems:
        errors = [
            {"index": p.index, "reason": p.reason, "detail": SENTENCES[p.reason]}
            for p in receipt.problems
        ]
        if receipt.rejected == receipt.received:
            status = 413 if receipt.problems[0].reason == "too_many_events" else 400
            reason = receipt.problems[0].reason
            return problem(
                status,
                reason,
                SENTENCES[reason] + " The delivery was kept for a person to look at.",
                **counts,
                errors=errors,
            )
        return Answer(200, msgspec.json.encode({"status": "received", **counts, "errors": errors}))
    return Answer(200, msgspec.json.encode({"status": "received", **counts}))
