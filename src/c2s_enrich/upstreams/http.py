"""The one way out over HTTP: admission, total time limit, tries, every failure as one of `errors`.

Clients bring a path and a reader (a pure function from Response to nouns); this module never looks
into a body. Its errors and log lines name the upstream, the kind of call and the result; never a
URL, a header or a contact, because all three carry secrets or personal data here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self, TypeVar

import tenacity

from c2s_enrich.clock import Clock
from c2s_enrich.errors import (
    Throttled,
    Unauthorised,
    Unavailable,
    Unreadable,
    UpstreamError,
)
from c2s_enrich.telemetry.attempt import tell_attempt
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.upstreams.limits import Admission
from c2s_enrich.upstreams.request import OutgoingRequest, WireProgress, transport_failure
from c2s_enrich.upstreams.response import Response, read_retry_after, same
from c2s_enrich.upstreams.transport import AnswerTooLarge, Transport, httpx

T = TypeVar("T")
# What tests and wiring may put in place of the network; nothing else here has to know httpx.
AnyTransport = httpx.AsyncBaseTransport

# A host that does not even answer the handshake is down; waiting longer for it would only blur "not
# sent" into "unclear".
CONNECT_TIMEOUT = timedelta(seconds=5)


_log = get_logger(__name__)


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


class Limiter(Protocol):
    """What `Upstream` needs of `limits.Limits`."""

    async def admit(self, name: str) -> Admission: ...

    async def succeeded(self, admission: Admission) -> bool: ...

    async def failed(self, admission: Admission, error: UpstreamError) -> None: ...


class CallMetrics(Protocol):
    """Where finished requests are counted; `result` is "ok" or the name of the error."""

    def upstream_call(self, upstream: str, kind: str, result: str, seconds: float) -> None: ...


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
        """The limits' leave for one call. Raises Paused, BudgetSpent, NoSlot."""
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
        request = OutgoingRequest(
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
        request: OutgoingRequest,
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
        request: OutgoingRequest,
        read: Callable[[Response], T],
        unwrap: Callable[[Response], Response],
    ) -> T:
        """Sends the request; where the credential is refused, again with each other form of it."""
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

    async def _exchange(self, request: OutgoingRequest, credentials: Mapping[str, str]) -> Response:
        """One request over the wire, or the error that says whether it can have arrived."""
        wire = WireProgress(request.before_send)
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
            failure = request.failure(Unreadable, self.name, detail)
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
            if error is wire.stopped_by:
                raise
            failure = transport_failure(self.name, error, wire, request)
        else:
            return Response(self.name, incoming.status_code, dict(incoming.headers), body)
        # Outside the handler, so that httpx's error, which knows the URL, is not carried along as
        # its context.
        raise failure

    def _judge(self, response: Response, request: OutgoingRequest) -> None:
        """Raises for the statuses that mean the same everywhere; 2xx and 4xx are the reader's."""
        status = response.status
        waits = "retry-after" in response.headers
        if status == 429 or (status == 503 and waits and request.idempotent):
            raise Throttled(
                self.name,
                read_retry_after(response.headers.get("retry-after"), response.headers.get("date")),
            )
        if status >= 500 or status == 408:
            detail = f"HTTP {status}"
            raise request.failure(Unavailable, self.name, detail)
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        if response.ok and packed not in ("", "identity"):
            detail = f"HTTP {status} with a packed body, which was not asked for"
            raise request.failure(Unreadable, self.name, detail)
        if status < 200 or 300 <= status < 400:
            detail = f"HTTP {status}: redirects are not followed"
            raise request.failure(Unreadable, self.name, detail)
