"""The one way out over HTTP: admission, total time limit, tries, every failure as one of `errors`.

Clients bring a path and a reader (a pure function from Response to nouns). Errors and log lines
name the upstream, the kind of call and the result; never a URL, a header or a contact.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
import tenacity

from c2s_enrich.clock import Clock
from c2s_enrich.errors import Throttled, Unauthorised, Unavailable, Unreadable, UpstreamError
from c2s_enrich.telemetry.attempt import tell_attempt
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.upstreams.limits import Admission, Limits
from c2s_enrich.upstreams.request import OutgoingRequest, WireProgress
from c2s_enrich.upstreams.response import Response, read_retry_after
from c2s_enrich.upstreams.transport import AnswerTooLarge, Transport, httpx

T = TypeVar("T")
_log = get_logger(__name__)
# What tests and wiring may put in place of the network; nothing else here has to know httpx.
AnyTransport = httpx.AsyncBaseTransport

# A host that does not answer the handshake is down; waiting would blur "not sent" to "unclear".
CONNECT_TIMEOUT = timedelta(seconds=5)
# The first random wait between tries is at most the one, any of them at most the other.
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 4.0
# The largest honest answer seen is some 100 kB; reading one of this size, made to be slow, holds up
# everything else for half a second.
_BODY_LIMIT = 4 * 1024 * 1024
# Unpacked answers only: nothing is decoded, or 275 bytes could become gigabytes.
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "c2s-enrich",
}


@dataclass(frozen=True)
class CallServices:
    """What all upstreams share. `transports`, by upstream, stand in for the network in tests; they
    must report httpcore's `trace` events.
    """

    limits: Limits
    clock: Clock
    metrics: Metrics
    transports: Mapping[str, AnyTransport] = field(default_factory=dict)


class Upstream:
    """One service we call; owns its connections until `aclose`.

    `timeout` is the total time of one request, to the last byte of its answer; `tries` counts
    requests of one idempotent call; `paid`: its owner charges for it. `credentials` are the headers
    that authorise us, in alternative forms: the first is used until it is refused, then the next is
    tried once, and the form that worked is kept. `unwrap` may replace an answer before it is
    judged. `transport` names it among the given ones.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        timeout: timedelta,
        services: CallServices,
        credentials: Sequence[Mapping[str, str]] = ({},),
        *,
        tries: int = 3,
        paid: bool = False,
        unwrap: Callable[[Response], Response] | None = None,
        transport: str = "",
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._services = services
        self._timeout, self._tries, self._paid = timeout, tries, paid
        host = {"Host": httpx.URL(base_url).netloc.decode()}
        self._credentials = [httpx.Headers({**host, **_HEADERS, **form}) for form in credentials]
        self._unwrap = unwrap
        # Not a client: that logs each URL, follows the environment's proxies and keeps cookies.
        given = services.transports.get(transport or name)
        self._transport = given or Transport(_BODY_LIMIT)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def admit(self) -> Admission:
        """The limits' leave for one call. Raises Paused, BudgetSpent, NoSlot."""
        return await self._services.limits.admit(self.name)

    async def call(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        read: Callable[[Response], T],
        params: Mapping[str, str] | None = None,
        json: object = None,
        idempotent: bool = True,
        admission: Admission | None = None,
        before_send: Callable[[], None] | None = None,
    ) -> T:
        """Calls the upstream and returns what `read` makes of the answer.

        `read` sees 2xx and 4xx except 429; what it raises decides about the upstream's pause like
        any other failure. `path` is percent-encoded already. The first try goes out under
        `admission` where the caller has one. `before_send` runs the moment before the first byte;
        when it raises, nothing was sent and its exception passes through. Raises UpstreamError; a
        call that is not idempotent and may have arrived raises Uncertain.
        """
        url = self._base_url + path + (f"?{urlencode(params)}" if params else "")
        request = OutgoingRequest(kind, method, url, json, idempotent, before_send)
        try:
            return await self._try(request, read, admission)
        except Unavailable as error:
            failures = [error]

        async def again() -> T:
            """For tenacity, which comes in with the first failure: nearly every call has none."""
            if failures:
                raise failures.pop()
            return await self._try(request, read)

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._tries if idempotent else 1),
            wait=tenacity.wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
            retry=tenacity.retry_if_exception_type(Unavailable),
            sleep=self._services.clock.sleep,
            reraise=True,
        )
        answer: T = await retrying(again)
        return answer

    async def _try(
        self,
        request: OutgoingRequest,
        read: Callable[[Response], T],
        admission: Admission | None = None,
    ) -> T:
        """When it is cancelled or `before_send` stops it, a probe's mark lapses by itself."""
        limits = self._services.limits
        admission = admission or await self.admit()
        started = time.perf_counter()
        result = "abandoned"
        try:
            answer = await self._ask(request, read)
            result = "ok"
        except UpstreamError as error:
            result = type(error).__name__
            await limits.failed(admission, error)
            raise
        finally:
            seconds = time.perf_counter() - started
            call = {"upstream": self.name, "kind": request.kind, "result": result}
            self._services.metrics.upstream_call(**call, seconds=seconds)
            paid = self._paid and result == "ok"
            tell_attempt("calls", **call, paid=paid, seconds=seconds)
            facts = {**call, "duration_s": round(seconds, 3)}
            _log.tell("info", "upstream_called", facts, searched=False)
        await limits.succeeded(admission)
        return answer

    async def _ask(self, request: OutgoingRequest, read: Callable[[Response], T]) -> T:
        """Sends the request; where the credential is refused, again with each other form of it."""
        refusals: list[Unauthorised] = []
        for form in list(self._credentials):
            response = await self._exchange(request, form)
            response = self._unwrap(response) if self._unwrap else response
            self._judge(response, request)
            try:
                answer = read(response)
            except Unauthorised as refusal:
                refusals.append(refusal)
                continue
            if form is not self._credentials[0]:
                self._credentials.remove(form)
                self._credentials.insert(0, form)
            return answer
        raise refusals[0]

    async def _exchange(self, request: OutgoingRequest, headers: httpx.Headers) -> Response:
        """One request over the wire, or the error that says whether it can have arrived."""
        wire = WireProgress(request)
        total = self._timeout.total_seconds()
        connect = min(total, CONNECT_TIMEOUT.total_seconds())
        # Whole as given: httpx's own composing of headers and content takes four times as long.
        body = b"" if request.json is None else msgspec.json.encode(request.json)
        if request.method != "GET":
            headers = headers.copy()
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(body))
        outgoing = httpx.Request(
            request.method,
            request.url,
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions={"timeout": {"connect": connect, "read": total}, "trace": wire.trace},
        )
        outgoing.read()
        try:
            async with asyncio.timeout(total):
                incoming = await self._transport.handle_async_request(outgoing)
                # The stream itself: httpx's own readers decode it.
                assert isinstance(incoming.stream, httpx.AsyncByteStream)  # noqa: S101
                body = b"".join([part async for part in incoming.stream])
        except AnswerTooLarge:
            detail = f"an answer of more than {_BODY_LIMIT} bytes"
            failure = request.failure(Unreadable, self.name, detail)
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
            if error is wire.stopped_by:
                raise
            failure = wire.failure(self.name, error)
        else:
            return Response(self.name, incoming.status_code, incoming.headers, body)
        # Outside the handler, so that httpx's error, which knows the URL, is not its context.
        raise failure

    def _judge(self, response: Response, request: OutgoingRequest) -> None:
        """Raises for the statuses that mean the same everywhere; 2xx and 4xx are the reader's."""
        status = response.status
        headers = response.headers
        if status == 429 or (status == 503 and request.idempotent and "retry-after" in headers):
            wait = read_retry_after(headers.get("retry-after"), headers.get("date"))
            raise Throttled(self.name, wait)
        detail = f"HTTP {status}"
        if status >= 500 or status == 408:
            raise request.failure(Unavailable, self.name, detail)
        packed = headers.get("content-encoding", "identity").strip().lower()
        if response.ok and packed not in ("", "identity"):
            detail += " with a packed body, which was not asked for"
            raise request.failure(Unreadable, self.name, detail)
        if status < 200 or 300 <= status < 400:
            detail += ": redirects are not followed"
            raise request.failure(Unreadable, self.name, detail)
