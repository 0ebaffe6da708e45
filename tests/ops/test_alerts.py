"""Alerts: what begins and what ends is posted once, to a receiver that may be down at first."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.conftest import Database

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool
from c2s_enrich.ops.alerts import Alerts
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.health import Health, Signals
from c2s_enrich.ops.store import OpsStore

AT_ONCE = timedelta()
CRM = "https://crm.example/{lead_id}"


class HandClock(Clock):
    """Moved by hand."""

    now = 1000.0

    def boottime(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Receiver:
    """A real HTTP server; `down` makes it answer 503."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.down = False
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if not receiver.down:
                    receiver.texts += json.loads(body)["text"].split("\n")
                self.send_response(503 if receiver.down else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    threading.Thread(target=receiver.server.serve_forever, daemon=True).start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


class Rig:
    """Processes with their alerts on one database."""

    def __init__(self, db: Database, pool: Pool, receiver: Receiver) -> None:
        self.db, self.pool, self.receiver, self.clock = db, pool, receiver, HandClock()
        self.own: list[str] = []

    def process(
        self,
        name: str = "web",
        hold: timedelta = AT_ONCE,
        income: int = 0,
        link: str = "",
        pool: Pool | None = None,
    ) -> Alerts:
        settings = self.db.settings(
            ALERT_WEBHOOK_URL=self.receiver.url, ALERT_INCOME_FROM=income, LEAD_LINK=link
        )
        signals = Signals(problems=lambda: self.own)
        health = Health(OpsStore(pool or self.pool), self.clock, signals, settings)
        return Alerts(pool or self.pool, health, self.clock, settings, name, hold)

    async def once(self, alerts: Alerts) -> list[str]:
        """One round some time later; the lines that were received in it."""
        self.clock.now += 60
        before = len(self.receiver.texts)
        await alerts.once(AT_ONCE)
        return self.receiver.texts[before:]

    async def pause(self, seconds: int) -> None:
        await self.db.execute(
            "update upstreams set paused_until = now() + %s * interval '1 s', reason = 'HTTP 503"
            " ana'"
            " where name = 'diretrix'",
            (seconds,),
        )


@pytest.fixture
async def rig(db: Database, pool: Pool, receiver: Receiver) -> Rig:
    await db.execute("insert into pollers (name, concurrency) values ('p', 10)")
    return Rig(db, pool, receiver)


class TestAProblem:
    async def test_is_told_when_it_begins_and_when_it_ends_and_not_between(self, rig: Rig) -> None:
        web = rig.process()
        quiet = await rig.once(web)
        await rig.pause(3600)
        began, between = await rig.once(web), await rig.once(web)
        await rig.pause(-1)
        ended, after = await rig.once(web), await rig.once(web)

        assert (quiet, between, after) == ([], [], [])
        [line] = began
        assert line.startswith(":red_circle: diretrix is paused for another ")
        assert line.endswith("`c2s-enrich upstreams resume diretrix`")
        assert "ana" not in line
        [line] = ended
        assert line.startswith(":white_check_mark: Over, 0 min after it began: diretrix is paused")

    async def test_is_told_again_until_the_receiver_has_taken_it(self, rig: Rig) -> None:
        web = rig.process()
        await rig.pause(3600)
        rig.receiver.down = True
        lost = await rig.once(web)
        rig.receiver.down = False

        assert lost == []
        assert len(await rig.once(web)) == 1
        assert await rig.once(web) == []

    async def test_is_told_once_by_all_processes_together(self, rig: Rig) -> None:
        await rig.pause(3600)
        told = [await rig.once(rig.process(name)) for name in ("web", "poller 1", "poller 2")]

        assert sorted(map(len, told)) == [0, 0, 1]

    async def test_that_flickers_is_not_told(self, rig: Rig) -> None:
        web = rig.process(hold=timedelta(minutes=1))
        await rig.pause(3600)
        first = await rig.once(web)
        await rig.pause(-1)

        assert (first, await rig.once(web)) == ([], [])
        assert await rig.db.value("select count(*) from alerts") == 0

    async def test_that_only_one_process_knows_is_told_by_that_process(self, rig: Rig) -> None:
        web, poller = rig.process("web"), rig.process("poller")
        rig.own = ["3 deliveries were refused.", "9 could not be stored."]
        told = await rig.once(web)
        rig.own = []
        others = await rig.once(poller)

        assert told == [
            ":red_circle: 3 deliveries were refused.",
            ":red_circle: 9 could not be stored.",
        ]
        assert others == []

    async def test_of_one_failed_event_calls_nobody_and_of_many_does(self, rig: Rig) -> None:
        failed = (
            "insert into webhook_events (lead_id, updated_at, payload_raw, status, processed_at,"
            " error_kind)"
            " select g::text || clock_timestamp(), now(), '{}', 'failed', now(), 'bug'"
            " from generate_series(1, %s) g"
        )
        web = rig.process()
        await rig.db.execute(failed, (1,))
        one = await rig.once(web)
        await rig.db.execute(failed, (30,))

        assert one == []
        assert "31 events failed in the last hour" in (await rig.once(web))[0]


class TestADatabaseThatIsAway:
    async def test_is_told_from_memory_after_two_minutes_and_once(
        self, rig: Rig, db: Database
    ) -> None:
        from c2s_enrich.database import open_pool

        gone = db.settings(DATABASE_URL="postgresql://127.0.0.1:9/none")
        async with open_pool(gone, name="test") as away:
            web = rig.process(pool=away)
            told = [await rig.once(web) for _ in range(5)]

        assert [line for lines in told for line in lines] == [
            ":red_circle: web: the database has not answered for 2 minutes."
        ]


class TestAValuableLead:
    async def test_is_told_once_with_its_link_and_never_a_cpf(self, rig: Rig) -> None:
        rich = "<!channel> rich"
        for lead, cpf, income in ((rich, "00000000191", 20000), ("poor", "00000000272", 900)):
            await rig.db.execute(
                "insert into people (cpf, profile, fetched_at, expires_at)"
                " values (%s, jsonb_build_object('income', %s::numeric), now(), now())",
                (cpf, income),
            )
            await rig.db.execute(
                "insert into lead_people (lead_id, cpf, found_by, event_id)"
                " values (%s, %s, 'phone', gen_random_uuid())",
                (lead, cpf),
            )
            await rig.db.execute(
                "insert into lead_messages (event_id, lead_id, content_key, body, ref, status,"
                " sending_at, sent_at) values (gen_random_uuid(), %s, 'k', 'b', %s, 'sent',"
                " now(), now())",
                (lead, lead),
            )
        told = await rig.once(rig.process("poller", income=10000, link=CRM))
        await rig.db.execute("delete from alerts")
        poller = rig.process("poller", income=10000)
        told += await rig.once(poller)

        assert told == [
            ":large_green_circle: A lead with an income from 10000: " + link
            for link in (
                "https://crm.example/%3C%21channel%3E%20rich",
                "lead &lt;!channel&gt; rich",
            )
        ]
        assert await rig.once(poller) == []


class TestAMutedError:
    @staticmethod
    async def fails(rig: Rig, count: int, message: str = "c2s: HTTP 422") -> None:
        await rig.db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, status, processed_at,"
            " error_kind, error_message) select gen_random_uuid(), now(), '{}', 'failed', now(),"
            " 'upstream_refused', %s from generate_series(1, %s)",
            (message, count),
        )

    @staticmethod
    async def group(rig: Rig) -> str:
        return str(await rig.db.value("select error_group from webhook_events limit 1"))

    async def test_is_counted_by_no_alert_until_somebody_reprocesses_it(self, rig: Rig) -> None:
        web, desk = rig.process(), EventsDesk(rig.pool)
        await self.fails(rig, 30)
        [began] = await rig.once(web)

        assert await desk.mute(await self.group(rig))
        [over] = await rig.once(web)
        await self.fails(rig, 30)
        quiet = await rig.once(web)
        await rig.db.execute(
            "update webhook_events set status = 'received'"
            " where id = (select id from webhook_events limit 1)"
        )
        [again] = await rig.once(web)

        assert began.startswith(":red_circle: 30 events failed")
        assert over.startswith(":white_check_mark: Over")
        assert quiet == []
        assert again.startswith(":red_circle: 59 events failed")

    async def test_hides_no_other_error(self, rig: Rig) -> None:
        await self.fails(rig, 30)
        await EventsDesk(rig.pool).mute(await self.group(rig))
        await self.fails(rig, 20, "c2s: HTTP 403")

        [told] = await rig.once(rig.process())

        assert told.startswith(":red_circle: 20 events failed in the last hour, of 50")

    async def test_is_muted_no_longer_than_it_is_there_or_a_week(self, rig: Rig) -> None:
        desk, muted = EventsDesk(rig.pool), "select count(*) from v_muted"
        await self.fails(rig, 1)
        group = await self.group(rig)
        assert await desk.mute(group)
        assert await rig.db.value(muted) == 1

        await rig.db.execute("update muted_errors set muted_at = now() - interval '8 days'")
        assert await rig.db.value(muted) == 0
        assert await desk.mute(group)
        assert await rig.db.value(muted) == 1

        # It healed by itself, and what fails alike later is new.
        await rig.db.execute(
            "update webhook_events set status = 'completed', error_kind = null,"
            " error_message = null"
        )
        await self.fails(rig, 1)
        assert await rig.db.value(muted) == 0

    async def test_that_nobody_has_is_not_muted(self, rig: Rig) -> None:
        desk = EventsDesk(rig.pool)

        assert not await desk.mute("00000000")
        assert not await desk.mute("00000000", "unmute")
