"""Hostile bodies and hostile lines, against the real server on a real socket: each has a definite
answer, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import Database
from tests.intake.conftest import PATH, Kept, an_event, kept

from c2s_enrich.sandbox.stage import WEBHOOK_TOKEN, Stage

HEAD = f"POST {PATH} HTTP/1.1\r\nHost: web\r\nX-Webhook-Token: {WEBHOOK_TOKEN}\r\n".encode()
TIME = b'"updated_at":"2025-06-01T13:00:00Z"'
GOOD = b'{"id":1,' + TIME + b"}"
MIB = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    status: int
    head: bytes
    body: bytes

    @property
    def reason(self) -> str:
        return str(json.loads(self.body).get("reason", ""))


class Line:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Line:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> Answer:
        async with asyncio.timeout(20):
            head = await self._reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 100"):
                head = await self._reader.readuntil(b"\r\n\r\n")
            lengths = [
                line.split(b":")[1]
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ]
            return Answer(
                int(head.split(b" ", 2)[1]), head, await self._reader.readexactly(int(lengths[0]))
            )

    async def rest(self) -> bytes:
        """Whatever still comes until the other end closes."""
        async with asyncio.timeout(20):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    async def close(self, *, abruptly: bool = False) -> None:
        if abruptly:
            # A zero linger time makes the close a reset.
            self._writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


class Server:
    """The product's own web process."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._lines: list[Line] = []

    async def line(self) -> Line:
        line = await Line.open(self._stage.web_port)
        self._lines.append(line)
        return line

    async def post(self, body: bytes, head: bytes = HEAD) -> Answer:
        line = await self.line()
        await line.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return await line.answer()

    async def still_serves(self, db: Database) -> None:
        """An ordinary delivery is stored, and the process is the one that was started."""
        before = (await kept(db)).events
        assert (await self.post(json.dumps(an_event("afterwards")).encode())).status == 200
        assert (await kept(db)).events == before + 1
        assert self._stage.alive("web")

    async def close(self) -> None:
        for line in self._lines:
            await line.close()


@pytest.fixture
async def server(db: Database, tmp_path: Path) -> AsyncIterator[Server]:
    async with Stage(
        tmp_path, db.url, settings={"RECEIVE_TIMEOUT": "1", "STORE_TIMEOUT": "4"}
    ) as stage:
        await stage.start_web()
        started = Server(stage)
        yield started
        await started.close()


class TestBodies:
    CASES = (
        ("100,000 [", b"[" * 100_000, 400, "too_deep"),
        ("100,000 {", b'{"a":' * 100_000, 400, "too_deep"),
        ("a number of 5,000 digits", b'{"id":1,"x":' + b"9" * 5000 + b"," + TIME + b"}", 200, ""),
        (
            "a number of 200,000 digits",
            b'{"id":1,"y":' + b"9" * 200_000 + b"," + TIME + b"}",
            400,
            "not_storable",
        ),
        (
            "an id of 5,000 digits",
            b'{"id":' + b"9" * 5000 + b"," + TIME + b"}",
            400,
            "id_unreadable",
        ),
        (
            "a time of 5,000 digits",
            b'{"id":1,"updated_at":' + b"9" * 5000 + b"}",
            400,
            "updated_at_unreadable",
        ),
        (
            "a time beyond all numbers",
            b'{"id":1,"updated_at":1e200000}',
            400,
            "updated_at_unreadable",
        ),
        ("NaN", b'{"id":1,"x":NaN,' + TIME + b"}", 400, "not_json"),
        ("Infinity", b'{"id":1,"x":-Infinity,' + TIME + b"}", 400, "not_json"),
        ("1e200000", b'{"id":1,"x":1e200000,' + TIME + b"}", 400, "not_storable"),
        ("1e-200000", b'{"id":1,"x":1e-200000,' + TIME + b"}", 400, "not_storable"),
        ("NUL, escaped", b'{"id":1,"x":"\\u0000",' + TIME + b"}", 400, "nul_character"),
        ("NUL", b'{"id":1,"x":"\x00",' + TIME + b"}", 400, "not_json"),
        ("half a surrogate pair", b'{"id":1,"x":"\\ud800",' + TIME + b"}", 400, "lone_surrogate"),
        (
            "the halves the wrong way round",
            b'{"id":1,"x":"\\ude00\\ud83d",' + TIME + b"}",
            400,
            "lone_surrogate",
        ),
        ("a surrogate in UTF-8", b'{"id":1,"x":"\xed\xa0\x80",' + TIME + b"}", 400, "not_utf8"),
        ("a whole surrogate pair", b'{"id":"pair","x":"\\ud83d\\ude00",' + TIME + b"}", 200, ""),
        ("BOM", b'\xef\xbb\xbf{"id":"bom",' + TIME + b"}", 200, ""),
        ("UTF-16", GOOD.decode().encode("utf-16"), 400, "not_utf8"),
        ("UTF-16 without BOM", GOOD.decode().encode("utf-16-le"), 400, "not_json"),
        ("latin-1", b'{"id":"Jo\xe3o",' + TIME + b"}", 400, "not_utf8"),
        ("a key given twice", b'{"id":1,"id":"second","x":1,"x":2,' + TIME + b"}", 200, ""),
        ("nothing", b"", 400, "empty_body"),
        ("an empty array", b"[]", 400, "empty_array"),
        ("an empty object", b"{}", 400, "id_missing"),
        ("escaped quotes without end", b'{"data":["' + b'\\"' * 400_000, 400, "not_json"),
        ("a form", b"id=1", 400, "not_json"),
        ("too many events", b"[" + b",".join([GOOD] * 1001) + b"]", 413, "too_many_events"),
        (
            "the longest index key",
            b'{"id":"' + "\U0001f600".encode() * 200 + b'",' + TIME + b"}",
            200,
            "",
        ),
    )

    async def test_each_has_its_answer_and_is_kept(self, server: Server, db: Database) -> None:
        for name, body, status, reason in self.CASES:
            before = await kept(db)

            answer = await server.post(body)

            after = await kept(db)
            assert (name, answer.status, answer.reason) == (name, status, reason)
            stored = (1, 0) if status == 200 else (0, 1)
            assert (name, after.events - before.events, after.rejected - before.rejected) == (
                name,
                *stored,
            )
            if status != 200:
                assert (
                    await db.value("select raw from rejected_deliveries order by id desc limit 1")
                    == body
                )
        await server.still_serves(db)

    async def test_too_large_is_413_in_one_piece_and_in_many(
        self, server: Server, db: Database
    ) -> None:
        whole = await server.post(b" " * (MIB + 1))
        line = await server.line()
        await line.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(17):
            await line.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await line.send(b"0\r\n\r\n")
        chunked = await line.answer()

        assert [(answer.status, answer.reason) for answer in (whole, chunked)] == [
            (413, "body_too_large")
        ] * 2
        assert await kept(db) == Kept(0, 0)

    async def test_in_chunks_is_a_body_like_any_other(self, server: Server, db: Database) -> None:
        line = await server.line()
        await line.send(
            HEAD
            + b"Transfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD)
            + b"0\r\n\r\n"
        )

        assert (await line.answer()).status == 200
        assert await kept(db) == Kept(1, 0)


