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

from c2s_enrich import errors
from c2s_enrich.clock import Clock
from c2s_enrich.telemetry.lines import get_logger, tell_attempt
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.upstreams.limits import Admission, Limits
from c2s_enrich.upstreams.response import Response, read_retry_after
from c2s_enrich.upstreams.transport import AnswerTooLarge, Transport, httpx

T = TypeVar("T")
_log = get_logger(__name__)
# What tests and wiring may put in place of the network; nothing else here has to know httpx.
AnyTransport = httpx.AsyncBaseTransport

# A host that does not answer the handshake is down; waiting would blur "not sent" to "unclear".
_CONNECT_SECONDS = 5.0
# The first random wait between tries is at most the one, any of them at most the other.
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 4.0
# The largest honest answer seen is some 100 kB; reading one of this size, made to be slow, holds up
# everything else for half a second.
_BODY_LIMIT = 4 * 1024 * 1024
# Unpacked answers only: nothing is decoded, or 275 bytes could become gigabytes.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "c2s-enrich"}


@dataclass(frozen=True)
class CallServices:
    """What all upstreams share. `transport` stands in for the network in tests; it must call the
    request's extension `before_send`, as `Transport` does.
    """

    limits: Limits
    clock: Clock
    metrics: Metrics
    transport: AnyTransport | None = None


@dataclass(frozen=True)
class _Outgoing:
    """One request before it is sent. `before_send` runs the moment before its first byte."""

    upstream: str
    kind: str
    method: str
    url: str = field(repr=False)
    body: bytes = field(repr=False)
    idempotent: bool
    before_send: Callable[[], None] | None

    def failure(self, kind: type[errors.UpstreamError], detail: str) -> errors.UpstreamError:
        """This kind of failure, or Uncertain where the request may not be repeated."""
        return (kind if self.idempotent else errors.Uncertain)(self.upstream, detail)

    def lost(self, error: Exception, *, sent: bool) -> errors.UpstreamError:
        """What it means that no answer came: can the request have arrived?"""
        if isinstance(error, AnswerTooLarge):
            return self.failure(errors.Unreadable, f"an answer of more than {_BODY_LIMIT} bytes")
        detail = f"connection failed ({type(error.__cause__ or error).__name__})"
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            detail = "time-out"
        if not sent or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return errors.Unavailable(self.upstream, detail + " before anything was sent")
        return self.failure(errors.Unavailable, detail)


