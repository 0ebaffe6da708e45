"""Whatever is sent: no 5xx but 503, no 200 without a row and no row without a 200. Bytes, headers
and JSON by the thousand, drawn by dice: hypothesis took twice as long to draw a request as we take
to answer it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.types import Message
from tests.conftest import Database
from tests.intake.conftest import PATH, TOKEN, Kept, Web, kept

# In each of three classes, which may run side by side: one after the other, each judged by itself.
REQUESTS = 1670

ODD = '\x00\x01\x1f\x7f\x85\xa0\ud800\udfff\u2028\u202e\ufeff\uffff\U0010ffff"\\/%&é😀'
NUMBERS = [
    *("0", "-0", "1.0", "1e400", "-1e999", "1e200000", "1e-200000", "9" * 60, "1748782800"),
    *("NaN", "-", "1.5", "007"),
]
INTEGERS = [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**40]
FLOATS = [0.0, -0.0, 1.5, 5e-324, 1.7e308, float("inf"), float("-inf"), float("nan")]
FIELDS = [
    *("id", "lead_id", "data", "lead", "attributes", "updated_at", "created_at", "hook_action"),
    *("archive_details", "done_details", "x"),
]
TIMES = [
    *["2025-06-01T10:00:00Z"] * 4,
    *("2025-06-01 10:00", "1748782800", "9999-12-31T23:59:59Z", "2025-02-30T00:00:00Z", "x"),
]
# What Python does not write: these texts stand for JSON that only the database refuses, and for too
# many levels.
UNUSUAL = {b'"huge"': b"1e200000", b'"deep"': b"[" * 300 + b"]" * 300}
PIECES = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"\x00", b"\xff"),
    *(b"\xef\xbb\xbf", b"null", b"true", b'"id":1,', b'"data":[', b'"data":{', b'"attributes":{'),
    *(b'"updated_at":"2025-06-01T10:00:00Z"', b'"updated_at":1e400', b'"\\ud800"', b'"\\u0000"'),
    *(b'"archive_details":{"archived":', b'{"id":1,"updated_at":"2025-06-01T10:00:00Z"}'),
]
NAMES = [
    *(b"x-webhook-token", b"authorization", b"content-length", b"content-encoding"),
    *(b"content-type", b"expect", b"x-request-id", b"x-webhook-event", b"user-agent"),
    *(b"transfer-encoding", b"host"),
]
HEADER_VALUES = [
    *(TOKEN.encode(), b"Bearer " + TOKEN.encode(), b"identity", b"gzip", b"5", b"99999999999"),
    *(b"100-continue", b"c2s"),
]
QUERIES = [b"hook_action=on_close_lead", b"event=a&event=b", b"&" * 30, b"hook_action=%00%ff"]
RIGHT = (b"x-webhook-token", TOKEN.encode())


@dataclass(frozen=True)
class Ask:
    """One request. `parts` are the pieces in which its body comes; `stays` is whether the sender
    waits for the answer.
    """

    parts: tuple[bytes, ...]
    method: str = "POST"
    path: str = PATH
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = (RIGHT,)
    stays: bool = True


class Dice(Random):
    """Draws what may come in."""

    def some(self, draw: Callable[[], Any], most: int) -> list[Any]:
        return [draw() for _ in range(self.randint(0, most))]

    def text(self) -> str:
        odd = self.random() < 0.4
        return "".join(self.some(self._odd_character if odd else self._character, 8))

    def _character(self) -> str:
        return chr(self.randint(32, 126))

    def _odd_character(self) -> str:
        return self.choice((self.choice(ODD), chr(self.randrange(0x110000)), self._character()))

    def value(self, levels: int = 3) -> Any:
        kind = self.randrange(12 if levels else 8)
        if kind > 9:
            return {self.choice(FIELDS): self.value(levels - 1) for _ in range(self.randint(0, 4))}
        if kind > 7:
            return self.some(lambda: self.value(levels - 1), 3)
        return (
            *(None, self.random() < 0.5, self.choice(INTEGERS), self.choice(FLOATS), self.text()),
            *(self.choice(TIMES), self.choice(("huge", "deep")), self.randint(-1000, 1000)),
        )[kind]

    def event(self) -> dict[str, Any]:
        event = {
            "id": self.choice((self.randint(0, 9), self.text())),
            "updated_at": self.choice(TIMES),
        }
        return event | {name: self.value() for name in ("x", "hook_action") if self.random() < 0.5}

    def json(self) -> bytes:
        def one() -> Any:
            return self.event() if self.random() < 0.7 else self.value()

        kind = self.randrange(4)
        if kind == 0:
            return json.dumps(one(), ensure_ascii=False).encode("utf-8", "surrogatepass")
        text = json.dumps(one() if kind == 1 else self.some(one, 3)).encode()
        for word, meant in UNUSUAL.items():
            text = text.replace(word, meant)
        return text

    def raw(self) -> bytes:
        kind = self.randrange(3)
        if kind == 0:
            return self.randbytes(self.randint(0, 60))
        if kind == 1:
            return self.damaged()
        return b"".join(self.some(lambda: self.choice((*PIECES, *map(str.encode, NUMBERS))), 14))

    def damaged(self) -> bytes:
        """An honest body with a few bytes taken out, put in or exchanged."""
        whole = self.event() if self.random() < 0.5 else self.some(self.event, 2)
        body = bytearray(json.dumps(whole).encode())
        for _ in range(self.randint(0, 2)):
            at = self.randint(0, len(body))
            put = (self.randbytes(self.randint(0, 3)), self.choice(PIECES))
            body[at : at + self.randint(0, 3)] = self.choice(put)
        return bytes(body)

    def part(self) -> bytes:
        return self.choice((self.damaged(), self.randbytes(self.randint(0, 20))))

    def header(self) -> tuple[bytes, bytes]:
        return (
            self.choice((self.choice(NAMES), self.randbytes(self.randint(1, 10)).lower())),
            self.choice((self.choice(HEADER_VALUES), self.randbytes(self.randint(0, 30)))),
        )

    def request(self) -> Ask:
        somewhere = f"{PATH}/{unquote(self.text())}"
        return Ask(
            tuple(self.some(self.part, 3)),
            self.choice(["POST"] * 12 + ["GET", "HEAD", "PUT", "BREW", "OPTIONS"]),
            self.choice((PATH, f"{PATH}/", f"{PATH}/{TOKEN}", somewhere)),
            self.choice((self.randbytes(self.randint(0, 20)), self.choice(QUERIES))),
            (*self.some(self.header, 5), *self.choice(((), (RIGHT,), (RIGHT,)))),
            stays=self.random() < 0.75,
        )


async def answer_of(web: Web, ask: Ask) -> tuple[int, dict[str, Any]]:
    """Status and JSON; 0 where nobody was there to be answered."""
    parts = list(ask.parts)
    waits = asyncio.Event()

    async def receive() -> Message:
        if parts:
            return {
                "type": "http.request",
                "body": parts.pop(0),
                "more_body": bool(parts) or not ask.stays,
            }
        if ask.stays and not ask.parts and not waits.is_set():
            waits.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.disconnect"}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": ask.path,
        "raw_path": b"",
        "root_path": "",
        "query_string": ask.query,
        "headers": list(ask.headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await web.app(scope, receive, send)
    if not sent:
        return 0, {}
    return sent[0]["status"], json.loads(sent[1]["body"])


class Promises:
    """What the database holds must be what the answers said, after each example."""

    def __init__(self, web: Web, db: Database) -> None:
        self._web = web
        self._db = db
        self._before = Kept(0, 0)

    async def are_kept(self, *asks: Ask) -> None:
        answers = await asyncio.gather(*(answer_of(self._web, ask) for ask in asks))
        before, self._before = self._before, await kept(self._db)
        assert {status for status, _ in answers} <= {0, 200, 400, 401, 404, 405, 413, 415}
        receipts = [body for _, body in answers if "processed" in body]
        for status, body in answers:
            assert (status == 200) == (body.get("status") == "received")
            if status == 200:
                assert body["processed"] + body["duplicates"] > 0
            if "processed" in body:
                assert body["processed"] + body["duplicates"] + body["rejected"] == body["received"]
                assert status == 200 or body["processed"] == 0
        problems = sum(len(body.get("errors", ())) for body in receipts)
        stored = sum(body["processed"] for body in receipts)
        assert self._before == Kept(before.events + stored, before.rejected + problems)


@pytest.fixture
def promises(web: Web, db: Database) -> Promises:
    return Promises(web, db)


class TestBytes:
    async def test_break_no_promise(self, promises: Promises) -> None:
        dice = Dice("bytes")
        for _ in range(REQUESTS):
            await promises.are_kept(Ask((dice.raw(),)))


class TestJson:
    async def test_breaks_no_promise(self, promises: Promises) -> None:
        dice = Dice("json")
        for _ in range(REQUESTS):
            await promises.are_kept(Ask((dice.json(),)))


class TestARequest:
    async def test_breaks_no_promise(self, promises: Promises) -> None:
        dice = Dice("requests")
        for _ in range(REQUESTS):
            await promises.are_kept(dice.request())


class TestRequestsAtOnce:
    """They go out together, so that they share statements; what they did is counted once for all of
    them.
    """

    async def test_break_no_promise(self, promises: Promises) -> None:
        dice = Dice("at once")
        for _ in range(15):
            asks = [dice.choice((Ask((dice.json(),)), dice.request())) for _ in range(25)]
            await promises.are_kept(*asks)
