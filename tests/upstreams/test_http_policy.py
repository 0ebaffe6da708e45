"""The one policy: tries, time limits, what can have arrived, how long to stay away, and that
nothing leaks.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import told
from tests.upstreams.conftest import CANARIES, MakeRig, answering, tcp_server

from c2s_enrich.errors import (
    LeaseLost,
    Paused,
    Refused,
    Unauthorised,
    Unavailable,
    Uncertain,
    Unreadable,
    UpstreamError,
)
from c2s_enrich.people.contact import Email, Phone
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport
from c2s_enrich.sandbox.simulators.world import World
from c2s_enrich.upstreams.response import read_retry_after

PHONE = Phone("+5511987654321", "11987654321")
CPF = Cpf("52998224725")
EMAIL = Email("canario.amarelo@example.com")


class TestTries:
    async def test_a_read_is_tried_again_within_seconds(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        world.dial.set("diretrix", Fault("error500", count=2))
        rig = await make_rig(network)

        assert (
            len(
                await rig.diretrix.by_phone(
                    Phone("+55" + world.people[0].phone, world.people[0].phone)
                )
            )
            == 1
        )

        assert [type(end) for end in rig.limits.ended] == [Unavailable, Unavailable, type(None)]
        assert len(rig.naps.taken) == 2
        assert all(0 <= nap <= 4 for nap in rig.naps.taken)
        assert rig.tally.calls == [("diretrix", "phone", "Unavailable")] * 2 + [
            ("diretrix", "phone", "ok")
        ]

    async def test_a_read_is_given_up_after_the_third(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(503))

        with pytest.raises(Unavailable):
            await rig.diretrix.by_phone(PHONE)

        assert len(rig.sent) == 3

    async def test_a_paid_read_is_given_up_after_the_second(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(503))

        with pytest.raises(Unavailable):
            await rig.work_api.profile(CPF)

        assert len(rig.sent) == 2

    @pytest.mark.parametrize("status", [401, 405, 429, 200])
    async def test_what_waiting_seconds_cannot_change_is_not_tried_again(
        self, make_rig: MakeRig, status: int
    ) -> None:
        rig = await make_rig(answering(status, text="x"))

        with pytest.raises(UpstreamError):
            await rig.diretrix.by_phone(PHONE)

        assert len(rig.sent) == 1

    async def test_a_pause_that_began_ends_the_tries(self, make_rig: MakeRig) -> None:
        def answer(_: httpx.Request) -> httpx.Response:
            rig.limits.closed = Paused(
                "diretrix", timedelta(seconds=10), "another poller saw enough"
            )
            return httpx.Response(500)

        rig = await make_rig(httpx.MockTransport(answer))

        with pytest.raises(Paused):
            await rig.diretrix.by_phone(PHONE)

        assert len(rig.sent) == 1


class TestBeforeSend:
    async def test_runs_when_connected_and_before_a_byte_has_left(self, make_rig: MakeRig) -> None:
        seen: list[str] = []

        async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append("connected")
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append("bytes")
            await reader.readexactly(
                int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            )
            writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()

        def before_send() -> None:
            seen.append("before_send")

        async with tcp_server(conversation) as url:
            rig = await make_rig(C2S_BASE_URL=url)
            await rig.c2s.send("lead", "text", "ref", before_send=before_send)

        assert seen.index("before_send") < seen.index("bytes")
        assert seen.count("before_send") == 1

    @pytest.mark.parametrize(
        "objection", [LeaseLost(), ConnectionError("ours, not the network's"), TimeoutError()]
    )
    async def test_that_objects_means_that_nothing_was_sent(
        self, make_rig: MakeRig, objection: Exception
    ) -> None:
        received = bytearray()

        async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.extend(await reader.read())

        def before_send() -> None:
            raise objection

        async with tcp_server(conversation) as url:
            rig = await make_rig(C2S_BASE_URL=url)
            with pytest.raises(type(objection)) as raised:
                await rig.c2s.send("lead", "text", "ref", before_send=before_send)
            await asyncio.sleep(0.05)

        assert raised.value is objection
        assert bytes(received) == b""
        assert rig.limits.ended == []

    async def test_goes_out_under_the_admission_that_the_caller_has(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        world.add_lead("lead", name="Maria")
        rig = await make_rig(network)
        admission = await rig.c2s.leads.admit()

        rig.limits.closed = Paused("c2s", timedelta(seconds=1), "closed meanwhile")
        await rig.c2s.send("lead", "text", "ref", admission=admission, before_send=lambda: None)

        assert [message.body for message in world.leads["lead"].messages] == ["text"]
        with pytest.raises(Paused):
            await rig.c2s.send("lead", "text", "ref", before_send=lambda: None)


class TestTheTotalTimeLimit:
    async def test_ends_an_answer_that_drips(self, make_rig: MakeRig) -> None:
        async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:"
                b" 1000\r\n\r\n["
            )
            for _ in range(1000):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)

        async with tcp_server(conversation) as url:
            rig = await make_rig(C2S_BASE_URL=url, C2S_TIMEOUT="0.6")
            started = asyncio.get_running_loop().time()
            with pytest.raises(Uncertain, match="time-out"):
                await rig.c2s.send("lead", "text", "ref", before_send=lambda: None)
            took = asyncio.get_running_loop().time() - started

        assert 0.5 < took < 1.5

    async def test_of_a_connection_that_nobody_accepts_is_a_clear_no(
        self, make_rig: MakeRig
    ) -> None:
        # The kernel's queue is full, so that the handshake of the next connection never ends.
        loop = asyncio.get_running_loop()
        with ExitStack() as open_sockets:
            full = open_sockets.enter_context(socket.socket())
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            address = full.getsockname()
            with suppress(TimeoutError):
                for _ in range(4):
                    filler = open_sockets.enter_context(socket.socket())
                    filler.setblocking(False)
                    await asyncio.wait_for(loop.sock_connect(filler, address), 0.1)
            rig = await make_rig(C2S_BASE_URL=f"http://127.0.0.1:{address[1]}", C2S_TIMEOUT="0.3")

            with pytest.raises(Unavailable, match="before anything was sent"):
                await rig.c2s.send("lead", "text", "ref", before_send=lambda: None)

    async def test_refused_connection_is_a_clear_no(self, make_rig: MakeRig) -> None:
        rig = await make_rig(C2S_BASE_URL="http://127.0.0.1:9")

        with pytest.raises(Unavailable, match="before anything was sent"):
            await rig.c2s.send("lead", "text", "ref", before_send=lambda: None)


class TestTheAnswer:
    async def test_that_breaks_off_is_a_failure(self, make_rig: MakeRig) -> None:
        async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[")
            await writer.drain()

        async with tcp_server(conversation) as url:
            rig = await make_rig(DIRETRIX_BASE_URL=url)
            with pytest.raises(Unavailable):
                await rig.diretrix.by_phone(PHONE)

    async def test_without_end_is_not_read_to_the_end(self, make_rig: MakeRig) -> None:
        async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b" " * 65536)
                await writer.drain()

        async with tcp_server(endless) as url:
            rig = await make_rig(DIRETRIX_BASE_URL=url, C2S_BASE_URL=url)
            with pytest.raises(Unreadable, match="more than 4194304 bytes"):
                await rig.diretrix.by_phone(PHONE)
            with pytest.raises(Uncertain):
                await rig.c2s.send("lead", "text", "ref", before_send=lambda: None)

    async def test_that_redirects_is_not_followed(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(301, headers={"location": "http://127.0.0.1:9/elsewhere"}))

        with pytest.raises(Unreadable, match="redirects are not followed"):
            await rig.work_api.profile(CPF)

        assert len(rig.sent) == 1


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("60", 60),
            ("0", 1),
            ("1 minute", 60),
            ("1 Minute", 60),
            ("2 minutes", 120),
            ("90 seconds", 90),
            ("30s", 30),
            ("1 minute and 30 seconds", 90),
            ("1 minuto", 60),
            ("1,5 min", 90),
            ("2 hours", 900),
            ("86400", 900),
            ("999999999", 900),
            ("99999999999999999999", 60),
            ("", 60),
            (None, 60),
            ("soon", 60),
            ("-5", 60),
            ("nan", 60),
            ("1e400", 60),
            ("٣", 60),
            (f"Mon, 02 Mar {'9' * 20} 10:00:00 GMT", 60),
            ("Mon, 02 Mar 2026 10:00:00 +99999999999999", 60),
        ],
    )
    def test_is_seconds_or_words_between_one_second_and_a_quarter_of_an_hour(
        self, value: str | None, seconds: float
    ) -> None:
        assert read_retry_after(value) == timedelta(seconds=seconds)

    def test_is_a_date_measured_by_the_same_answers_clock(self) -> None:
        assert read_retry_after(
            "Wed, 04 Mar 2026 10:01:30 GMT", "Wed, 04 Mar 2026 10:00:00 GMT"
        ) == timedelta(seconds=90)
        assert read_retry_after(
            "Wed, 04 Mar 2026 10:00:00 GMT", "Wed, 04 Mar 2026 10:01:00 GMT"
        ) == timedelta(seconds=1)
        assert read_retry_after("Wed, 04 Mar 2026 10:00:00 GMT") == timedelta(seconds=1)
        assert read_retry_after("Fri, 04 Mar 2095 10:00:00 GMT", "not a date") == timedelta(
            minutes=15
        )

    @given(st.text() | st.from_regex(r"\d+ ?[a-z]*"), st.text())
    def test_never_breaks_and_never_leaves_its_bounds(self, value: str, date: str) -> None:
        assert timedelta(seconds=1) <= read_retry_after(value, date) <= timedelta(minutes=15)


class TestSecrecy:
    """Nothing that an error or a log line says may hold a credential, a contact or an address."""

    @pytest.mark.parametrize(
        "make_answer",
        [
            lambda request: httpx.Response(500, text=str(request.url)),
            lambda request: httpx.Response(
                401, json={"error": f"bad token {CANARIES['WORK_API_TOKEN']}1"}
            ),
            lambda request: httpx.Response(400, json={"message": str(request.url)}),
            lambda request: httpx.Response(405, json={"message": str(request.url)}),
            lambda request: httpx.Response(200, text=str(request.url)),
            lambda request: httpx.Response(200, json={"status": 403, "reason": str(request.url)}),
            lambda request: httpx.Response(302, headers={"location": str(request.url)}),
            lambda request: _raise(
                httpx.ConnectError(f"no route to {request.url}", request=request)
            ),
            lambda request: _raise(
                httpx.ReadTimeout(f"silence from {request.url}", request=request)
            ),
            lambda request: _raise(
                httpx.RemoteProtocolError(f"nonsense from {request.url}", request=request)
            ),
        ],
    )
    async def test_holds_for_every_way_to_fail(
        self, make_rig: MakeRig, make_answer: Callable[[httpx.Request], httpx.Response]
    ) -> None:
        rig = await make_rig(httpx.MockTransport(make_answer))
        texts: list[str] = []
        carried: list[BaseException | None] = []
        with told() as lines, _all_logs() as written:
            for call in (
                rig.work_api.profile(CPF),
                rig.work_api.by_phone(PHONE),
                rig.diretrix.by_phone(PHONE),
                rig.diretrix.by_email(EMAIL),
                rig.c2s.lead("lead"),
                rig.c2s.send("lead", f"para {EMAIL.address}", "ref", before_send=lambda: None),
            ):
                try:
                    await call
                except UpstreamError as error:
                    texts += [str(error), repr(error), *traceback.format_exception(error)]
                    carried += [error.__cause__, error.__context__]

        assert texts
        assert not [error for error in carried if isinstance(error, httpx.HTTPError)]
        assert len([line for line in lines if line["event"] == "upstream_called"]) == len(
            rig.tally.calls
        )
        everything = "\n".join([*texts, *map(str, lines), written.getvalue()])
        for secret in (
            *CANARIES.values(),
            "consulta=",
            "://sim",
            PHONE.national,
            CPF.digits,
            EMAIL.address,
            EMAIL.address.split("@")[0],
        ):
            assert secret is not None
            assert secret not in everything, f"{secret} leaked"

    async def test_does_not_hide_a_reason_that_is_harmless(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(400, json={"message": "param_data_not_found"}))

        with pytest.raises(Refused, match=r"^c2s: HTTP 400: param_data_not_found$"):
            await rig.c2s.lead("lead")

    @pytest.mark.parametrize("reason", ["not\0so", "not \ud800", "\x1b[2jnot", "not\nso"])
    async def test_repeats_no_reason_that_a_database_or_a_terminal_does_not_take(
        self, make_rig: MakeRig, reason: str
    ) -> None:
        rig = await make_rig(answering(403, content=json.dumps({"error": reason})))

        with pytest.raises(Unauthorised, match=r"^c2s: HTTP 403$"):
            await rig.c2s.lead("lead")


def _raise(error: Exception) -> httpx.Response:
    raise error


@contextmanager
def _all_logs() -> Iterator[io.StringIO]:
    """What every library writes at its most talkative, before any redactor."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    levels = {
        logger: logger.level
        for logger in (root, logging.getLogger("httpx"), logging.getLogger("httpcore"))
    }
    root.addHandler(handler)
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        for logger, level in levels.items():
            logger.setLevel(level)
