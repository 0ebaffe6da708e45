"""One request, how far it came, and what its failure means: can it have arrived?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from c2s_enrich.errors import Unavailable, Uncertain, UpstreamError
from c2s_enrich.upstreams.transport import httpx


@dataclass(frozen=True)
class OutgoingRequest:
    """One request before it is sent. `before_send` runs the moment before its first byte."""

    kind: str
    method: str
    url: str = field(repr=False)
    json: object = field(repr=False)
    idempotent: bool
    before_send: Callable[[], None] | None

    def failure(self, kind: type[UpstreamError], upstream: str, detail: str) -> UpstreamError:
        """This kind of failure, or Uncertain where the request may not be repeated."""
        return kind(upstream, detail) if self.idempotent else Uncertain(upstream, detail)


@dataclass
class WireProgress:
    """How far a request came, as the transport reports it (httpcore's trace events)."""

    request: OutgoingRequest
    connecting: bool = False
    sending: bool = False
    stopped_by: Exception | None = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.startswith("connection.connect"):
            self.connecting = True
        elif event == "http11.send_request_headers.started":
            try:
                if self.request.before_send is not None:
                    self.request.before_send()
            except Exception as error:
                self.stopped_by = error
                raise
            self.sending = True

    def failure(self, upstream: str, error: Exception) -> UpstreamError:
        """Unavailable where it was not sent or may be sent again, else Uncertain."""
        detail = f"connection failed ({type(error.__cause__ or error).__name__})"
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            detail = "time-out"
        if isinstance(error, _NEVER_SENT) or (self.connecting and not self.sending):
            return Unavailable(upstream, detail + " before anything was sent")
        return self.request.failure(Unavailable, upstream, detail)


# These are raised before the request's first byte is written, whatever the transport.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