class TestAContentLengthThatLies:
    async def test_by_promising_more_than_comes_is_408(self, server: Server, db: Database) -> None:
        line = await server.line()
        await line.send(HEAD + b"Content-Length: %d\r\n\r\n" % (len(GOOD) + 1) + GOOD)

        answer = await line.answer()

        assert (answer.status, answer.reason) == (408, "body_too_slow")
        assert await line.rest() == b""
        assert await kept(db) == Kept(0, 0)

    async def test_by_promising_less_than_comes_is_answered_for_what_it_promised(
        self, server: Server, db: Database
    ) -> None:
        line = await server.line()
        await line.send(HEAD + b"Content-Length: %d\r\n\r\n" % (len(GOOD) - 1) + GOOD)

        first = await line.answer()
        rest = await line.rest()

        assert (first.status, first.reason) == (400, "not_json")
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400")
        assert await kept(db) == Kept(0, 1)

    async def test_by_promising_gigabytes_is_413_before_they_come(
        self, server: Server, db: Database
    ) -> None:
        line = await server.line()
        await line.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n")

        assert (await line.answer()).status == 413
        assert await kept(db) == Kept(0, 0)

    @pytest.mark.parametrize(
        "lengths",
        [
            b"Content-Length: -1\r\n",
            b"Content-Length: 1, 2\r\n",
            b"Content-Length: 1\r\nContent-Length: 2\r\n",
            b"Content-Length: 0x1\r\n",
            b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            b"Content-Length: 99999999999999999999999999\r\n",
        ],
    )
    async def test_by_contradicting_itself_is_not_http(
        self, server: Server, db: Database, lengths: bytes
    ) -> None:
        line = await server.line()
        await line.send(HEAD + lengths + b"\r\n" + b"{}")

        answer = await line.answer()

        assert (answer.status, answer.reason) == (400, "not_http")
        assert await line.rest() == b""
        assert await kept(db) == Kept(0, 0)


class TestABrokenHead:
    @pytest.mark.parametrize(
        "head",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"POST " + PATH.encode() + b"/\xff\xfe HTTP/1.1\r\nHost: web\r\n\r\n",
            b"POST / HTTP/9.9\r\n\r\n",
            b"no http at all\r\n\r\n",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ],
        ids=["TLS", "bytes in the path", "a version", "words", "a chunk's size"],
    )
    async def test_is_400_in_the_usual_form_or_an_ordinary_refusal(
        self, server: Server, db: Database, head: bytes
    ) -> None:
        line = await server.line()
        await line.send(head)

        answer = await line.answer()

        assert answer.status in (400, 401, 404)
        assert b"application/problem+json" in answer.head
        await server.still_serves(db)

    async def test_without_end_is_431(self, server: Server) -> None:
        line = await server.line()
        try:
            await line.send(HEAD)
            for number in range(40):
                await line.send(b"X-Filler-%d: " % number + b"a" * 1024 + b"\r\n")
                await asyncio.sleep(0.005)
        except ConnectionError:
            return

        assert (await line.answer()).status == 431

    async def test_that_does_not_come_is_408(self, server: Server) -> None:
        line = await server.line()
        await line.send(HEAD)

        assert (await line.answer()).reason == "head_too_slow"


