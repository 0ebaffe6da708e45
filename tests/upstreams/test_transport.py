"""The connections to an upstream: one answer belongs to one question and costs what it weighs."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import httpx
import pytest
from tests.upstreams.conftest import MakeRig, Rig, tcp_server

from c2s_enrich.errors import Unavailable, Uncertain, Unreadable
from c2s_enrich.people.contact import Phone
from c2s_enrich.upstreams.transport import Transport

PHONE = Phone("+5511987654321", "11987654321")
NOBODY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]"


def somebody(name: str, encoding: str = "utf-8", content_type: str = "application/json") -> bytes:
    """An answer of Diretrix that suggests one person."""
    body = json.dumps([{"nome": name, "cpf": "52998224725"}], ensure_ascii=False).encode(encoding)
    return whole(body, f"content-type: {content_type}")


def whole(body: bytes, *headers: str) -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


class Server:
    """Answers each request with what `answer` gives for its number; counts connections."""

    def __init__(self, answer: Callable[[int], list[bytes]]) -> None:
        self.answer = answer
        self.connections = 0
        self.requests = 0
        self.most_at_once = 0
        self._open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                for part in self.answer(self.requests):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open -= 1


Serving = Callable[[Callable[[int], list[bytes]]], AbstractAsyncContextManager[tuple[Server, Rig]]]


@pytest.fixture
def serving(make_rig: MakeRig) -> Serving:
    @asynccontextmanager
    async def serve(answer: Callable[[int], list[bytes]]) -> AsyncIterator[tuple[Server, Rig]]:
        server = Server(answer)
        async with tcp_server(server) as url:
            yield server, await make_rig(DIRETRIX_BASE_URL=url, C2S_BASE_URL=url)

    return serve


async def names(rig: Rig) -> list[str]:
    return [candidate.name for candidate in await rig.diretrix.by_phone(PHONE)]


class TestAConnection:
    async def test_is_used_again_once_it_has_rested(self, serving: Serving) -> None:
        async with serving(lambda _: [NOBODY]) as (server, rig):
            for _ in range(3):
                assert await names(rig) == []
                await asyncio.sleep(0.15)

        assert (server.requests, server.connections) == (3, 1)

    @pytest.mark.parametrize(
        "surplus",
        [
            pytest.param([NOBODY + somebody("Errada")], id="a second answer at once"),
            pytest.param([NOBODY, somebody("Errada")], id="a second answer a moment later"),
            pytest.param([NOBODY + b"x"], id="one byte more than announced"),
            pytest.param([NOBODY, b"\r\n"], id="a line more than announced"),
            pytest.param(
                [NOBODY.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")], id="its end"
            ),
            pytest.param([NOBODY.replace(b"1.1", b"1.0")], id="an old protocol"),
        ],
    )
    async def test_that_carried_more_than_its_answer_answers_nothing_else(
        self, serving: Serving, surplus: list[bytes]
    ) -> None:
        def answer(number: int) -> list[bytes]:
            return surplus if number == 1 else [somebody("Certa")]

        async with serving(answer) as (server, rig):
            assert await names(rig) == []
            assert await names(rig) == ["Certa"]
            await asyncio.sleep(0.15)
            assert await names(rig) == ["Certa"]

        assert server.connections >= 2

    async def test_never_has_to_be_waited_for(self, serving: Serving) -> None:
        async with serving(lambda _: [NOBODY]) as (server, rig):
            await asyncio.gather(*(names(rig) for _ in range(300)))

        assert server.requests == 300
        assert rig.limits.ended == [None] * 300

    async def test_that_was_cancelled_is_closed(self, serving: Serving) -> None:
        async with serving(lambda number: [] if number == 1 else [NOBODY]) as (server, rig):
            silent = asyncio.create_task(names(rig))
            while not server.requests:
                await asyncio.sleep(0)
            silent.cancel()
            await asyncio.gather(silent, return_exceptions=True)
            assert await names(rig) == []

        assert server.connections == 2


class TestAName:
    async def test_that_nobody_answers_for_takes_no_more_than_one_lookup(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = asyncio.get_running_loop()
        asked: list[str] = []
        silence = loop.create_future()

        async def look_up(name: str, *_: object, **__: object) -> object:
            asked.append(name)
            return await silence

        async def connect(transport: Transport) -> None:
            request = httpx.Request("GET", "http://hang.test/")
            request.extensions["timeout"] = {"connect": 0.05}
            await transport.handle_async_request(request)

        monkeypatch.setattr(loop, "getaddrinfo", look_up)
        async with aclosing(Transport(1)) as transport:
            lost = [connect(transport) for _ in range(20)]
            told = await asyncio.gather(*lost, return_exceptions=True)
            assert {type(each) for each in told} == {httpx.ConnectTimeout}
            assert asked == ["hang.test"]

            # Once somebody says that it does not exist it is asked for again, and all hear of it.
            silence.set_exception(socket.gaierror("no such name"))
            with pytest.raises(httpx.ConnectError) as caught:
                await connect(transport)
            assert isinstance(caught.value.__cause__, socket.gaierror)

    async def test_has_another_address_where_one_is_dead(
        self, serving: Serving, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def look_up(*_: object, **__: object) -> object:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]

        async with serving(lambda _: [NOBODY]) as (_, rig):
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
            assert await names(rig) == []


class TestAnAnswer:
    @pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip, gzip", "deflate", "br", "x-unknown"])
    async def test_that_is_packed_without_being_asked_is_not_unpacked(
        self, serving: Serving, encoding: str
    ) -> None:
        bomb = gzip.compress(gzip.compress(gzip.compress(b" " * 10_000_000)))
        answer = whole(bomb, f"content-encoding: {encoding}", "content-type: application/json")

        async with serving(lambda _: [answer]) as (_, rig):
            with pytest.raises(Unreadable, match="packed"):
                await names(rig)
            with pytest.raises(Uncertain, match="packed"):
                await rig.c2s.send("lead", "text", "ref", before_send=lambda: None)

    async def test_that_says_identity_is_read(self, serving: Serving) -> None:
        answer = whole(b"[]", "content-encoding: identity")

        async with serving(lambda _: [answer]) as (_, rig):
            assert await names(rig) == []

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(b"HTTP/1.1 102 Wait\r\n\r\n" * 5000, id="a flood of interim answers"),
            pytest.param(b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\n\r\n", id="another protocol"),
            pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40_000, id="headers without end"),
            pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, id="a header without end"),
            pytest.param(
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n[] ",
                id="two lengths",
            ),
            pytest.param(
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n[]",
                id="a length and chunks",
            ),
            pytest.param(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n[]", id="packed on its way"
            ),
            pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="no HTTP at all"),
            pytest.param(
                b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n[]", id="a negative length"
            ),
        ],
    )
    async def test_that_is_not_http_fails_and_may_have_been_a_yes(
        self, serving: Serving, answer: bytes
    ) -> None:
        async with serving(lambda _: [answer]) as (_, rig):
            with pytest.raises(Unavailable):
                await names(rig)
            with pytest.raises(Uncertain):
                await rig.c2s.send("lead", "text", "ref", before_send=lambda: None)

    async def test_may_have_a_few_interim_answers_before_it(self, serving: Serving) -> None:
        answer = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 3 + somebody("Certa")

        async with serving(lambda _: [answer]) as (_, rig):
            assert await names(rig) == ["Certa"]

    async def test_in_tiny_chunks_is_counted_as_it_comes_off_the_wire(
        self, serving: Serving
    ) -> None:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        chunks = b"1;an-extension-that-weighs-more-than-its-byte\r\n \r\n" * 2000

        async with serving(lambda _: [head, *[chunks] * 90]) as (_, rig):
            with pytest.raises(Unreadable, match="more than 4194304 bytes"):
                await names(rig)

    async def test_without_a_length_ends_with_its_connection(self, make_rig: MakeRig) -> None:
        async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n[")
            await writer.drain()
            writer.write(b"]")

        async with tcp_server(conversation) as url:
            rig = await make_rig(DIRETRIX_BASE_URL=url)
            assert await names(rig) == []

    @pytest.mark.parametrize(
        ("encoding", "content_type"),
        [
            ("latin-1", "application/json; charset=iso-8859-1"),
            ("cp1252", 'application/json; charset="windows-1252"'),
            ("latin-1", "application/json"),
            ("latin-1", "application/json; charset=utf-8"),
            ("utf-8", "application/json; charset=iso-8859-1"),
            ("utf-8-sig", "application/json"),
            ("utf-16", "application/json; charset=utf-16"),
        ],
    )
    async def test_keeps_its_accents_in_whatever_it_is_written(
        self, serving: Serving, encoding: str, content_type: str
    ) -> None:
        answer = somebody("JOSÉ CONCEIÇÃO", encoding, content_type)

        async with serving(lambda _: [answer]) as (_, rig):
            assert await names(rig) == ["JOSÉ CONCEIÇÃO"]


class TestARequest:
    async def test_is_sent_once_for_each_question(self, serving: Serving) -> None:
        async with serving(lambda _: [NOBODY * 2]) as (server, rig):
            for _ in range(4):
                assert await names(rig) == []

        assert server.requests == 4

    async def test_carries_no_line_break_of_a_header(self) -> None:
        server = Server(lambda _: [NOBODY])
        async with tcp_server(server) as url:
            request = httpx.Request("GET", url, headers={"x-token": "zzcanary\r\nx-forged: 1"})
            transport = Transport(1024)
            with pytest.raises(httpx.LocalProtocolError):
                await transport.handle_async_request(request)

        assert server.connections == 0
