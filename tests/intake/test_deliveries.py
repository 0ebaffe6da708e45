"""A delivery over HTTP: what it is answered, and what is in the database when it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import psycopg
import pytest
from tests.cast import ANA, lead_json
from tests.conftest import ENVIRONMENT, Database
from tests.intake.conftest import PATH, TOKEN, Kept, MinuteClock, Web, an_event, kept, open_web

MIB = 1024 * 1024


def counts(answer: httpx.Response) -> tuple[int, int, int, int]:
    body = answer.json()
    return body["received"], body["processed"], body["duplicates"], body["rejected"]


def is_problem(answer: httpx.Response, status: int, reason: str) -> bool:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body["reason"]) == (status, status, reason), (
        answer.text
    )
    assert body["title"]
    assert body["detail"]
    return True


def bytes_held(web: Web) -> float | None:
    """Bytes of all bodies that the web process has in memory."""
    return web.metrics.registry.get_sample_value("c2s_intake_body_bytes")


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


class TestADelivery:
    async def test_of_one_event_is_a_row_when_it_is_answered(self, web: Web, db: Database) -> None:
        event = an_event(
            "lead-1", hook_action="on_create_lead", attributes={"customer": {"name": "Ana"}}
        )

        answer = await web.deliver(event)

        assert answer.status_code == 200
        assert answer.json() == {
            "status": "received",
            "received": 1,
            "processed": 1,
            "duplicates": 0,
            "rejected": 0,
        }
        [row] = await db.fetch("select * from webhook_events")
        assert (row.lead_id, row.hook_action, row.status, row.payload_raw) == (
            "lead-1",
            "on_create_lead",
            "received",
            event,
        )

    async def test_that_comes_again_is_a_duplicate_however_it_is_written(
        self, web: Web, db: Database
    ) -> None:
        event = an_event("lead-1", a=1, b=[1, 2])
        await web.deliver(event)

        again = await web.deliver(event)
        other_writing = await web.deliver(
            json.dumps(dict(reversed(event.items())), indent=3).encode()
        )

        assert counts(again) == counts(other_writing) == (1, 0, 1, 0)
        assert (again.status_code, other_writing.status_code) == (200, 200)
        assert await kept(db) == Kept(1, 0)

    async def test_holds_the_same_event_twice_and_it_is_stored_once(
        self, web: Web, db: Database
    ) -> None:
        event = an_event("lead-1")

        answer = await web.deliver([event, event, event | {"x": 1}])

        assert counts(answer) == (3, 1, 2, 0)
        assert "errors" not in answer.json()
        assert await kept(db) == Kept(1, 0)

    async def test_of_good_and_bad_tells_them_apart_by_index(self, web: Web, db: Database) -> None:
        with_nul = an_event(4, x="\0")

        answer = await web.deliver([an_event(1), {"id": 2}, an_event(3), "x", with_nul])

        assert (answer.status_code, counts(answer)) == (200, (5, 2, 0, 3))
        assert [(error["index"], error["reason"]) for error in answer.json()["errors"]] == [
            (1, "updated_at_missing"),
            (3, "not_an_object"),
            (4, "nul_character"),
        ]
        assert await db.fetch("select lead_id from webhook_events order by lead_id") == [
            ("1",),
            ("3",),
        ]
        assert await db.fetch(
            'select raw, detail from rejected_deliveries order by detail collate "C"'
        ) == [
            (
                json.dumps(with_nul).encode(),
                "A text holds a NUL character, which the database does not accept. (element 4)",
            ),
            (b'"x"', "An event must be a JSON object. (element 3)"),
            (b'{"id": 2}', "The event has no updated_at. (element 1)"),
        ]

    async def test_of_what_only_the_database_refuses_does_not_take_its_neighbours_along(
        self, web: Web, db: Database
    ) -> None:
        bad = b'{"id":"bad","x":1e200000,"updated_at":"2025-06-01T10:00:00Z"}'
        good = [json.dumps(an_event(number)).encode() for number in range(20)]

        answer = await web.deliver(b"[" + b",".join([*good[:7], bad, *good[7:]]) + b"]")

        assert (answer.status_code, counts(answer)) == (200, (21, 20, 0, 1))
        assert [(error["index"], error["reason"]) for error in answer.json()["errors"]] == [
            (7, "not_storable")
        ]
        assert await db.fetch("select raw, lead_id from rejected_deliveries") == [(bad, "bad")]

    @pytest.mark.parametrize("charset", ["ISO-8859-1", '"latin1"', "windows-1252"])
    async def test_in_latin_1_that_says_so_is_read(
        self, web: Web, db: Database, charset: str
    ) -> None:
        named = f"application/json; charset={charset}"
        for encoding in ("cp1252", "utf-8"):  # the second one is wrong about itself
            body = json.dumps(an_event(note=f"José {encoding}"), ensure_ascii=False)
            answer = await web.deliver(body.encode(encoding), Content_Type=named)
            assert answer.status_code == 200

        assert await db.value(
            "select array_agg(note order by note)"
            " from (select payload_raw ->> 'note' as note from webhook_events) as stored"
        ) == ["José cp1252", "José utf-8"]

    async def test_may_come_with_a_query_of_any_length(self, web: Web, db: Database) -> None:
        answer = await web.deliver(
            an_event(), path=f"{PATH}?{'a=1&' * 500}hook_action=on_create_lead"
        )

        assert answer.status_code == 200
        assert await db.value("select hook_action from webhook_events") == "on_create_lead"

    async def test_names_its_action_in_a_header_or_the_query(self, web: Web, db: Database) -> None:
        await web.deliver(an_event("1"), X_Webhook_Event="on_close_lead")
        await web.deliver(an_event("2"), path=f"{PATH}?hook_action=lead.updated")
        await web.deliver(
            an_event("3", hook_action="on_create_lead"), X_Webhook_Event="on_close_lead"
        )
        await web.deliver(an_event("4"), X_Webhook_Event="no action: a sentence")

        rows = await db.fetch("select hook_action from webhook_events order by lead_id")
        assert [row.hook_action for row in rows] == [
            "on_close_lead",
            "lead.updated",
            "on_create_lead",
            "on_update_lead",
        ]


class TestARejectedDelivery:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", "empty_body"),
            (b"{", "not_json"),
            (b"[]", "empty_array"),
            (b"\xff\x00\xfe", "not_utf8"),
            (b'{"id":1}', "updated_at_missing"),
        ],
    )
    async def test_is_400_and_keeps_every_byte(
        self, web: Web, db: Database, body: bytes, reason: str
    ) -> None:
        answer = await web.deliver(body, X_Webhook_Event="on_create_lead")

        assert is_problem(answer, 400, reason)
        assert counts(answer) == (1, 0, 0, 1)
        [row] = await db.fetch("select raw, reason, headers from rejected_deliveries")
        request_id = answer.headers["x-request-id"]
        origin = {"hook_action": "on_create_lead", "request_id": request_id}
        assert (row.raw, row.reason, row.headers) == (body, reason, origin)

    async def test_that_comes_again_is_counted_and_kept_once(self, web: Web, db: Database) -> None:
        for _ in range(3):
            await web.deliver(b"{")
        await web.deliver([7, 7, 8])
        await web.deliver(b"")
        await web.deliver(b"")

        rows = await db.fetch("select raw, times from rejected_deliveries order by raw")
        assert [tuple(row) for row in rows] == [(b"", 2), (b"7", 2), (b"8", 1), (b"{", 3)]

    async def test_without_room_is_503_and_its_neighbours_are_stored(
        self, web: Web, db: Database
    ) -> None:
        room = await db.value("select pg_get_functiondef('rejected_room'::regproc)")
        # To fill it as it is takes 4 s.
        await db.execute(room.replace(str(256 * 2**20), "20000"))
        try:
            for number in range(5):
                await web.deliver([number])
            refused = await web.deliver(b"{")
            mixed = await web.deliver([an_event(), 7])
            good = await web.deliver(an_event())
            health = (await web.client.get("/health")).json()
        finally:
            await db.execute(room)

        assert await db.value("select rejected_room()") == 256 * 2**20
        assert (refused.status_code, mixed.status_code, good.status_code) == (503, 503, 200)
        assert (refused.json()["fault"], await kept(db)) == ("service", Kept(2, 5))
        assert any("Rejected deliveries fill" in problem for problem in health["problems"])

    async def test_holds_nothing_of_the_token_that_it_came_with(
        self, web: Web, db: Database
    ) -> None:
        await web.deliver(
            b"{",
            token=None,
            path=f"{PATH}/{TOKEN}?event={TOKEN}&token={TOKEN}",
            Authorization=f"Bearer {TOKEN}",
        )

        kept_words = await db.value("select rejected_deliveries::text from rejected_deliveries")
        # The query named an action that looks like one; nothing else of the request is there.
        assert kept_words.count(TOKEN) <= 1
        assert (
            await db.value("select headers - 'hook_action' - 'request_id' from rejected_deliveries")
            == {}
        )

    async def test_of_too_many_events_is_413_and_kept(self, db: Database) -> None:
        async with open_web(db.settings("web", BATCH_LIMIT=3)) as web:
            answer = await web.deliver([an_event(n) for n in range(4)])

        assert is_problem(answer, 413, "too_many_events")
        assert await kept(db) == Kept(0, 1)


class TestTheToken:
    @pytest.mark.parametrize(
        ("headers", "path"),
        [
            ({"X-Webhook-Token": TOKEN}, PATH),
            ({"Authorization": f"Bearer {TOKEN}"}, PATH),
            ({}, f"{PATH}/{TOKEN}"),
            ({}, f"{PATH}/{TOKEN}%0D"),
            ({}, f"{PATH}/{TOKEN}/"),
            ({"X-Webhook-Token": "stale"}, f"{PATH}/{TOKEN}"),
            ({"X-Webhook-Token": TOKEN}, f"{PATH}/stale"),
            ({"X-Webhook-Token": TOKEN}, f"{PATH}/"),
        ],
    )
    async def test_opens_the_door_wherever_it_stands(
        self, web: Web, db: Database, headers: dict[str, str], path: str
    ) -> None:
        answer = await web.client.post(path, json=an_event(), headers=headers)

        assert answer.status_code == 200
        assert (await kept(db)).events == 1

    @pytest.mark.parametrize(
        ("headers", "path", "reason"),
        [
            ({}, PATH, "token_missing"),
            ({"X-Webhook-Token": "wrong"}, PATH, "token_wrong"),
            ({"X-Webhook-Token": ""}, PATH, "token_wrong"),
            ({}, f"{PATH}/wrong", "token_wrong"),
            ({}, f"{PATH}/%00%ff%D8", "token_wrong"),
            ({}, f"{PATH}/{TOKEN}/more", "token_wrong"),
            ({}, f"{PATH}/{TOKEN}%00", "token_wrong"),
            ({}, f"{PATH}?token={TOKEN}", "token_missing"),
        ],
    )
    async def test_else_is_401_and_nothing_is_kept(
        self, web: Web, db: Database, headers: dict[str, str], path: str, reason: str
    ) -> None:
        answer = await web.client.post(path, json=an_event(), headers=headers)

        assert is_problem(answer, 401, reason)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in answer.text
        assert await kept(db) == Kept(0, 0)

    async def test_of_the_time_before_a_rotation_still_opens_and_is_counted(
        self, db: Database
    ) -> None:
        async with open_web(db.settings("web", WEBHOOK_SECRET_PREVIOUS="the-old-one")) as web:
            await web.deliver(an_event(), token="the-old-one")
            await web.deliver(an_event())
            bearer = {"authorization": f"Bearer {ENVIRONMENT['ADMIN_TOKEN']}"}
            health = (await web.client.get("/health", headers=bearer)).json()

        assert (health["intake"]["token_previous"], health["intake"]["token_current"]) == (1, 1)

    async def test_refused_for_leads_that_we_know_shows_in_health(self, db: Database) -> None:
        clock = MinuteClock()
        async with open_web(db.settings("web"), clock) as web:
            await web.deliver(an_event("a-lead"))
            await web.deliver(an_event("a-lead"), token="wrong")
            await clock.a_minute()
            during = (await web.client.get("/health")).json()
            await web.deliver(an_event())
            after = (await web.client.get("/health")).json()

        assert any("leads that we know were refused" in problem for problem in during["problems"])
        assert not any("refused" in problem for problem in after["problems"])

    async def test_refused_for_anybody_who_sends_what_looks_like_c2s_plants_no_alarm(
        self, db: Database
    ) -> None:
        clock = MinuteClock()
        async with open_web(db.settings("web"), clock) as web:
            await web.deliver(an_event("a-lead"))
            for number in range(5):
                await web.deliver(lead_json(ANA) | {"id": f"guess-{number}"}, token="wrong")
                await web.deliver(b"<?xml?>", token="wrong")
            await clock.a_minute()
            health = (await web.client.get("/health")).json()

        assert not any("refused" in problem for problem in health["problems"])


class TestEachMinute:
    async def test_is_one_row_of_what_came(self, db: Database) -> None:
        clock = MinuteClock()
        event = an_event()
        async with open_web(db.settings("web"), clock) as web:
            await web.deliver([event, an_event(), 7])
            await web.deliver(event)
            await web.deliver(event, token="wrong")
            await clock.a_minute()
            await web.deliver(event)
            await clock.a_minute()

        [row] = await db.fetch(
            "select sum(delivered) as delivered, sum(duplicates) as duplicates,"
            " sum(refused) as refused, sum(rejected) as rejected, count(*) <= 2 as few"
            " from intake_minutes"
        )
        assert tuple(row) == (2, 2, 1, 1, True)

    async def test_goes_with_the_next_one_where_the_database_was_away(self, db: Database) -> None:
        clock = MinuteClock()
        async with open_web(db.settings("web"), clock) as web:
            await web.deliver(an_event())
            await db.execute("alter table intake_minutes rename to hidden")
            await clock.a_minute()
            await db.execute("alter table hidden rename to intake_minutes")
            await clock.a_minute()

            assert await db.value("select sum(delivered) from intake_minutes") == 1

    async def test_that_ends_with_the_process_is_written(self, db: Database) -> None:
        async with open_web(db.settings("web")) as web:
            await web.deliver(an_event())

        assert await db.value("select sum(delivered) from intake_minutes") == 1


class TestMethods:
    @pytest.mark.parametrize(
        "method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
    )
    @pytest.mark.parametrize("path", [PATH, f"{PATH}/{TOKEN}"])
    async def test_other_than_post_are_405_with_allow(
        self, web: Web, method: str, path: str
    ) -> None:
        answer = await web.client.request(method, path)

        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert method == "HEAD" or is_problem(answer, 405, "method_not_allowed")

    async def test_elsewhere_are_told_in_the_same_form(self, web: Web) -> None:
        assert is_problem(await web.client.get("/nothing/here"), 404, "not_found")
        assert is_problem(await web.client.post("/openapi.json"), 405, "method_not_allowed")


class TestLimits:
    async def test_a_body_may_be_as_large_as_the_limit_and_no_larger(self, db: Database) -> None:
        body = json.dumps(an_event(x="a" * 2000)).encode()
        async with open_web(db.settings("web", BODY_LIMIT=len(body))) as web:
            fits = await web.deliver(body)
            too_large = await web.deliver(body + b" ")

        assert fits.status_code == 200
        assert is_problem(too_large, 413, "body_too_large")
        assert too_large.headers["connection"] == "close"
        assert await kept(db) == Kept(1, 0)

    async def test_a_body_of_parts_is_counted_as_it_comes(self, db: Database) -> None:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield b" " * 400

        async with open_web(db.settings("web", BODY_LIMIT=1000)) as web:
            answer = await web.client.post(
                PATH, content=parts(), headers={"X-Webhook-Token": TOKEN}
            )

        assert is_problem(answer, 413, "body_too_large")

    @pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip", "x"])
    async def test_a_compressed_body_is_415(self, web: Web, db: Database, encoding: str) -> None:
        answer = await web.deliver(an_event(), Content_Encoding=encoding)

        assert is_problem(answer, 415, "content_encoding")
        assert answer.headers["accept-encoding"] == "identity"
        assert await kept(db) == Kept(0, 0)

    async def test_an_authentic_delivery_that_left_no_trace_shows_in_health(self, web: Web) -> None:
        await web.deliver(an_event(), Content_Encoding="gzip", token="wrong")
        quiet = (await web.client.get("/health")).json()["problems"]
        await web.deliver(an_event(), Content_Encoding="gzip")
        await web.deliver(an_event(), Content_Encoding="br")
        told = (await web.client.get("/health")).json()["problems"]

        assert not any("neither stored nor kept" in problem for problem in quiet)
        assert any(
            "2 deliveries with the right token were neither stored nor kept: their body was"
            " compressed" in problem
            for problem in told
        )

    async def test_a_second_header_does_not_hide_a_compressed_body(self, web: Web) -> None:
        headers = [
            ("X-Webhook-Token", TOKEN),
            ("Content-Encoding", "identity"),
            ("Content-Encoding", "gzip"),
        ]

        assert is_problem(
            await web.client.post(PATH, content=b"{}", headers=headers), 415, "content_encoding"
        )

    async def test_identity_is_not_a_compression(self, web: Web) -> None:
        assert (await web.deliver(an_event(), Content_Encoding="Identity")).status_code == 200

    async def test_a_body_that_does_not_end_is_408(self, db: Database) -> None:
        async def endless() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.Event().wait()

        async with open_web(db.settings("web", RECEIVE_TIMEOUT="0.05")) as web:
            answer = await web.client.post(
                PATH, content=endless(), headers={"X-Webhook-Token": TOKEN}
            )

        assert is_problem(answer, 408, "body_too_slow")
        assert answer.headers["connection"] == "close"
        assert await kept(db) == Kept(0, 0)

    async def test_more_requests_at_once_than_the_limit_are_503_and_the_others_are_not(
        self, db: Database
    ) -> None:
        go = asyncio.Event()

        async def held() -> AsyncIterator[bytes]:
            yield b""
            await go.wait()
            yield json.dumps(an_event()).encode()

        async with open_web(db.settings("web", REQUEST_LIMIT=3)) as web:
            waiting = [
                asyncio.create_task(
                    web.client.post(PATH, content=held(), headers={"X-Webhook-Token": TOKEN})
                )
                for _ in range(3)
            ]
            for _ in range(50):
                await asyncio.sleep(0)
            refused = await web.deliver(an_event())
            go.set()
            served = await asyncio.gather(*waiting)
            after = await web.deliver(an_event())

        assert is_problem(refused, 503, "too_many_requests")
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert [answer.status_code for answer in [*served, after]] == [200] * 4

    async def test_more_bytes_at_once_than_the_limit_are_503_and_the_others_are_not(
        self, web: Web, db: Database
    ) -> None:
        go = asyncio.Event()
        body = b'{"id":"%d","updated_at":"2025-06-01T10:00:00Z","x":"%s"}'
        filler = b"a" * (MIB - len(body % (100, b"")))

        async def held(number: int) -> AsyncIterator[bytes]:
            whole = body % (number, filler)
            yield whole[:-1]
            await go.wait()
            yield whole[-1:]

        def send(number: int) -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(
                web.client.post(PATH, content=held(number), headers={"X-Webhook-Token": TOKEN})
            )

        fit = 64
        waiting = [send(100 + number) for number in range(fit)]
        await until(lambda: bytes_held(web) == fit * (MIB - 1))
        refused = [await task for task in [send(900) for _ in range(20)]]
        small = await web.deliver(an_event(x="a" * fit))
        for hung_up in waiting[8:]:
            hung_up.cancel()
        await asyncio.wait(waiting[8:])
        go.set()
        served = await asyncio.gather(*waiting[:8])
        after = await web.deliver(an_event())

        for answer in [*refused, small]:
            assert is_problem(answer, 503, "too_many_bytes")
            assert 1 <= int(answer.headers["retry-after"]) <= 10
        assert [answer.status_code for answer in [*served, after]] == [200] * 9
        assert await kept(db) == Kept(9, 0)
        assert bytes_held(web) == 0


class TestADatabaseThatCannotStore:
    async def test_is_503_with_a_time_to_come_back_and_later_the_same_delivery_is_stored(
        self, db: Database
    ) -> None:
        event = an_event()
        async with (
            open_web(db.settings("web", STORE_TIMEOUT="0.3")) as web,
            await psycopg.AsyncConnection.connect(db.url) as other,
        ):
            await other.execute("lock table webhook_events in access exclusive mode")
            refused = await web.deliver(event)
            await other.rollback()
            later = await web.deliver(event)

        assert is_problem(refused, 503, "not_stored")
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert (later.status_code, later.json()["received"]) == (200, 1)
        assert await kept(db) == Kept(1, 0)

    async def test_sends_its_guests_away_for_different_times(self, db: Database) -> None:
        settings = db.settings(
            "web", STORE_TIMEOUT="0.05", DATABASE_URL="postgresql://127.0.0.1:9/none"
        )
        async with open_web(settings) as web:
            answers = await asyncio.gather(*(web.deliver(an_event(n)) for n in range(30)))

        assert {answer.status_code for answer in answers} == {503}
        assert len({answer.headers["retry-after"] for answer in answers}) > 1


class TestEveryAnswer:
    ANSWERS = pytest.mark.parametrize(
        ("method", "path", "token"),
        [
            ("POST", PATH, TOKEN),
            ("POST", PATH, "wrong"),
            ("GET", PATH, ""),
            ("GET", "/livez", ""),
            ("GET", "/health", ""),
            ("GET", "/no", ""),
        ],
    )

    @ANSWERS
    async def test_carries_the_security_headers(
        self, web: Web, method: str, path: str, token: str
    ) -> None:
        answer = await web.client.request(
            method, path, content=b"{}", headers={"X-Webhook-Token": token}
        )

        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["strict-transport-security"].startswith("max-age=")

    @ANSWERS
    async def test_carries_the_senders_request_id(
        self, web: Web, method: str, path: str, token: str
    ) -> None:
        answer = await web.client.request(
            method,
            path,
            content=b"{}",
            headers={"X-Webhook-Token": token, "X-Request-Id": "req-12345678"},
        )

        assert answer.headers["x-request-id"] == "req-12345678"

    @pytest.mark.parametrize(
        "given", ["", "short", "with blank and more", "a" * 65, TOKEN, "íd-íd-íd-íd", "12345678909"]
    )
    async def test_carries_a_new_request_id_where_the_senders_is_none_or_must_not_be_repeated(
        self, web: Web, given: str
    ) -> None:
        answers = [
            await web.client.get("/livez", headers={b"X-Request-Id": given.encode()})
            for _ in range(2)
        ]

        ids: set[Any] = {answer.headers["x-request-id"] for answer in answers}
        assert len(ids) == 2
        assert given not in ids
