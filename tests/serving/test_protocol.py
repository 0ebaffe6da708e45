"""What a peer without a token may do: send too much, leave its answers unread, stay silent. None of
it holds memory or keeps a delivery out.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from tests.conftest import told

from c2s_enrich.serving import protocol
from c2s_enrich.serving.protocol import TRUSTED, bounded_protocol
from c2s_enrich.serving.server import listen_on, several_of

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


class Echo:
    """Answers each request with how long its body was and how many requests came so far."""

    def __init__(self) -> None:
        self.requests = 0
        self.padding = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        if scope["path"] == "/delivery":
            scope[TRUSTED] = True
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await self.go_on.wait()
        body = json.dumps([size, self.requests]).encode().ljust(self.padding)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Served:
    def __init__(self, app: Echo, port: int, server: uvicorn.Server) -> None:
        self.app = app
        self._port = port
        self._server = server
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(writer)
        return reader, writer

    async def ask(self, *parts: bytes) -> tuple[int, Any]:
        """One request over a connection of its own."""
        reader, writer = await self.connect()
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        return await answer(reader)

    @property
    def connections(self) -> int:
        return len(self._server.server_state.connections)

    async def until(self, connections: int) -> None:
        async with asyncio.timeout(10):
            while self.connections != connections:
                await asyncio.sleep(0.01)

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


async def answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"th:" in line
        )
        return int(head[9:12]), json.loads(await reader.readexactly(length))


@asynccontextmanager
async def serving(connections: int = 100, head_seconds: float = 10) -> AsyncIterator[Served]:
    app = Echo()
    config = uvicorn.Config(
        app,
        port=0,
        http=bounded_protocol(head_seconds, connections),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    served = Served(app, server.servers[0].sockets[0].getsockname()[1], server)
    try:
        yield served
    finally:
        served.close()
        app.go_on.set()
        server.should_exit = True
        await task


def _no_signals() -> Any:
    return nullcontext()


class TestAnOfferOfAnUpgrade:
    OFFER = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
    )

    @pytest.mark.parametrize("upgrade", [OFFER, OFFER.replace(b"h2c", b"websocket")])
    async def test_is_declined_and_the_body_is_read(self, upgrade: bytes) -> None:
        # As every stock Java client sends it.
        head = b"POST / HTTP/1.1\r\nHost: x\r\n" + upgrade
        whole = head + b"Content-Length: 5\r\n\r\nhello"
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

        async with serving() as server:
            for parts in (
                [whole],
                [whole[:-3], whole[-3:]],
                [whole[:30], whole[30:-5], b"hello"],
                [chunked],
                [chunked[:-10], chunked[-10:]],
            ):
                assert (await server.ask(*parts))[1][0] == 5

    async def test_leaves_the_connection_as_good_as_before(self) -> None:
        offer = b"POST / HTTP/1.1\r\nHost: x\r\n" + self.OFFER + b"Content-Length: 2\r\n\r\nhi"
        async with serving() as server:
            reader, writer = await server.connect()
            writer.write(offer + GET + offer + offer)
            sizes = [(await answer(reader))[1][0] for _ in range(4)]
            writer.write(GET)

            assert sizes == [2, 0, 2, 2]
            assert (await answer(reader))[1] == [0, 5]

    async def test_without_a_body_is_an_ordinary_request(self) -> None:
        async with serving() as server:
            status, _ = await server.ask(b"GET / HTTP/1.1\r\nHost: x\r\n" + self.OFFER + b"\r\n")

        assert status == 200


class TestWhatIsNoRequest:
    @pytest.mark.parametrize(
        ("sent", "status", "reason"),
        [
            (b"\x16\x03\x01\x02\x00\x01", 400, "not_http"),
            (b"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na", 400, "not_http"),
            (b"POST / HTTP/1.1\r\nX-N\xfamero: 1\r\n\r\n", 400, "not_http"),
        ],
    )
    async def test_is_refused_and_the_log_says_why(
        self, sent: bytes, status: int, reason: str
    ) -> None:
        with told() as lines:
            async with serving() as server:
                answered, said = await server.ask(sent)

        assert (answered, said["reason"]) == (status, reason)
        assert [(line["event"], line["status"], line["reason"]) for line in lines] == [
            ("request", status, reason)
        ]


class TestManyRequestsAtOnce:
    async def test_of_a_few_are_answered_in_order(self) -> None:
        async with serving() as server:
            reader, writer = await server.connect()
            writer.write(GET * 10)

            assert [(await answer(reader))[1][1] for _ in range(10)] == [*range(1, 11)]

    async def test_of_thousands_end_with_the_connection(self) -> None:
        async with serving() as server:
            reader, writer = await server.connect()
            writer.write(GET * 5000)
            await server.until(0)
            read = await reader.read(1 << 20)

            assert server.app.requests <= 1 + protocol._PIPELINE
            assert read.count(b"HTTP/1.1 200") <= 1 + protocol._PIPELINE


class TestAnAnswerThatNobodyReads:
    async def test_ends_its_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocol, "_WRITE_SECONDS", 0.2)
        async with serving() as server:
            server.app.padding = 20_000_000
            _, writer = await server.connect()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(GET)
            await server.until(1)
            await server.until(0)

            server.app.padding = 0
            assert (await server.ask(GET))[0] == 200

    async def test_of_any_size_that_is_read_arrives_whole(self) -> None:
        async with serving() as server:
            server.app.padding = 5_000_000
            reader, writer = await server.connect()
            writer.write(GET)

            assert (await answer(reader))[0] == 200


class TestABodyWithoutContent:
    HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"

    @pytest.mark.parametrize("piece", [b"X-Filler: " + b"x" * 1000 + b"\r\n", b"x" * 1000])
    async def test_but_with_trailers_without_end_is_refused(self, piece: bytes) -> None:
        async with serving() as server:
            _, writer = await server.connect()
            writer.write(self.HEAD + b"0\r\n" + b"X-First: ")
            for _ in range(200):
                writer.write(piece)
                await asyncio.sleep(0)
            await server.until(0)

    async def test_but_with_an_endless_chunk_extension_is_refused(self) -> None:
        async with serving() as server:
            _, writer = await server.connect()
            writer.write(self.HEAD + b"1;")
            for _ in range(200):
                writer.write(b"x" * 1000)
                await asyncio.sleep(0)
            await server.until(0)

    async def test_but_with_a_few_trailers_is_an_ordinary_one(self) -> None:
        async with serving() as server:
            status, read = await server.ask(self.HEAD + b"0\r\nX-Sum: 1\r\n\r\n")

        assert (status, read[0]) == (200, 2)

    async def test_in_many_small_chunks_is_an_ordinary_one(self) -> None:
        async with serving() as server:
            chunk = b"1;" + b"e" * 400 + b"\r\nx\r\n"
            parts = [self.HEAD, *[chunk * 20] * 20, b"0\r\n\r\n"]

            assert (await server.ask(*parts))[1][0] == 402


class TestNewConnections:
    def test_do_not_wait_for_a_turn_of_the_loop_each(self) -> None:
        """Behind many busy connections a turn is long: a new one waited for seconds."""
        made = 0

        class Counting(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                nonlocal made
                made += 1
                transport.close()

        async def accepted_by_turn() -> list[int]:
            loop = asyncio.get_running_loop()
            bound = listen_on("127.0.0.1", 0)
            servers = [await loop.create_server(Counting, sock=each) for each in several_of(bound)]
            # The kernel shakes hands without us.
            clients = [socket.create_connection(bound.getsockname()) for _ in range(10)]
            turns = []
            while made < len(clients):
                before = made
                await asyncio.sleep(0)
                turns.append(made - before)
            for server in servers:
                server.close()
            for client in clients:
                client.close()
            return turns

        assert max(uvloop.run(accepted_by_turn())) == 10


class TestSilentConnections:
    async def test_make_room_for_new_ones(self) -> None:
        async with serving(connections=10) as server:
            silent = [await server.connect() for _ in range(10)]
            await server.until(10)
            for _ in range(20):
                assert (await server.ask(GET))[0] == 200

            assert server.connections <= 10
            assert await silent[0][0].read(1) == b""

    async def test_never_cost_a_request_that_is_being_answered(self) -> None:
        async with serving(connections=10) as server:
            server.app.go_on.clear()
            reader, writer = await server.connect()
            writer.write(GET)
            while not server.app.requests:
                await asyncio.sleep(0.01)
            for _ in range(30):
                await server.connect()
            await asyncio.sleep(0.05)
            server.app.go_on.set()

            assert (await answer(reader))[0] == 200

    async def test_make_room_before_one_that_has_delivered(self) -> None:
        async with serving(connections=3) as server:
            crm = await server.connect()
            crm[1].write(GET.replace(b"/livez", b"/delivery"))
            await answer(crm[0])
            for _ in range(5):
                await server.connect()
                await asyncio.sleep(0.01)
            await server.until(3)

            crm[1].write(GET)
            assert (await answer(crm[0]))[0] == 200

    async def test_that_were_used_last_stay_longest(self) -> None:
        async with serving(connections=10) as server:
            reader, writer = await server.connect()
            for _ in range(9):
                await server.connect()
            await server.until(10)
            writer.write(GET)
            await answer(reader)
            await server.connect()
            await asyncio.sleep(0.05)
            writer.write(GET)

            assert (await answer(reader))[0] == 200
