"""What is logged is redacted, whoever logs it; what is counted is published."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from tests.cast import ANA

from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import Logger, get_logger
from c2s_enrich.telemetry.logs import configure_logging, secrets_of
from c2s_enrich.telemetry.metrics import Metrics

SECRET = "s3cr3t-canary"
ENV = {"DATABASE_URL": f"postgresql://ana:{SECRET}%21@127.0.0.1/x", "WORK_API_TOKEN": SECRET}


@pytest.fixture
def logged() -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Configures logging for this test alone; calling it returns the lines so far."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    level, stream = root.level, io.StringIO()
    configure_logging(Settings.load(ENV, "tool"), "test", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    Logger.write = None
    for handler in [each for each in root.handlers if getattr(each, "stream", None) is stream]:
        root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = hooks


class TestALine:
    def test_is_json_with_time_level_process_and_what_was_given(self, logged: Any) -> None:
        get_logger("c2s_enrich.queue").info("claimed", count=3, lease_token=7, event_id=UUID(int=1))

        [line] = logged()
        assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
        assert line == {
            "event": "claimed", "level": "info", "logger": "c2s_enrich.queue", "process": "test",
            "count": 3, "lease_token": 7,
            "event_id": str(UUID(int=1)),
        }  # fmt: skip

    def test_below_the_level_is_not_written(self, logged: Any) -> None:
        get_logger("x").tell("debug", "detail", {})
        logging.getLogger("httpx").info("HTTP Request: GET …")

        assert logged() == []

    def test_in_text_is_one_line_and_cannot_paint_the_terminal(self) -> None:
        stream = io.StringIO()
        handlers = list(logging.getLogger().handlers)
        configure_logging(Settings.load(ENV | {"LOG_FORMAT": "text"}, "tool"), "test", stream)
        try:
            get_logger("x").warning("told", name="a\n2026 forged \x1b[31m")
        finally:
            Logger.write = None
            logging.captureWarnings(False)
            logging.getLogger().handlers[:] = handlers
            sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__

        assert stream.getvalue().count("\n") == 1
        assert "\x1b" not in stream.getvalue()


class TestNothingPersonal:
    @pytest.mark.parametrize(
        "value",
        [
            ANA.cpf.digits,
            ANA.cpf.formatted,
            int(f"9{ANA.cpf.digits}"[1:]) if not ANA.cpf.digits.startswith("0") else ANA.cpf.digits,
            [ANA.cpf.digits],
            {"people": [{"document": ANA.cpf.formatted}]},
            {ANA.cpf.digits: 1},
            (f"https://h.example/?consulta={ANA.cpf.digits}&token={SECRET}",),
            ANA.cpf.digits.encode(),
            ANA,
            ValueError(ANA.cpf.digits),
            {"cpf": 191},
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_in_any_value(self, logged: Any, value: object) -> None:
        get_logger("x").info("told", value=value)

        text = json.dumps(logged())
        assert ANA.cpf.digits not in text
        assert ANA.cpf.formatted not in text
        assert SECRET not in text
        assert "191" not in json.dumps([line["value"] for line in logged()])

    def test_in_a_value_that_contains_itself(self, logged: Any) -> None:
        endless: list[Any] = [ANA.cpf.digits]
        endless.append(endless)

        get_logger("x").info("told", value=endless)

        assert ANA.cpf.digits not in json.dumps(logged())

    def test_in_a_value_whose_repr_fails(self, logged: Any) -> None:
        class Broken:
            def __repr__(self) -> str:
                raise RuntimeError(ANA.cpf.digits)

        get_logger("x").info("told", value=Broken())

        assert logged() == [{"event": "log_line_lost", "logger": "x", "error": "RuntimeError"}]

    def test_in_a_traceback(self, logged: Any) -> None:
        try:
            raise ValueError(
                f"no record of {ANA.cpf.formatted}, {ANA.email}, +55{ANA.phone}, token {SECRET}"
            )
        except ValueError:
            get_logger("x").exception("broken")

        [line] = logged()
        assert "ValueError: no record of [cpf], ***@" in line["exception"]
        assert line["exception"].count("\n") >= 2
        for personal in (ANA.cpf.formatted, ANA.email, ANA.phone, SECRET):
            assert personal not in line["exception"]

    def test_in_the_settings_secrets_wherever_they_turn_up(self, logged: Any) -> None:
        get_logger("x").info(f"said {SECRET} and {SECRET}%21 and {SECRET}!")

        assert logged()[0]["event"] == "said *** and *** and ***"

    def test_which_includes_the_password_inside_the_database_address(self) -> None:
        assert secrets_of(Settings.load(ENV, "tool")) == {
            ENV["DATABASE_URL"],
            SECRET,
            f"{SECRET}%21",
            f"{SECRET}!",
        }
        broken, _ = Settings.read(ENV | {"DATABASE_URL": "postgres://ana:broken-password@[::1/x"})
        assert "broken-password" in secrets_of(broken)


class TestOtherLoggers:
    async def test_httpx_passes_the_redactor(self, logged: Any) -> None:
        logging.getLogger("httpx").setLevel(logging.INFO)

        async with httpx.AsyncClient(
            transport=httpx.MockTransport(lambda _: httpx.Response(200))
        ) as client:
            await client.get(
                "https://h.example/api", params={"token": "other", "consulta": ANA.cpf.digits}
            )

        [line] = logged()
        assert line["logger"] == "httpx"
        assert "https://h.example/api?token=***&consulta=***" in line["event"]

    def test_uvicorns_access_log_passes_the_redactor(self, logged: Any) -> None:
        logging.getLogger("uvicorn.access").info(
            '%s - "%s %s HTTP/%s" %d',
            "127.0.0.1:5",
            "POST",
            "/api/v1/webhooks/c2s/other?x=1",
            "1.1",
            200,
        )

        [line] = logged()
        assert line["event"] == '127.0.0.1:5 - "POST /api/v1/webhooks/c2s/***?x=1 HTTP/1.1" 200'

    def test_psycopgs_errors_pass_the_redactor(self, logged: Any) -> None:
        logging.getLogger("psycopg").warning(
            "error in %s", psycopg.OperationalError(f"Key (cpf)=({ANA.cpf.digits}) already exists")
        )

        assert logged()[0]["event"] == "error in Key (cpf)=(***) already exists"

    def test_warnings_are_logged(self, logged: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn(f"odd {ANA.cpf.digits}", stacklevel=1)

        [line] = logged()
        assert "odd [cpf]" in line["event"]

    async def test_forgotten_tasks_are_logged(self, logged: Any) -> None:
        async def fail() -> None:
            raise ValueError(ANA.cpf.digits)

        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

        [line] = logged()
        assert "ValueError: [cpf]" in line["exception"]


class TestACrash:
    def test_is_a_redacted_line_and_not_a_raw_traceback(self) -> None:
        program = (
            "from c2s_enrich.settings import Settings; from c2s_enrich.telemetry.logs import"
            " configure_logging; import threading\n"
            "configure_logging(Settings.load({}, 'tool'), 'test')\n"
            f"def fail(): raise ValueError('{ANA.cpf.formatted}')\n"
            "thread = threading.Thread(target=fail); thread.start(); thread.join(); fail()\n"
        )

        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )

        assert done.returncode == 1
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert [line["event"] for line in lines] == ["crashed", "crashed"]
        assert all("ValueError: [cpf]" in line["exception"] for line in lines)


class TestMetrics:
    def test_count_under_the_names_of_the_transitions(self) -> None:
        metrics = Metrics()

        metrics.event("claimed", 3)
        metrics.event("failed", error_kind="lead_not_found")
        metrics.wait_seconds.observe(2.0)
        metrics.attempt([{"step": "lookup", "ms": 400.0}, {"step": "send", "ms": None}])
        metrics.ended("enriched", 5.0)
        metrics.ended(None, 7.0)
        metrics.upstream_call("c2s", "message", "ok", 0.3)
        metrics.answer("diretrix", remembered=True, found=False)
        metrics.messages.labels("answer").inc()
        metrics.conflicts.inc(2)
        metrics.reconnects.inc()

        read = metrics.registry.get_sample_value
        call = {"upstream": "c2s", "kind": "message", "result": "ok"}
        answer = {"source": "diretrix", "origin": "remembered", "result": "nobody"}
        failed = {"transition": "failed", "error_kind": "lead_not_found"}
        assert {
            "claimed": read("c2s_events_total", {"transition": "claimed", "error_kind": ""}),
            "failed": read("c2s_events_total", failed),
            "lease_lost": read("c2s_events_total", {"transition": "lease_lost", "error_kind": ""}),
            "waits": read("c2s_event_wait_seconds_sum"),
            "lookups": read("c2s_step_duration_seconds_sum", {"step": "lookup"}),
            "unfinished": read("c2s_step_duration_seconds_count", {"step": "send"}),
            "enriched": read("c2s_event_outcomes_total", {"outcome": "enriched"}),
            "events": read("c2s_event_duration_seconds_sum"),
            "call": read("c2s_upstream_request_duration_seconds_sum", call),
            "answers": read("c2s_answers_total", answer),
            "messages": read("c2s_messages_total", {"result": "answer"}),
            "conflicts": read("c2s_claim_conflicts_total"),
            "reconnects": read("c2s_listener_reconnects_total"),
        } == {
            "claimed": 3,
            "failed": 1,
            "lease_lost": 0,
            "waits": 2,
            "lookups": 0.4,
            "unfinished": None,
            "enriched": 1,
            "events": 12,
            "call": 0.3,
            "answers": 1,
            "messages": 1,
            "conflicts": 2,
            "reconnects": 1,
        }

    def test_read_a_watched_number_at_each_scrape(self) -> None:
        metrics, ages = Metrics(), iter([1.5, 2.5])
        metrics.watch("loop_age_seconds", "Age of the last turn", lambda: next(ages))

        assert b"c2s_loop_age_seconds 1.5" in metrics.exposition()
        assert b"c2s_loop_age_seconds 2.5" in metrics.exposition()

    def test_of_two_processes_in_one_interpreter_stay_apart(self) -> None:
        one, other = Metrics(), Metrics()

        one.messages.labels("answer").inc()

        assert other.registry.get_sample_value("c2s_messages_total", {"result": "answer"}) is None
