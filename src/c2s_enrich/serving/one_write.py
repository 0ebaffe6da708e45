"""One packet for each answer. Gain: 10 % of web's processor time (465 µs a delivery without it,
420 with it), and the other end reads once, not twice.

uvicorn writes the head and the body of an answer apart. To remove it: do not wrap the transport in
`protocol.py`.
"""

import asyncio
from typing import Any


class OneWrite:
    """A transport that writes once a turn of the loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            self._transport.write(b"".join(self._held))
            self._held.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
