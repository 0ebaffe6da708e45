"""Every page and what its buttons do, against the real tables."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest
from tests.conftest import Database
from tests.console.conftest import HOSTILE, failed

from c2s_enrich.console import app as console_app

LISTS = ["/events", "/errors", "/upstreams", "/messages", "/rejects", "/pollers", "/actions"]


async def rejected(db: Database, raw: str, reason: str = "not_json", lead: str = "x") -> Any:
    return await db.value(
        "insert into rejected_deliveries (raw, reason, detail, lead_id, headers)"
        " values (%s, %s, %s, %s, '{}') returning id",
        (raw.encode(), reason, f"it is {lead}", lead),
    )


async def open_message(db: Database, lead: str, status: str = "sending") -> Any:
    event = await db.value(
        "insert into webhook_events (lead_id, updated_at, payload_raw, status, processed_at,"
        " error_kind, error_message) values (%s, now(), '{}', 'failed', now(), 'delivery_unclear',"
        " 'c2s: no answer') returning id",
        (lead,),
    )
    return await db.value(
        "insert into lead_messages (lead_id, ref, body, content_key, status, event_id, sends,"
        " sending_at) values (%s, 'W87DSMVY', 'Olá', 'k', %s, %s, 1, now()) returning id",
        (lead, status, event),
    )


class TestAnEmptyService:
    async def test_is_shown_on_every_page_without_an_error(
        self, operator: httpx.AsyncClient
    ) -> None:
        for path in ("/", *LISTS):
            answer = await operator.get(path)

            assert answer.status_code == 200, (path, answer.text)
        for path in LISTS[:1] + LISTS[2:]:
            assert (await operator.get(f"{path}?nonsense=1")).status_code == 422, path

    async def test_says_what_it_means(self, operator: httpx.AsyncClient) -> None:
        for path, sentence in (
            ("/", "nothing is due"),
            ("/errors", "No event has had an error in this time."),
            ("/messages", "is proven to be delivered"),
            ("/rejects", "No rejected delivery waits."),
            ("/pollers", "start one with `c2s-enrich poller`"),
            ("/actions", "Nobody has changed anything yet."),
        ):
            assert sentence in (await operator.get(path)).text, path


class TestEveryList:
    async def test_survives_what_senders_write(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        for name in HOSTILE:
            await failed(db, name[:100], message=name[:2000])
            await rejected(db, name, lead=name[:100])
            await open_message(db, name[:100])
            await db.execute(
                "insert into operator_actions (actor, via, verb, filter, reason)"
                " values (%s, 'cli', 'fail', jsonb_build_object('text', %s::text), %s)",
                (name, name, name),
            )
            await db.execute(
                "insert into pollers (name, concurrency, version) values (%s, 1, %s)",
                (name[:100], name),
            )
        await db.execute("update upstreams set reason = %s, paused_until = now()", (HOSTILE[1],))
        rejects = (await operator.get("/rejects.json")).json()["rows"]
        assert rejects
        detail = f"/rejects/{await db.value('select id from rejected_deliveries limit 1')}"

        for path in ("/", detail, *LISTS):
            for language in ("en", "pt"):
                answer = await operator.get(path, headers={"accept-language": language})

                assert answer.status_code == 200
                assert "<img" not in answer.text, path
                assert "<script" not in answer.text, path
                assert not {"\u202e", "\x1b", "\x07"} & set(answer.text), path
                assert len(answer.text) < 150_000, path
            for form in (".json", ".csv") if path in LISTS else (".json",):
                found = await operator.get((path if path != "/" else "/overview") + form)
                assert found.status_code == 200, path + form

    async def test_shows_a_viewer_no_button(self, viewer: httpx.AsyncClient, db: Database) -> None:
        await failed(db, "a")
        await rejected(db, "{")
        await open_message(db, "b")
        detail = f"/rejects/{await db.value('select id from rejected_deliveries')}"

        for path in ("/", detail, *LISTS):
            text = (await viewer.get(path)).text
            buttons = {part.partition("<")[0] for part in text.split("<button>")[1:]}
            assert buttons <= {"Find", "Log out", "Show"}, path


class TestTheOverview:
    async def test_counts_and_links_to_what_it_counts(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a", "b", "c")
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, waiting_for,"
            " waiting_reason, available_at)"
            " values ('w', now(), '{}', 'diretrix', 'paused', now() + interval '1 hour')"
        )
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, status, outcome,"
            " received_at, processed_at) values"
            " ('t', now(), '{}', 'completed', 'enriched', now() - interval '5 s', now())"
        )

        page = (await operator.get("/")).text
        data = (await operator.get("/overview.json")).json()

        assert (
            '<a class="card" href="/events?status=failed&amp;since=24h"><strong>3</strong>' in page
        )
        assert '<a class="card" href="/events?waiting=diretrix"><strong>1</strong>' in page
        assert "5 s (median)" in page
        assert len(data["minutes"]) == 60
        assert sum(each["failed"] for each in data["minutes"]) == 3
        assert "<rect" in page
        assert "3 events failed in the last hour" in page
        assert [each["events"] for each in data["errors"]] == [3]


class TestAGroupOfErrors:
    async def test_says_how_it_went_and_leads_to_its_events(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a", "b", "c")
        await failed(db, "d", message="c2s: HTTP 403")
        await db.execute(
            "update webhook_events set processed_at = now() - interval '1 hour',"
            " received_at = now() - interval '2 hours' where lead_id in ('c', 'd')"
        )

        page = (await operator.get("/errors")).text
        [first, second] = (await operator.get("/errors.json")).json()["rows"]

        assert (first["events"], first["still_failing"], sum(first["over_time"])) == (3, True, 3)
        assert (second["events"], second["still_failing"]) == (1, False)
        assert first["over_time"][0] == 1
        assert "▅▁▁▁▁▁▁▁▁▁▁█" in page
        assert f"/events?since=24h&amp;error={first['error_group']}" in page
        listed = (await operator.get(f"/events.json?error={first['error_group']}")).json()
        assert len(listed["rows"]) == 3

    async def test_is_muted_until_somebody_unmutes_it(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a")
        group = await db.value("select error_group from webhook_events")

        muted = await operator.post(f"/errors/{group}/mute", data={"since": "7d"})
        page = (await operator.get("/errors?since=7d")).text
        lead = (await operator.get("/leads/a")).text
        [row] = (await operator.get("/errors.json")).json()["rows"]
        unmuted = await operator.post(f"/errors/{group}/unmute")
        [after] = (await operator.get("/errors.json")).json()["rows"]

        assert muted.headers["location"] == "/errors?since=7d"
        assert "No alert counts this error until it is fixed" in page
        assert f'action="/errors/{group}/unmute"' in page
        assert "No alert counts this error: it has been muted since" in lead
        assert row["muted_since"] is not None
        assert (unmuted.status_code, after["muted_since"]) == (303, None)
        rows = await db.fetch("select actor, via, verb, filter from operator_actions order by at")
        assert rows == [("Ana", "console", verb, {"error": group}) for verb in ("mute", "unmute")]

    async def test_that_no_event_has_cannot_be_muted(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        for address in ("/errors/00000000/mute", "/errors/00000000/unmute"):
            assert (await operator.post(address)).status_code == 404, address
        assert await db.value("select count(*) from operator_actions") == 0


class TestAnUpstream:
    async def test_is_paused_and_resumed_with_the_audit_of_the_command_line(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        paused = await operator.post(
            "/upstreams/diretrix/pause", data={"minutes": "60", "because": "they asked"}
        )
        shown = (await operator.get("/upstreams")).text
        left = await db.value(
            "select extract(epoch from paused_until - now()) from upstreams where name = 'diretrix'"
        )
        await operator.post("/upstreams/diretrix/resume")
        await operator.post("/upstreams/work_api/budget", data={"calls": "600"})

        assert paused.headers["location"] == "/upstreams"
        assert "Diretrix is paused; events that need it wait." in shown
        assert "they asked" in shown
        assert 3500 < left <= 3600
        rows = await db.fetch(
            "select actor, via, verb, filter, reason from operator_actions order by at"
        )
        assert rows == [
            ("Ana", "console", "pause", {"upstream": "diretrix", "minutes": 60}, "they asked"),
            ("Ana", "console", "resume", {"upstream": "diretrix"}, None),
            ("Ana", "console", "budget", {"upstream": "work_api", "calls": 600}, None),
        ]
        said_once = (await operator.get("/upstreams")).text
        assert "has another budget for today" in said_once
        assert "has another budget" not in (await operator.get("/upstreams")).text

    @pytest.mark.parametrize(
        ("path", "data", "status"),
        [
            ("diretrix/pause", {"minutes": "60"}, 422),
            ("diretrix/pause", {"minutes": "7", "because": "x"}, 422),
            ("diretrix/budget", {"calls": "many"}, 422),
            ("nobody/resume", {}, 404),
        ],
    )
    async def test_is_left_alone_when_the_form_is_wrong(
        self, operator: httpx.AsyncClient, db: Database, path: str, data: Any, status: int
    ) -> None:
        assert (await operator.post(f"/upstreams/{path}", data=data)).status_code == status
        assert await db.value("select count(*) from operator_actions") == 0

    async def test_shows_its_last_hour(self, operator: httpx.AsyncClient, db: Database) -> None:
        await failed(db, "a")
        await db.execute(
            "insert into event_attempts (event_id, lease_token, attempt, worker, started_at,"
            " result, calls) select id, 1, 1, 'p', now(), 'failed',"
            ' \'[{"upstream": "c2s", "result": "ok", "ms": 100, "at_ms": 1},'
            ' {"upstream": "c2s", "result": "unavailable", "ms": 300, "at_ms": 1}]\''
            " from webhook_events"
        )

        rows = (await operator.get("/upstreams.json")).json()["rows"]

        [c2s] = [row for row in rows if row["name"] == "c2s"]
        assert (c2s["median_ms"], c2s["failed"], c2s["state"]) == (200, "1/2", "in_use")


class TestAMessage:
    async def test_is_settled_by_a_person_who_looked(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        there, absent = await open_message(db, "a"), await open_message(db, "b")

        await operator.post(f"/messages/{there}/delivered")
        await operator.post(f"/messages/{absent}/not-delivered")
        again = await operator.post(f"/messages/{there}/delivered")

        rows = await db.fetch("select lead_id, status, proof from lead_messages order by lead_id")
        assert rows == [("a", "sent", "person"), ("b", "pending", None)]
        assert await db.value("select count(*) from webhook_events where status = 'received'") == 2
        assert again.status_code == 409
        verbs = await db.fetch("select verb from operator_actions order by at")
        assert [verb for (verb,) in verbs] == ["delivered", "not_delivered"]


class TestARejectedDelivery:
    BODY = '{"lead": {"customer": "Maria Silva"}, "updated_at": "ontem"}'

    async def test_hides_what_may_be_about_a_person_until_a_reason_is_given(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        found = await rejected(db, self.BODY, "updated_at_unreadable")

        masked = (await operator.get(f"/rejects/{found}")).text
        without = await operator.post(f"/rejects/{found}/show")
        shown = await operator.post(f"/rejects/{found}/show", data={"because": "a complaint"})

        assert "Maria" not in masked
        assert "updated_at is not a valid timestamp" in masked
        assert without.status_code == 422
        assert "Maria Silva" in shown.text
        [row] = await db.fetch("select verb, filter, reason from operator_actions")
        assert row == ("show_reject", {"reject": str(found)}, "a complaint")

    async def test_is_replayed_alone_or_with_all_of_its_reason(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        good = '{"id": "%s", "updated_at": "2026-11-25T14:00:00Z"}'
        found = await rejected(db, good % "a")
        await rejected(db, good % "b")
        await rejected(db, "{", lead="c")

        alone = await operator.post(f"/rejects/{found}/replay")
        after_one = await db.value("select count(*) from webhook_events")
        alike = await operator.post("/rejects/replay", data={"reason": "not_json"})
        page = (await operator.get("/rejects")).text

        assert alone.headers["location"] == f"/rejects/{found}"
        assert after_one == 1
        assert alike.headers["location"] == "/rejects?reason=not_json"
        assert await db.value("select count(*) from webhook_events") == 2
        assert "2 checked: 1 events stored, 1 still rejected." in page

    async def test_is_dismissed_for_a_reason(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        found = await rejected(db, "{")

        without = await operator.post(f"/rejects/{found}/dismiss")
        done = await operator.post(f"/rejects/{found}/dismiss", data={"because": "a test"})
        again = await operator.post(f"/rejects/{found}/dismiss", data={"because": "a test"})

        assert (without.status_code, done.status_code, again.status_code) == (422, 303, 409)
        assert (await operator.get("/rejects.json")).json()["rows"] == []
        assert len((await operator.get("/rejects.json?all=yes")).json()["rows"]) == 1

    async def test_that_does_not_exist_is_said(self, operator: httpx.AsyncClient) -> None:
        nobody = "/rejects/00000000-0000-4000-8000-000000000000"

        assert (await operator.get(nobody)).status_code == 404
        assert (await operator.post(f"{nobody}/replay")).status_code == 404


class TestAPage:
    async def test_asks_at_most_six_questions(
        self, operator: httpx.AsyncClient, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await failed(db, "a")
        asked: list[str] = []
        execute = psycopg.AsyncCursor.execute

        async def counted(self: Any, query: Any, *args: Any, **more: Any) -> Any:
            asked.append(str(query))
            return await execute(self, query, *args, **more)

        made = await operator.post("/plans", data={"do": "reprocess_all", "status": "failed"})
        plan = made.headers["location"]
        paths = [path for path, _ in console_app._PAGES if "{" not in path and path != "/search"]
        for path in [*paths, "/leads/a", plan, plan.replace("plans", "actions")]:
            # What stands above every page is asked for once for all who look within a second.
            await operator.get(path)
            monkeypatch.setattr(psycopg.AsyncCursor, "execute", counted)
            asked.clear()
            await operator.get(path)
            monkeypatch.undo()
            own = [query for query in asked if "health_" not in query and "schema_mig" not in query]
            assert len(own) <= 6, (path, own)
