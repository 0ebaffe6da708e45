"""Whatever is sent: no 5xx but 503, no 200 without a row and no row without a 200. Bytes, headers and JSON by the thousand."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.types import Message
from tests.conftest import Database
from tests.intake.conftest import PATH, TOKEN, Kept, Web, kept

# Requests of one example go out together, so that they also share statements; what they did is counted once for all of them.
TOGETHER = 25
FUZZ = settings(
    max_examples=67,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

EVERY_TEXT = st.text(st.characters(codec=None), max_size=12)
NUMBERS = st.sampled_from(["0", "-0", "1.0", "1e400", "-1e999", "1e200000", "1e-200000", "9" * 60, "1748782800", "NaN", "-", "1.5", "007"])
FIELDS = st.sampled_from(
    [*("id", "lead_id", "data", "lead", "attributes", "updated_at", "created_at", "hook_action"), *("archive_details", "done_details", "x")]
)
TIMES = st.sampled_from(["2025-06-01T10:00:00Z", "2025-06-01 10:00", "1748782800", "9999-12-31T23:59:59Z", "2025-02-30T00:00:00Z", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | EVERY_TEXT | TIMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=12,
)
EVENTS = st.fixed_dictionaries({"id": st.integers(0, 9) | EVERY_TEXT, "updated_at": TIMES}, optional={"x": VALUES, "hook_action": VALUES})
PIECES = st.sampled_from(
    [
        *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"\x00", b"\xff", b"\xef\xbb\xbf", b"null", b"true"),
        *(b'"id":1,', b'"data":[', b'"data":{', b'"attributes":{', b'"updated_at":"2025-06-01T10:00:00Z"', b'"updated_at":1e400'),
        *(b'"\\ud800"', b'"\\u0000"', b'"archive_details":{"archived":', b'{"id":1,"updated_at":"2025-06-01T10:00:00Z"}'),
    ]
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An honest body with a few bytes taken out, put in or exchanged."""
    body = bytearray(json.dumps(draw(EVENTS | st.lists(EVENTS, max_size=3))).encode())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3) | PIECES | NUMBERS.map(str.encode))
    return bytes(body)


def written(value: Any) -> bytes:
    return json.dumps(value).encode()


def written_raw(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


JSON_BODIES = st.builds(written, EVENTS | VALUES | st.lists(EVENTS | VALUES, max_size=5)) | st.builds(written_raw, EVENTS | VALUES)
BYTE_BODIES = st.binary(max_size=60) | st.lists(PIECES | NUMBERS.map(str.encode), max_size=14).map(b"".join) | damaged()


@dataclass(frozen=True)
class Ask:
    """One request. `parts` are the pieces in which its body comes; `stays` is whether the sender waits for the answer."""

    parts: tuple[bytes, ...]
    method: str = "POST"
    path: str = PATH
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ((b"x-webhook-token", TOKEN.encode()),)
    stays: bool = True


def ask_with(body: bytes) -> Ask:
    return Ask((body,))


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *(b"x-webhook-token", b"authorization", b"content-length", b"content-encoding", b"content-type", b"expect"),
                *(b"x-request-id", b"x-webhook-event", b"user-agent", b"transfer-encoding", b"host"),
            ]
        )
        | st.binary(min_size=1, max_size=10).map(bytes.lower),
        st.sampled_from([TOKEN.encode(), b"Bearer " + TOKEN.encode(), b"identity", b"gzip", b"5", b"99999999999", b"100-continue", b"c2s"])
        | st.binary(max_size=30),
    ),
    max_size=5,
)
REQUESTS = st.builds(
    Ask,
    parts=st.lists(damaged() | st.binary(max_size=20), max_size=3).map(tuple),
    method=st.sampled_from(["POST", "POST", "POST", "GET", "HEAD", "PUT", "BREW", "OPTIONS"]),
    path=st.sampled_from([PATH, f"{PATH}/", f"{PATH}/{TOKEN}"]) | EVERY_TEXT.map(lambda text: f"{PATH}/{unquote(text)}"),
    query=st.binary(max_size=20) | st.sampled_from([b"hook_action=on_close_lead", b"event=a&event=b", b"&" * 30, b"hook_action=%00%ff"]),
    headers=st.builds(lambda some, token: (*some, *token), HEADERS, st.sampled_from([(), ((b"x-webhook-token", TOKEN.encode()),)])),
    stays=st.sampled_from([True, True, True, False]),
)


async def answer_of(web: Web, ask: Ask) -> tuple[int, dict[str, Any]]:
    """Status and JSON; 0 where nobody was there to be answered."""
    parts = list(ask.parts)
    waits = asyncio.Event()

    async def receive() -> Message:
        if parts:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts) or not ask.stays}
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


async def never_break_a_promise(web: Web, db: Database, asks: list[Ask]) -> None:
    before = await kept(db)

    answers = await asyncio.gather(*(answer_of(web, ask) for ask in asks))

    after = await kept(db)
    statuses = [status for status, _ in answers]
    assert set(statuses) <= {0, 200, 400, 401, 404, 405, 413, 415}
    receipts = [body for _, body in answers if "processed" in body]
    for status, body in answers:
        assert (status == 200) == (body.get("status") == "received")
        if status == 200:
            assert body["processed"] + body["duplicates"] > 0
        if "processed" in body:
            assert body["processed"] + body["duplicates"] + body["rejected"] == body["received"]
            assert status == 200 or body["processed"] == 0
    problems = sum(len(body.get("errors", ())) for body in receipts)
    assert after == Kept(before.events + sum(body["processed"] for body in receipts), before.rejected + problems)


class TestAnything:
    @FUZZ
    @given(st.lists(BYTE_BODIES.map(ask_with), min_size=TOGETHER, max_size=TOGETHER))
    async def test_as_bytes(self, web: Web, db: Database, asks: list[Ask]) -> None:
        await never_break_a_promise(web, db, asks)

    @FUZZ
    @given(st.lists(JSON_BODIES.map(ask_with), min_size=TOGETHER, max_size=TOGETHER))
    async def test_as_json(self, web: Web, db: Database, asks: list[Ask]) -> None:
        await never_break_a_promise(web, db, asks)

    @FUZZ
    @given(st.lists(REQUESTS, min_size=TOGETHER, max_size=TOGETHER))
    async def test_as_a_request(self, web: Web, db: Database, asks: list[Ask]) -> None:
        await never_break_a_promise(web, db, asks)
