"""The one way out over HTTP: admission, total time limit, tries, and the translation of every
failure into `errors`.

Clients bring a path and a reader (a pure function from Response to nouns); this module never looks
into a body. Its errors and log lines name the upstream, the kind of call and the result; never a
URL, a header or a contact, because all three carry secrets or personal data here.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import httpx
import structlog
import tenacity

from c2s_enrich.clock import Clock
from c2s_enrich.errors import (
    Refused,
    Throttled,
    Unauthorised,
    Unavailable,
    Uncertain,
    Unreadable,
    UpstreamError,
)
from c2s_enrich.telemetry.attempt import tell_attempt
from c2s_enrich.upstreams.limits import LONGEST_THROTTLE, Admission
from c2s_enrich.upstreams.transport import AnswerTooLarge, Transport

T = TypeVar("T")
# What tests and wiring may put in place of the network; nothing else here has to know httpx.
AnyTransport = httpx.AsyncBaseTransport

# An upstream that says 429 without a readable wait: C2S's own bucket is about one minute long.
DEFAULT_RETRY_AFTER = timedelta(seconds=60)
# A host that does not even answer the handshake is down; waiting longer for it would only blur "not
# sent" into "unclear".
CONNECT_TIMEOUT = timedelta(seconds=5)

_PLAIN_REASON = re.compile(r"[^\d@]{1,80}")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Policy:
    """How one upstream is called. `timeout` is the total time of one request, from the first packet
    to the last byte of the answer; `tries` counts requests of one idempotent call; `wait` is the
    upper end of the first random wait between them.
    """

    timeout: timedelta
    tries: int = 3
    wait: timedelta = timedelta(seconds=0.5)
    longest_wait: timedelta = timedelta(seconds=4)
    # The largest honest answer seen is a person's record of some 100 kB; beyond this it is an
    # accident or an attack.
    body_limit: int = 8 * 1024 * 1024
    # Whether the upstream's owner charges for an answer.
    paid: bool = False


@dataclass(frozen=True)
class Response:
    """One answer, read to its end. `upstream` is there so that readers can name it in their errors;
    `body` is not shown.
    """

    upstream: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def is_html(self) -> bool:
        """Whether a web page came: a proxy or a wrong address answered, not the API."""
        says_so = "html" in self.headers.get("content-type", "").lower()
        return says_so or self.body[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))

    def json(self) -> object:
        """The decoded body. Raises Unreadable. Lenient on what the readers clean anyway (BOM, lone
        surrogates, NaN).
        """
        try:
            answer: object = json.loads(self._text())
        except (ValueError, RecursionError):
            # Raised outside the block: the decoder's error holds the whole document.
            pass
        else:
            return answer
        raise self.unreadable("a web page instead of JSON" if self.is_html else "no JSON")

    def refused(self) -> Refused:
        """This answer as an error: understood and rejected."""
        return Refused(self.upstream, self._summary())

    def unauthorised(self) -> Unauthorised:
        """This answer as an error: our credential is refused."""
        return Unauthorised(self.upstream, self._summary())

    def unreadable(self, why: str) -> Unreadable:
        """This answer as an error: it should have been readable."""
        return Unreadable(self.upstream, f"HTTP {self.status} with {why}")

    def _text(self) -> str:
        """The body as text. What is not UTF-8 is Latin-1, whatever the header says: old Brazilian
        services send it with and without saying so, and real Latin-1 is almost never valid UTF-8.
        """
        try:
            return self.body.decode(json.detect_encoding(self.body), "surrogatepass")
        except UnicodeDecodeError:
            return self.body.decode("cp1252", "replace")

    def _summary(self) -> str:
        """The status and, where it is a plain sentence, the upstream's reason. Anything with a
        digit or an @ could be a contact or a token that the upstream repeats, and anything with a
        capital after its first letter a name: that stays out.
        """
        try:
            answer = json.loads(self._text())
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict):
            for key in ("error", "message", "msg", "reason", "statusMsg"):
                reason = answer.get(key)
                if (
                    isinstance(reason, str)
                    and _PLAIN_REASON.fullmatch(reason)
                    and reason[1:] == reason[1:].lower()
                ):
                    return f"HTTP {self.status}: {reason}"
        return f"HTTP {self.status}"


class Limiter(Protocol):
    """What `Upstream` needs of `limits.Limits`."""

    async def admit(self, name: str) -> Admission: ...

    async def succeeded(self, admission: Admission) -> bool: ...

    async def failed(self, admission: Admission, error: UpstreamError) -> None: ...


class CallMetrics(Protocol):
    """Where finished requests are counted; `result` is "ok" or the name of the error."""

    def upstream_call(self, upstream: str, kind: str, result: str, seconds: float) -> None: ...


def same(response: Response) -> Response:
    """The answer as it came."""
    return response


class Upstream:
    """One service we call. Use it as an async context manager: it owns the connections.

    `credentials` are the headers that authorise us, in alternative forms: the first is used until
    it is refused, then the next is tried once, and the form that worked is kept. A given
    `transport` must report httpcore's `trace` events.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        policy: Policy,
        limits: Limiter,
        clock: Clock,
        metrics: CallMetrics,
        *,
        credentials: Sequence[Mapping[str, str]] = ({},),
        transport: AnyTransport | None = None,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._policy = policy
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._credentials = list(credentials)
        # The transport and not a client: a client logs each URL, follows the environment's proxies
        # and keeps cookies.
        self._transport = transport or Transport(policy.body_limit)
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._exit.enter_async_context(self._transport)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exit.aclose()

    async def admit(self) -> Admission:
        """The limits' leave for one call, however long that takes. Raises Paused, BudgetSpent,
        NoSlot.
        """
        return await self._limits.admit(self.name)

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
        unwrap: Callable[[Response], Response] = same,
        admission: Admission | None = None,
        before_send: Callable[[], None] | None = None,
    ) -> T:
        """Calls the upstream and returns what `read` makes of the answer.

        `read` sees 2xx and 4xx except 429; what it raises decides about the upstream's pause like
        any other failure. `path` is percent-encoded already. `unwrap` may replace an answer before
        it is judged (the gateway hides statuses in texts). The first try
        goes out under `admission` where the caller has one already. `before_send` runs the moment
        before the first byte is written; when it raises, nothing was sent and its exception passes
        through. Raises UpstreamError; a call that is not idempotent and may have arrived raises
        Uncertain.
        """
        policy = self._policy
        request = _Request(
            kind, method, self._base_url + path, params, json, idempotent, before_send
        )
        admitted = [admission] if admission is not None else []
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(policy.tries if idempotent else 1),
            wait=tenacity.wait_random_exponential(
                multiplier=policy.wait.total_seconds(), max=policy.longest_wait.total_seconds()
            ),
            retry=tenacity.retry_if_exception_type(Unavailable),
            sleep=self._clock.sleep,
            reraise=True,
        )
        answer: T = await retrying(self._try, request, admitted, read, unwrap)
        return answer

    async def _try(
        self,
        request: _Request,
        admitted: list[Admission],
        read: Callable[[Response], T],
        unwrap: Callable[[Response], Response],
    ) -> T:
        """One try: admission, request, settlement. When it is cancelled or `before_send` stops it,
        a probe's mark lapses by itself.
        """
        admission = admitted.pop() if admitted else await self.admit()
        started = time.perf_counter()
        result = "abandoned"
        try:
            answer = await self._ask(request, read, unwrap)
            result = "ok"
        except UpstreamError as error:
            result = type(error).__name__
            await self._limits.failed(admission, error)
            raise
        finally:
            seconds = time.perf_counter() - started
            self._metrics.upstream_call(self.name, request.kind, result, seconds)
            tell_attempt(
                "calls",
                upstream=self.name,
                kind=request.kind,
                result=result,
                paid=self._policy.paid and result == "ok",
                seconds=seconds,
            )
            _log.info(
                "upstream_called",
                upstream=self.name,
                kind=request.kind,
                result=result,
                duration_s=round(seconds, 3),
            )
        await self._limits.succeeded(admission)
        return answer

    async def _ask(
        self,
        request: _Request,
        read: Callable[[Response], T],
        unwrap: Callable[[Response], Response],
    ) -> T:
        """Sends the request; where the credential is refused, once more with each other form of it."""
        refusals: list[Unauthorised] = []
        for form in list(self._credentials):
            response = unwrap(await self._exchange(request, form))
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

    async def _exchange(self, request: _Request, credentials: Mapping[str, str]) -> Response:
        """One request over the wire, or the error that says whether it can have arrived."""
        wire = _Wire(request.before_send)
        total = self._policy.timeout.total_seconds()
        connect = min(total, CONNECT_TIMEOUT.total_seconds())
        outgoing = httpx.Request(
            request.method,
            httpx.URL(request.url, params=request.params)
            if request.params
            else httpx.URL(request.url),
            # Unpacked answers only: nothing is decoded, or 275 bytes could become gigabytes.
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "c2s-enrich",
                **credentials,
            },
            json=request.json,
            extensions={
                "timeout": {"connect": connect, "read": total},
                "trace": wire.trace,
            },
        )
        try:
            async with asyncio.timeout(total):
                incoming = await self._transport.handle_async_request(outgoing)
                # The stream itself: httpx's own readers decode it.
                assert isinstance(incoming.stream, httpx.AsyncByteStream)  # noqa: S101
                body = b"".join([part async for part in incoming.stream])
        except AnswerTooLarge:
            detail = f"an answer of more than {self._policy.body_limit} bytes"
            failure: UpstreamError = (
                Unreadable(self.name, detail)
                if request.idempotent
                else Uncertain(self.name, detail)
            )
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
            if error is wire.stopped_by:
                raise
            failure = _transport_failure(self.name, error, wire, request.idempotent)
        else:
            return Response(self.name, incoming.status_code, dict(incoming.headers), body)
        # Outside the handler, so that httpx's error, which knows the URL, is not carried along as
        # its context.
        raise failure

    def _judge(self, response: Response, request: _Request) -> None:
        """Raises for the statuses that mean the same at every upstream; 2xx and the other 4xx are
        the reader's.
        """
        status = response.status
        waits = "retry-after" in response.headers
        if status == 429 or (status == 503 and waits and request.idempotent):
            raise Throttled(
                self.name,
                read_retry_after(response.headers.get("retry-after"), response.headers.get("date")),
            )
        if status >= 500 or status == 408:
            detail = f"HTTP {status}"
            raise (
                Unavailable(self.name, detail)
                if request.idempotent
                else Uncertain(self.name, detail)
            )
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        if response.ok and packed not in ("", "identity"):
            detail = f"HTTP {status} with a packed body, which was not asked for"
            raise (
                Unreadable(self.name, detail)
                if request.idempotent
                else Uncertain(self.name, detail)
            )
        if status < 200 or 300 <= status < 400:
            detail = f"HTTP {status}: redirects are not followed"
            raise (
                Unreadable(self.name, detail)
                if request.idempotent
                else Uncertain(self.name, detail)
            )


