"""Lists: one declaration of columns is the page, the JSON and the CSV."""

from __future__ import annotations

import re

import httpx
import pytest
from tests.conftest import Database
from tests.console.conftest import HOSTILE, failed


class TestTheListOfEvents:
    async def test_says_the_same_as_a_page_as_json_and_as_csv(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a27a", "b27b")

        page = (await operator.get("/events?status=failed")).text
        rows = (await operator.get("/events.json?status=failed")).json()["rows"]
        lines = (await operator.get("/events?status=failed", headers={"accept": "text/csv"})).text
        linked = (await operator.get("/events.csv?status=failed")).text

        assert [row["lead_id"] for row in rows] == ["a27a", "b27b"]
        assert rows[0]["cause"] == "upstream_refused"
        assert page.index("a27a") < page.index("b27b")
        assert "✗ failed" in page
        assert "an upstream refused" in page
        assert lines.splitlines()[0] == ",".join(rows[0])
        assert linked == lines

    async def test_shows_all_pages_without_a_gap_or_a_repetition(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, *(f"lead-{number}" for number in range(7)))
        await db.execute("update webhook_events set received_at = date_trunc('hour', received_at)")

        seen, address = [], "/events.json?limit=3"
        while True:
            answer = (await operator.get(address)).json()
            seen += [row["event_id"] for row in answer["rows"]]
            if not answer["after"]:
                break
            address = f"/events.json?limit=3&after={answer['after']}"

        assert len(seen) == len(set(seen)) == 7

    async def test_links_to_the_next_page_with_its_filter(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a", "b", "c")

        first = (await operator.get("/events?status=failed&limit=2")).text
        [link] = re.findall(r'rel="next" href="([^"]+)"', first)
        second = (await operator.get(link.replace("&amp;", "&"))).text

        assert "status=failed" in link
        assert "<strong>3</strong>" in first
        assert "/leads/c" in second
        assert "/leads/a" not in second

    async def test_goes_through_a_part_at_a_time_where_no_index_helps(
        self, operator: httpx.AsyncClient, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await failed(db, "a", "b", "c", "d", "e", "f")
        await db.execute(
            "update webhook_events set status = 'completed', outcome = 'shadow',"
            " error_kind = null where lead_id in ('b', 'f')"
        )
        monkeypatch.setattr("c2s_enrich.ops.events.SEARCHED", 2)
        found, parts, address = [], 0, "/events.json?outcome=shadow"
        while parts < 5:
            answer = (await operator.get(address)).json()
            found += [row["lead_id"] for row in answer["rows"]]
            parts += 1
            if answer["after"] is None:
                break
            address = f"/events.json?outcome=shadow&after={answer['after']}"

        assert (found, parts) == (["b", "f"], 3)
        assert "events were looked through" in (await operator.get("/events?outcome=shadow")).text
        assert (
            "events were looked through" not in (await operator.get("/events?status=failed")).text
        )

    async def test_counts_to_ten_thousand(self, operator: httpx.AsyncClient, db: Database) -> None:
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw)"
            " select 'x', now() - n * interval '1 s', '{}' from generate_series(1, 10005) n"
        )

        page = (await operator.get("/events")).text

        assert "<strong>10,000+</strong>" in page
        assert "Reprocess all failed ones that match…" in page
        waiting = (await operator.get("/events?status=received")).text
        assert "Reprocess all 10,000+ that match…" in waiting

    async def test_says_what_is_not_understood(self, operator: httpx.AsyncClient) -> None:
        for query, sentence in (
            ("status=faild", "did you mean `failed`?"),
            ("stauts=failed", "did you mean `status`?"),
            ("limit=0", "limit is a whole number from 1 to 1000"),
            ("after=x", "begin with the first one"),
        ):
            answer = await operator.get(f"/events?{query}")

            assert answer.status_code == 422
            assert sentence in answer.text

    async def test_says_what_it_means_that_there_are_none(
        self, operator: httpx.AsyncClient
    ) -> None:
        assert "No webhook has arrived yet." in (await operator.get("/events")).text
        some = await operator.get("/events?kind=bug")
        assert "No event matches this filter." in some.text

    async def test_is_not_obeyed_by_a_browser_or_a_spreadsheet(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        for name in HOSTILE:
            await failed(db, name[:100], message=name[:2000])

        page = (await operator.get("/events")).text
        lines = (await operator.get("/events.csv")).text
        filtered = (await operator.get("/events", params={"lead": HOSTILE[1]})).text

        for text in (page, filtered):
            assert "<img" not in text
            assert "<script" not in text
            assert not {"\u202e", "\x1b", "\x07"} & set(text)
        assert len(page) < 60_000
        assert "{{7*7}}" in page
        assert "\n'=HYPERLINK" in lines or ",'=HYPERLINK" in lines

    async def test_refreshes_only_where_it_is_asked_to(self, operator: httpx.AsyncClient) -> None:
        assert 'http-equiv="refresh"' not in (await operator.get("/events")).text
        assert 'http-equiv="refresh"' in (await operator.get("/events?live=5")).text


class TestTheSearchBox:
    async def test_finds_a_lead_an_event_and_a_link(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a27a")
        event = await db.value("select id from webhook_events")

        for asked, where in (
            ("a27a", "/leads/a27a"),
            (str(event), f"/leads/a27a#{event}"),
            ("https://app.contact2sale.example/leads/a27a", "/leads/a27a"),
            ("never", "/leads/never"),
        ):
            answer = await operator.get("/search", params={"q": asked})
            assert answer.headers["location"] == where
        assert (await operator.get(f"/events/{event}")).headers["location"].endswith(str(event))

    async def test_says_what_can_be_asked(self, operator: httpx.AsyncClient) -> None:
        answer = await operator.get("/search", params={"q": "two words"})

        assert answer.status_code == 422
        assert "a lead&#39;s id" in answer.text or "a lead's id" in answer.text