class TestAClientThatHangsUp:
    WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD

    @pytest.mark.parametrize("abruptly", [False, True])
    async def test_at_any_byte_leaves_nothing_or_all_of_it(
        self, server: Server, db: Database, abruptly: bool
    ) -> None:
        complete = len(self.WHOLE)
        for length in [*range(0, complete, 13), complete - 1]:
            line = await server.line()
            await line.send(self.WHOLE[:length])
            await line.close(abruptly=abruptly)

        assert await kept(db) == Kept(0, 0)
        await server.still_serves(db)

    async def test_right_after_its_body_is_stored_once_and_a_repetition_is_a_duplicate(
        self, server: Server, db: Database
    ) -> None:
        line = await server.line()
        await line.send(self.WHOLE)
        await line.close()

        answer = await server.post(GOOD)

        assert answer.status == 200
        assert await kept(db) == Kept(1, 0)


class TestSlowSenders:
    """A byte a second and ten seconds' patience, ten times as fast."""

    SECONDS = 0.1
    # What comes at once, what then comes again and again, and the answer.
    WAYS = (
        (HEAD + b"X-Slow: ", b"a", "head_too_slow"),
        (HEAD + b"Content-Length: 100000\r\n\r\n{", b" ", "body_too_slow"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", "body_too_slow"),
    )

    async def test_many_that_never_stop_hold_nobody_up_and_are_sent_away(
        self, server: Server, db: Database
    ) -> None:
        slow = [
            asyncio.create_task(self.drip(await server.line(), *self.WAYS[number % 3]))
            for number in range(200)
        ]
        normal = []
        while not all(sender.done() for sender in slow):
            normal.append((await server.post(json.dumps(an_event()).encode())).status)
            await asyncio.sleep(0.02)

        assert normal
        assert set(normal) == {200}
        assert [await sender for sender in slow] == [
            (408, self.WAYS[number % 3][2]) for number in range(200)
        ]
        assert await kept(db) == Kept(len(normal), 0)

    async def drip(self, line: Line, beginning: bytes, drop: bytes, _: str) -> tuple[int, str]:
        """Sends until the server has had enough of it; its answer."""

        async def send_on() -> None:
            while True:
                await asyncio.sleep(self.SECONDS)
                await line.send(drop)

        await line.send(beginning)
        dripping = asyncio.create_task(send_on())
        answer = await line.answer()
        # It was still sending when it was answered.
        assert not dripping.done()
        dripping.cancel()
        return answer.status, answer.reason

    @pytest.mark.parametrize(
        "request_line", [b"POST " + PATH.encode(), b"POST /nothing/here", b"GET " + PATH.encode()]
    )
    async def test_that_were_refused_cannot_hold_their_line(
        self, server: Server, request_line: bytes
    ) -> None:
        line = await server.line()
        await line.send(request_line + b" HTTP/1.1\r\nHost: web\r\nContent-Length: 1000\r\n\r\n")

        answer = await line.answer()

        # It never sends the rest; the server ends the line by itself.
        assert answer.status in (401, 404, 405)
        assert await line.rest() == b""


class TestOneLine:
    async def test_carries_one_delivery_after_another(self, server: Server, db: Database) -> None:
        line = await server.line()
        statuses = []
        for number in range(5):
            body = b'{"id":%d,' % number + TIME + b"}"
            await line.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            statuses.append((await line.answer()).status)

        assert statuses == [200] * 5
        assert await kept(db) == Kept(5, 0)

    async def test_carries_deliveries_that_do_not_wait_for_each_other(
        self, server: Server, db: Database
    ) -> None:
        bodies = [b'{"id":%d,' % number + TIME + b"}" for number in range(5)]
        line = await server.line()
        await line.send(
            b"".join(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies)
        )

        assert [(await line.answer()).status for _ in bodies] == [200] * 5
        assert await kept(db) == Kept(5, 0)

    async def test_goes_on_after_a_refusal_whose_body_came(
        self, server: Server, db: Database
    ) -> None:
        wrong = HEAD.replace(WEBHOOK_TOKEN.encode(), b"wrong")
        line = await server.line()
        await line.send(wrong + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
        refused = await line.answer()
        await line.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD)

        assert (refused.status, (await line.answer()).status) == (401, 200)
        assert await kept(db) == Kept(1, 0)
