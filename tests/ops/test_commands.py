"""The command line says what the table says, and refuses unclear orders with one sentence."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from tests.brokerage import Brokerage
from tests.cast import with_check_digits
from tests.conftest import ENVIRONMENT, Database
from typer.testing import CliRunner, Result

from c2s_enrich.cli.main import app
from c2s_enrich.ops.plans import BATCH

Command = Callable[..., Result]


@pytest.fixture
def command(db: Database, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("DATABASE_URL", db.url)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


async def invoke(command: Command, *arguments: str) -> Result:
    """Commands run their own event loop, so they get a thread of their own here."""
    return await asyncio.to_thread(command, *arguments)


async def failed_event(db: Database, lead: str) -> str:
    return str(
        await db.value(
            "insert into webhook_events (lead_id, updated_at, payload_raw, status, processed_at,"
            " error_kind, error_message)"
            " values (%s, now(), '{}', 'failed', now(), 'lead_not_found', 'Lead not found')"
            " returning id",
            (lead,),
        )
    )


class TestEvents:
    async def test_list_shows_state_and_error(self, db: Database, command: Command) -> None:
        event_id = await failed_event(db, "lead-1")

        shown = await invoke(command, "events", "list", "--status", "failed")

        assert shown.exit_code == 0
        assert event_id in shown.output
        assert "Lead not found" in shown.output

    async def test_show_knows_no_event_that_is_not_there(
        self, db: Database, command: Command
    ) -> None:
        shown = await invoke(command, "events", "show", "00000000-0000-0000-0000-000000000000")

        assert shown.exit_code == 3
        assert "there is no event" in shown.output

    async def test_show_shows_the_event_that_was_asked_for(
        self, db: Database, command: Command
    ) -> None:
        asked = await failed_event(db, "lead-1")
        await failed_event(db, "lead-2")

        shown = await invoke(command, "events", "show", asked)

        assert "lead-1" in shown.output
        assert "lead-2" not in shown.output

    async def test_reprocess_makes_the_chosen_events_due(
        self, db: Database, command: Command
    ) -> None:
        await failed_event(db, "lead-1")
        await failed_event(db, "lead-2")

        done = await invoke(command, "events", "reprocess", "--lead", "lead-1", "--yes")

        assert "1 of 1 events queued for reprocessing." in done.output
        assert await db.fetch("select lead_id from webhook_events where status = 'received'") == [
            ("lead-1",)
        ]

    async def test_reprocess_without_a_filter_is_refused(
        self, db: Database, command: Command
    ) -> None:
        await failed_event(db, "lead-1")

        refused = await invoke(command, "events", "reprocess", "--yes")

        assert refused.exit_code == 2
        assert await db.value("select status from webhook_events") == "failed"


class TestCtrlC:
    async def test_ends_a_bulk_action_after_its_batch_and_the_audit_says_so(
        self, db: Database
    ) -> None:
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, status, processed_at,"
            " error_kind) select 'lead', now() - n * interval '1 s', '{}', 'failed', now(), 'bug'"
            " from generate_series(1, %s) n",
            (2 * BATCH,),
        )
        words = ("events", "reprocess", "--kind", "bug", "--yes")
        async with await AsyncConnection.connect(db.url) as holder:
            # Its plan can be made; its first batch waits for us.
            await holder.execute("lock table webhook_events in exclusive mode")
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "c2s_enrich", *words),
                env={"DATABASE_URL": db.url, "PATH": os.environ["PATH"]},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            await db.until_blocked()
            process.send_signal(signal.SIGINT)
            await holder.commit()
            out, err = await process.communicate()

        assert (process.returncode, "Stopped: the rest is as it was." in err.decode()) == (1, True)
        assert out.decode() == f"{BATCH} of {2 * BATCH} events queued for reprocessing.\n"
        [row] = await db.fetch("select state, planned, done from operator_actions")
        assert row == ("stopped", 2 * BATCH, BATCH)
        queued = "select count(*) from webhook_events where status = 'received'"
        assert await db.value(queued) == BATCH


class TestErrors:
    async def test_are_muted_and_unmuted_by_their_fingerprint(
        self, db: Database, command: Command
    ) -> None:
        event_id = await failed_event(db, "lead-1")
        group = await db.value("select error_group from webhook_events")

        muted = await invoke(command, "errors", "mute", group)
        listed = await invoke(command, "errors", "--event", event_id, "--json")
        why = await invoke(command, "explain", event_id)
        unmuted = await invoke(command, "errors", "unmute", group)
        twice = await invoke(command, "errors", "unmute", group)

        assert f"No alert counts {group} until it is fixed." in muted.output
        assert json.loads(listed.stdout)[0]["muted_since"] is not None
        assert "it has been muted since" in why.output
        assert (unmuted.exit_code, twice.exit_code) == (0, 3)
        rows = await db.fetch("select via, verb, filter from operator_actions order by at")
        assert rows == [("cli", verb, {"error": group}) for verb in ("mute", "unmute")]


class TestMessages:
    async def test_a_persons_verdict_lets_the_event_go_on(
        self, db: Database, command: Command
    ) -> None:
        event_id = await failed_event(db, "lead-1")
        message_id = await db.value(
            "insert into lead_messages (event_id, lead_id, content_key, body, ref, status, sends,"
            " sending_at)"
            " values (%s, 'lead-1', 'key', 'body', 'REF', 'sending', 1, now()) returning id",
            (event_id,),
        )
        listed = await invoke(command, "messages", "list")

        judged = await invoke(command, "messages", "not-delivered", str(message_id))

        assert str(message_id) in listed.output
        assert judged.exit_code == 0
        assert await db.value("select status from lead_messages") == "pending"
        assert await db.value("select status from webhook_events") == "received"


class TestRejects:
    async def test_a_replay_and_a_dismissal_are_in_the_audit(
        self, db: Database, command: Command
    ) -> None:
        found = str(
            await db.value(
                "insert into rejected_deliveries (raw, reason, detail, headers)"
                " values ('{', 'not_json', 'x', '{}') returning id"
            )
        )

        replayed = await invoke(command, "rejects", "replay", "--reason", "not_json")
        nobody = "00000000-0000-4000-8000-000000000000"
        half = await invoke(command, "rejects", "replay", found, nobody)
        why = f"a test for {with_check_digits('111444777')}"
        await invoke(command, "rejects", "dismiss", found, "--because", why)

        assert "1 checked, 1 still rejected" in replayed.output
        assert half.exit_code == 1
        assert f"{nobody}  there is no such rejected delivery" in half.output
        rows = await db.fetch("select verb, filter, reason from operator_actions order by at")
        assert rows == [
            ("replay", {"rejects": [found]}, None),
            ("replay", {"rejects": [found, nobody]}, None),
            ("dismiss", {"rejects": [found]}, "a test for [cpf]"),
        ]


class TestADatabaseWithoutOurTables:
    async def test_is_told_what_is_missing_and_how_to_mend_it(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", make_conninfo(db.url, options="-c search_path=nowhere"))

        told = await asyncio.to_thread(CliRunner().invoke, app, ["messages", "list"])

        assert told.exit_code == 1
        assert "c2s-enrich migrate" in told.output


class TestUpstreams:
    async def test_pause_and_resume_are_seen_by_all(self, db: Database, command: Command) -> None:
        await invoke(
            command,
            "upstreams",
            "pause",
            "c2s",
            "--minutes",
            "5",
            "--reason",
            "the vendor asked for it",
        )
        listed = await invoke(command, "upstreams", "list")
        await invoke(command, "upstreams", "resume", "c2s")

        assert "the vendor asked for it" in listed.output
        assert await db.value("select count(*) from upstreams where paused_until is not null") == 0

    async def test_the_reason_of_a_pause_is_masked_and_stands_in_the_audit_as_one(
        self, db: Database, command: Command
    ) -> None:
        cpf = Brokerage(db).people[0].cpf

        await invoke(command, "upstreams", "pause", "c2s", "--reason", f"asked about {cpf}")

        paused = await db.value("select reason from upstreams where name = 'c2s'")
        [audited] = await db.fetch("select reason, filter from operator_actions")
        assert paused == audited.reason
        assert paused.startswith("asked about ")
        assert cpf not in paused
        assert audited.filter == {"upstream": "c2s", "minutes": 15}

    async def test_an_unknown_name_is_refused(self, db: Database, command: Command) -> None:
        assert (await invoke(command, "upstreams", "pause", "nobody")).exit_code == 3
        assert (await invoke(command, "upstreams", "budget", "c2s", "9" * 20)).exit_code == 2

    @pytest.mark.parametrize(
        "words",
        [
            ("upstreams", "pause", "c2s"),
            ("rejects", "replay", "{reject}"),
            ("unsubscribe", "--yes"),
        ],
        ids=" ".join,
    )
    async def test_nothing_is_done_by_a_login_that_may_not_write_down_what_it_did(
        self,
        db: Database,
        command: Command,
        monkeypatch: pytest.MonkeyPatch,
        words: tuple[str, ...],
    ) -> None:
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DATABASE_URL", make_conninfo(db.url, options="-c role=c2s_poller"))
        reject = await db.value(
            "insert into rejected_deliveries (raw, reason, detail, headers)"
            """ values ('{"id": 7, "updated_at": "2025-06-01T10:00:00Z"}', 'not_json', 'x', '{}')"""
            " returning id"
        )

        told = await invoke(command, *(word.format(reject=reject) for word in words))

        assert told.exit_code == 1
        assert "c2s_ops" in told.output
        assert "upstream_called" not in told.output
        assert await db.value("select count(*) from upstreams where paused_until is not null") == 0
        assert await db.value("select count(*) from webhook_events") == 0


class TestDoctor:
    async def test_names_what_is_missing(self, db: Database, command: Command) -> None:
        told = await invoke(command, "doctor")

        assert told.exit_code == 1
        assert "WEBHOOK_SECRET is not set" in told.output
        assert "its schema is up to date" in told.output