@dataclass(eq=False)
class Upstream:
    """One service we call; owns its connections until `aclose`.

    `timeout` is the total time of one request, to the last byte of its answer; `tries` counts
    requests of one idempotent call; `paid`: its owner charges for it. `credentials` are the headers
    that authorise us, in alternative forms: the first is used until it is refused, then the next is
    tried once, and the form that worked is kept. `unwrap` may replace an answer before it is
    judged.
    """

    name: str
    base_url: str
    timeout: timedelta
    services: CallServices
    credentials: Sequence[Mapping[str, str]] = ({},)
    tries: int = 3
    paid: bool = False
    unwrap: Callable[[Response], Response] = lambda response: response

    def __post_init__(self) -> None:
        host = {"Host": httpx.URL(self.base_url).netloc.decode()}
        self._forms = [httpx.Headers({**host, **_HEADERS, **form}) for form in self.credentials]
        # Not a client: that logs each URL, follows the environment's proxies and keeps cookies.
        self._transport = self.services.transport or Transport(_BODY_LIMIT)

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def admit(self) -> Admission:
        """The limits' leave for one call. Raises Paused, BudgetSpent, NoSlot."""
        return await self.services.limits.admit(self.name)

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
        url = self.base_url + path + (f"?{urlencode(params)}" if params else "")
        body = b"" if json is None else msgspec.json.encode(json)
        request = _Outgoing(self.name, kind, method, url, body, idempotent, before_send)
        try:
            return await self._try(request, read, admission)
        except errors.Unavailable as error:
            failures = [error]

        async def again() -> T:
            """For tenacity, which comes in with the first failure: nearly every call has none."""
            if failures:
                raise failures.pop()
            return await self._try(request, read)

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self.tries if idempotent else 1),
            wait=tenacity.wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
            retry=tenacity.retry_if_exception_type(errors.Unavailable),
            sleep=self.services.clock.sleep,
            reraise=True,
        )
        answer: T = await retrying(again)
        return answer

    async def _try(
        self, request: _Outgoing, read: Callable[[Response], T], admission: Admission | None = None
    ) -> T:
        """When it is cancelled or `before_send` stops it, a probe's mark lapses by itself."""
        admission = admission or await self.admit()
        started = time.perf_counter()
        result = "abandoned"
        try:
            answer = await self._ask(request, read)
            result = "ok"
        except errors.UpstreamError as error:
            result = type(error).__name__
            await self.services.limits.failed(admission, error)
            raise
        finally:
            seconds = time.perf_counter() - started
            call = {"upstream": self.name, "kind": request.kind, "result": result}
            self.services.metrics.upstream_call(**call, seconds=seconds)
            tell_attempt("calls", **call, paid=self.paid and result == "ok", seconds=seconds)
            facts = {**call, "duration_s": round(seconds, 3)}
            _log.tell("info", "upstream_called", facts, searched=False)
        await self.services.limits.succeeded(admission)
        return answer

    async def _ask(self, request: _Outgoing, read: Callable[[Response], T]) -> T:
        """Sends the request; where the credential is refused, again with each other form of it."""
        refusals: list[errors.Unauthorised] = []
        for form in list(self._forms):
            response = self.unwrap(await self._exchange(request, form))
            _judge(response, request)
            try:
                answer = read(response)
            except errors.Unauthorised as refusal:
                refusals.append(refusal)
                continue
            if refusals:
                self._forms.remove(form)
                self._forms.insert(0, form)
            return answer
        raise refusals[0]

    async def _exchange(self, request: _Outgoing, headers: httpx.Headers) -> Response:
        """One request over the wire, or the error that says whether it can have arrived."""
        total = self.timeout.total_seconds()
        connect = min(total, _CONNECT_SECONDS)
        sent, objection = False, None

        def before_send() -> None:
            nonlocal sent, objection
            try:
                if request.before_send is not None:
                    request.before_send()
            except Exception as error:
                objection = error
                raise
            sent = True

        if request.method != "GET":
            headers = headers.copy()
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(request.body))
        outgoing = httpx.Request(
            request.method,
            request.url,
            headers=headers,
            # Whole as given: httpx's own composing of headers and content takes four times as long.
            stream=httpx.ByteStream(request.body),
            extensions={"timeout": {"connect": connect, "read": total}, "before_send": before_send},
        )
        outgoing.read()
        try:
            async with asyncio.timeout(total):
                incoming = await self._transport.handle_async_request(outgoing)
                # The stream itself: httpx's own readers decode it.
                assert isinstance(incoming.stream, httpx.AsyncByteStream)  # noqa: S101
                body = b"".join([part async for part in incoming.stream])
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
            if error is objection:
                raise
            failure = request.lost(error, sent=sent)
        else:
            return Response(self.name, incoming.status_code, incoming.headers, body)
        # Outside the handler, so that httpx's error, which knows the URL, is not its context.
        raise failure


def _judge(response: Response, request: _Outgoing) -> None:
    """Raises for the statuses that mean the same everywhere; 2xx and 4xx are the reader's."""
    status, headers = response.status, response.headers
    if status == 429 or (status == 503 and request.idempotent and "retry-after" in headers):
        wait = read_retry_after(headers.get("retry-after"), headers.get("date"))
        raise errors.Throttled(request.upstream, wait)
    if status >= 500 or status == 408:
        raise request.failure(errors.Unavailable, f"HTTP {status}")
    packed = headers.get("content-encoding", "identity").strip().lower()
    if response.ok and packed not in ("", "identity"):
        why = "with a packed body, which was not asked for"
        raise request.failure(errors.Unreadable, f"HTTP {status} {why}")
    if status < 200 or 300 <= status < 400:
        raise request.failure(errors.Unreadable, f"HTTP {status}: redirects are not followed")
