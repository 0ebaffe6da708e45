"""Whatever is sent: no 5xx but 503, no 200 without a row and no row without a 200. Bytes, headers
and JSON by the thousand.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.types import Message
from tests.conftest import Database
from tests.intake.conftest import PATH, TOKEN, Kept, Web, kept

# 5,010 requests in three classes, which may run side by side: five an example, one after the other.
# An example of its own for each would take a third more CPU.
FUZZ = settings(
    max_examples=334,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

# Small parts: most of the time of an example is hypothesis drawing it.
EVERY_TEXT = st.text(st.characters(codec=None), max_size=8)
NUMBERS = st.sampled_from(
    [
        "0",
        "-0",
        "1.0",
        "1e400",
        "-1e999",
        "1e200000",
        "1e-200000",
        "9" * 60,
        "1748782800",
        "NaN",
        "-",
        "1.5",
        "007",
    ]
)
FIELDS = st.sampled_from(
    [
        *("id", "lead_id", "data", "lead", "attributes", "updated_at", "created_at", "hook_action"),
        *("archive_details", "done_details", "x"),
    ]
)
TIMES = st.sampled_from(
    [
        "2025-06-01T10:00:00Z",
        "2025-06-01 10:00",
        "1748782800",
        "9999-12-31T23:59:59Z",
        "2025-02-30T00:00:00Z",
        "x",
    ]
)
# What Python does not write: these texts stand for JSON that only the database refuses, and for too
# many levels.
UNUSUAL = {b'"huge"': b"1e200000", b'"deep"': b"[" * 300 + b"]" * 300}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | EVERY_TEXT
    | TIMES
    | st.sampled_from(["huge", "deep"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=6,
)
EVENTS = st.fixed_dictionaries(
    {"id": st.integers(0, 9) | EVERY_TEXT, "updated_at": TIMES},
    optional={"x": VALUES, "hook_action": VALUES},
)
PIECES = st.sampled_from(
    [
        *(
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b'"',
            b"\\",
            b" ",
            b"\n",
            b"\x00",
            b"\xff",
            b"\xef\xbb\xbf",
            b"null",
            b"true",
        ),
        *(
            b'"id":1,',
            b'"data":[',
            b'"data":{',
            b'"attributes":{',
            b'"updated_at":"2025-06-01T10:00:00Z"',
            b'"updated_at":1e400',
        ),
        *(
            b'"\\ud800"',
            b'"\\u0000"',
            b'"archive_details":{"archived":',
            b'{"id":1,"updated_at":"2025-06-01T10:00:00Z"}',
        ),
    ]
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An honest body with a few bytes taken out, put in or exchanged."""
    body = bytearray(json.dumps(draw(EVENTS | st.lists(EVENTS, max_size=2))).encode())
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3) | PIECES)
    return bytes(body)


def written(value: Any) -> bytes:
    text = json.dumps(value).encode()
    for word, meant in UNUSUAL.items():
        text = text.replace(word, meant)
    return text


def written_raw(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


JSON_BODIES = st.builds(
    written, EVENTS | VALUES | st.lists(EVENTS | VALUES, max_size=3)
) | st.builds(written_raw, EVENTS | VALUES)
BYTE_BODIES = (
    st.binary(max_size=60)
    | st.lists(PIECES | NUMBERS.map(str.encode), max_size=14).map(b"".join)
    | damaged()
)


@dataclass(frozen=True)
class Ask:
    """One request. `parts` are the pieces in which its body comes; `stays` is whether the sender
    waits for the answer.
    """

    parts: tuple[bytes, ...]
    method: str = "POST"
    path: str = PATH
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ((b"x-webhook-token", TOKEN.encode()),)
    stays: bool = True


def ask_with(body: bytes) -> Ask:
    return Ask((body,))


def five(asks: st.SearchStrategy[Ask]) -> st.SearchStrategy[list[Ask]]:
    return st.lists(asks, min_size=5, max_size=5)


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *(
                    b"x-webhook-token",
                    b"authorization",
                    b"content-length",
                    b"content-encoding",
                    b"content-type",
                    b"expect",
                ),
                *(
                    b"x-request-id",
                    b"x-webhook-event",
                    b"user-agent",
                    b"transfer-encoding",
                    b"host",
                ),
            ]
        )
        | st.binary(min_size=1, max_size=10).map(bytes.lower),
        st.sampled_from(
            [
                TOKEN.encode(),
                b"Bearer " + TOKEN.encode(),
                b"identity",
                b"gzip",
                b"5",
                b"99999999999",
                b"100-continue",
                b"c2s",
            ]
        )
        | st.binary(max_size=30),
    ),
    max_size=5,
)
REQUESTS = st.builds(
    Ask,
    parts=st.lists(damaged() | st.binary(max_size=20), max_size=3).map(tuple),
    method=st.sampled_from(["POST"] * 12 + ["GET", "HEAD", "PUT", "BREW", "OPTIONS"]),
    path=st.sampled_from([PATH, f"{PATH}/", f"{PATH}/{TOKEN}"])
    | EVERY_TEXT.map(lambda text: f"{PATH}/{unquote(text)}"),
    query=st.binary(max_size=20)
    | st.sampled_from(
        [b"hook_action=on_close_lead", b"event=a&event=b", b"&" * 30, b"hook_action=%00%ff"]
    ),
    headers=st.builds(
        lambda some, token: (*some, *token),
        HEADERS,
        st.sampled_from([(), ((b"x-webhook-token", TOKEN.encode()),)]),
    ),
    stays=st.sampled_from([True, True, True, False]),
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
        try:
            answers = await asyncio.gather(*(answer_of(self._web, ask) for ask in asks))
        finally:
            # Also where it raised: the examples by which hypothesis then makes it smaller begin
            # with what is there.
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
    @FUZZ
    @given(five(BYTE_BODIES.map(ask_with)))
    async def test_break_no_promise(self, promises: Promises, asks: list[Ask]) -> None:
        for ask in asks:
            await promises.are_kept(ask)


class TestJson:
    @FUZZ
    @given(five(JSON_BODIES.map(ask_with)))
    async def test_breaks_no_promise(self, promises: Promises, asks: list[Ask]) -> None:
        for ask in asks:
            await promises.are_kept(ask)


class TestARequest:
    @FUZZ
    @given(five(REQUESTS))
    async def test_breaks_no_promise(self, promises: Promises, asks: list[Ask]) -> None:
        for ask in asks:
            await promises.are_kept(ask)


class TestRequestsAtOnce:
    """They go out together, so that they share statements; what they did is counted once for all of
    them.
    """

    @settings(FUZZ, max_examples=15)
    @given(st.lists(JSON_BODIES.map(ask_with) | REQUESTS, min_size=25, max_size=25))
    async def test_break_no_promise(self, promises: Promises, asks: list[Ask]) -> None:
        await promises.are_kept(*asks)