def read_retry_after(value: str | None, date: str | None = None) -> timedelta:
    """How long a Retry-After asks to wait, from 1 s (no hot loop) to 15 min; 60 s where it is
    absent or cannot be read.

    Seconds ("60"), words ("1 minute", which C2S sends), or an HTTP date. A date is measured against
    `date`, the same answer's Date header, so that a wrong clock on this machine changes nothing;
    only without one does our clock count.
    """
    text = (value or "").strip().lower()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return _bounded(float(text))
    amounts = re.findall(
        r"(\d{1,9}(?:[.,]\d{1,3})?)\s*(s|sec|second|seg|segundo|m|min|minute|minuto|h|hour|hora)s?\b",
        text,
        re.ASCII,
    )
    if amounts:
        return _bounded(
            sum(
                float(number.replace(",", ".")) * {"s": 1, "m": 60, "h": 3600}[unit[0]]
                for number, unit in amounts
            )
        )
    until = _http_date(value)
    if until is not None:
        return _bounded((until - (_http_date(date) or datetime.now(UTC))).total_seconds())
    return DEFAULT_RETRY_AFTER


def _bounded(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 1.0), LONGEST_THROTTLE.total_seconds()))


def _http_date(value: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Request:
    kind: str
    method: str
    url: str = field(repr=False)
    params: Mapping[str, str] | None = field(repr=False)
    json: object = field(repr=False)
    idempotent: bool
    before_send: Callable[[], None] | None


class _Wire:
    """What httpcore reports of one request: how far it came."""

    def __init__(self, before_send: Callable[[], None] | None) -> None:
        self._before_send = before_send
        self.connecting = False
        self.sending = False
        self.stopped_by: Exception | None = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.startswith("connection.connect"):
            self.connecting = True
        elif event == "http11.send_request_headers.started":
            try:
                if self._before_send is not None:
                    self._before_send()
            except Exception as error:
                self.stopped_by = error
                raise
            self.sending = True


# These are raised before the request's first byte is written, whatever the transport.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)


def _transport_failure(
    upstream: str, error: Exception, wire: _Wire, idempotent: bool
) -> UpstreamError:
    """Unavailable where it surely was not sent or may be sent again, else Uncertain. Only the
    error's kind is told.
    """
    timed_out = isinstance(error, TimeoutError | httpx.TimeoutException)
    detail = "time-out" if timed_out else f"connection failed ({type(error).__name__})"
    never_sent = isinstance(error, _NEVER_SENT) or (wire.connecting and not wire.sending)
    if never_sent:
        return Unavailable(upstream, detail + " before anything was sent")
    return Unavailable(upstream, detail) if idempotent else Uncertain(upstream, detail)
