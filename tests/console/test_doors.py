"""Who gets in, what stays out, and in which language it is said."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from jinja2 import Environment
from tests.clocks import Naps
from tests.conftest import Database
from tests.console.conftest import OPERATOR, VIEWER, console, failed
from tests.ops.test_rules import EVERYTHING

import c2s_enrich.console
from c2s_enrich.console import app as console_app
from c2s_enrich.console import words as spoken
from c2s_enrich.console.entrance import Doorkeeper
from c2s_enrich.console.page import Session
from c2s_enrich.console.words import Words
from c2s_enrich.intake.payload import SENTENCES
from c2s_enrich.ops import surface
from c2s_enrich.ops.causes import sentences
from c2s_enrich.ops.filters import KINDS, OUTCOMES, REASONS, STATUSES, UPSTREAMS
from c2s_enrich.ops.health import AWAY
from c2s_enrich.ops.problems import problems_of
from c2s_enrich.ops.surface import Refusal
from c2s_enrich.options import Secret

TROUBLE = [AWAY, *problems_of(EVERYTHING)]
SOMETHING = "7f3a0000-0000-4000-8000-000000000000"
ROOM = Path(c2s_enrich.console.__file__).parent


def place(path: str) -> str:
    """An address of this route."""
    return re.sub(r"{\w+}", "c2s", re.sub(r"{\w+:uuid}", SOMETHING, path)).replace(
        "{lead_id:path}", "x"
    )


PAGES = [place(path) for path, _ in console_app._PAGES]
ACTIONS = [place(path) for path, _ in console_app._ACTIONS]


class TestWithoutACookie:
    async def test_every_page_leads_to_the_login(self, stranger: httpx.AsyncClient) -> None:
        for path in PAGES:
            for form in ("", ".json", ".csv"):
                answer = await stranger.get((path if path != "/" or not form else "/x") + form)

                assert answer.status_code == 303, path
                assert answer.headers["location"].startswith("/login")

    async def test_every_action_leads_to_the_login_and_changes_nothing(
        self, stranger: httpx.AsyncClient, db: Database
    ) -> None:
        for path in ACTIONS:
            assert (await stranger.post(path)).headers["location"] == "/login", path
        assert await db.value("select count(*) from operator_actions") == 0

    async def test_an_unknown_address_tells_nothing(self, stranger: httpx.AsyncClient) -> None:
        assert (await stranger.get("/nothing")).status_code == 303
        assert (await stranger.get("/api/v1/nothing")).json()["reason"] == "not_found"


class TestALogin:
    async def test_leads_on_to_where_somebody_wanted_to_go(
        self, stranger: httpx.AsyncClient
    ) -> None:
        page = await stranger.get("/events?status=failed", follow_redirects=True)
        assert 'value="/events?status=failed"' in page.text

        answer = await stranger.post(
            "/login", data={"token": OPERATOR, "name": "Ana", "next": "/events?status=failed"}
        )

        assert answer.headers["location"] == "/events?status=failed"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Max-Age=43200" in answer.headers.get_list("set-cookie")[-1]

    async def test_never_leads_to_another_host(self, stranger: httpx.AsyncClient) -> None:
        for target in ("//evil.example/x", "https://evil.example", "/\\evil", "x", "/a\nb", "//["):
            answer = await stranger.post("/login", data={"token": VIEWER, "next": target})

            assert answer.headers["location"] == "/", target

    async def test_with_a_wrong_token_is_refused_and_audited(
        self, stranger: httpx.AsyncClient, db: Database
    ) -> None:
        answer = await stranger.post("/login", data={"token": "guess", "name": "Mallory"})

        assert answer.status_code == 403
        assert "c2s_session" not in answer.headers.get("set-cookie", "")
        [row] = await db.fetch("select actor, via, verb from operator_actions")
        assert row == ("Mallory", "console", "login_failed")

    async def test_of_an_operator_needs_a_name(self, stranger: httpx.AsyncClient) -> None:
        assert (await stranger.post("/login", data={"token": OPERATOR})).status_code == 422

    async def test_from_another_site_is_refused(self, stranger: httpx.AsyncClient) -> None:
        answer = await stranger.post(
            "/login", data={"token": VIEWER}, headers={"sec-fetch-site": "cross-site"}
        )

        assert answer.status_code == 403

    async def test_ends_with_a_logout(self, operator: httpx.AsyncClient) -> None:
        await operator.post("/logout")

        assert (await operator.get("/events")).status_code == 303

    async def test_gets_slower_with_each_wrong_token(self) -> None:
        naps = Naps()
        keeper = Doorkeeper(Secret(OPERATOR), Secret(""), naps)

        for token in ("a", "b", "c", OPERATOR, OPERATOR):
            role = await keeper.role_of(token)

        assert role == "operator"
        assert naps.taken == [0.5, 1.0, 2.0]

    async def test_is_not_looked_at_when_too_many_wait(self) -> None:
        keeper = Doorkeeper(Secret(OPERATOR), Secret(""), Naps())
        keeper._waiting = 8

        with pytest.raises(Refusal) as refused:
            await keeper.role_of(OPERATOR)
        assert refused.value.status == 429

    async def test_with_an_empty_token_never_fits_a_role_that_has_none(self) -> None:
        assert await Doorkeeper(Secret(OPERATOR), Secret(""), Naps()).role_of("") is None


class TestACookie:
    def test_ends_when_its_token_is_changed(self) -> None:
        cookie = Doorkeeper(Secret(OPERATOR), Secret(VIEWER), Naps()).sign(
            Session("operator", "Ana")
        )

        assert Doorkeeper(Secret("another-token-now"), Secret(VIEWER), Naps()).read(cookie) is None
        kept = Doorkeeper(Secret(OPERATOR), Secret("changed-token-here"), Naps()).read(cookie)
        assert kept == Session("operator", "Ana")

    @pytest.mark.parametrize("cookie", ["", ".", "x.y", "W10.x", "bnVsbA.x", "é.é", "=" * 50])
    def test_made_by_somebody_else_is_refused(self, cookie: str) -> None:
        assert Doorkeeper(Secret(OPERATOR), Secret(VIEWER), Naps()).read(cookie) is None

    def test_of_a_viewer_cannot_be_made_an_operators(self) -> None:
        keeper = Doorkeeper(Secret(OPERATOR), Secret(VIEWER), Naps())
        said, _, mac = keeper.sign(Session("viewer", "Eve")).partition(".")
        promoted, _, _ = keeper.sign(Session("operator", "Eve")).partition(".")

        assert keeper.read(f"{said}.{mac}") == Session("viewer", "Eve")
        assert keeper.read(f"{promoted}.{mac}") is None

    def test_lasts_twelve_hours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        keeper = Doorkeeper(Secret(OPERATOR), Secret(VIEWER), Naps())
        monkeypatch.setattr("time.time", lambda: 1_000_000.0)
        cookie = keeper.sign(Session("operator", "Ana"))

        monkeypatch.setattr("time.time", lambda: 1_000_000.0 + 43_199)
        assert keeper.read(cookie) is not None
        monkeypatch.setattr("time.time", lambda: 1_000_000.0 + 43_201)
        assert keeper.read(cookie) is None


class TestAnAction:
    async def test_from_another_site_is_refused_and_changes_nothing(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a")
        before = await everything(db)
        for site in ("cross-site", "same-site", "none", ""):
            for path in ACTIONS:
                answer = await operator.post(path, headers={"sec-fetch-site": site})
                assert answer.status_code == 403, path
        assert await everything(db) == before

    async def test_of_a_viewer_is_refused_and_changes_nothing(
        self, viewer: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a")
        before = await everything(db)
        for path in ACTIONS:
            assert (await viewer.post(path)).status_code == 403, path
        assert await everything(db) == before

    async def test_without_any_word_of_its_origin_is_refused(self, db: Database) -> None:
        async with console(db) as browser, browser() as client:
            del client.headers["sec-fetch-site"]
            alone = await client.post("/login", data={"token": VIEWER})
            elsewhere = await client.post(
                "/login", data={"token": VIEWER}, headers={"origin": "https://evil.example"}
            )
            broken = await client.post(
                "/login", data={"token": VIEWER}, headers={"origin": "http://["}
            )
            here = await client.post(
                "/login", data={"token": VIEWER}, headers={"origin": "http://console"}
            )

        answers = (alone, elsewhere, broken, here)
        assert [answer.status_code for answer in answers] == [403, 403, 403, 303]


class TestEveryAnswer:
    async def test_is_kept_nowhere_and_runs_nothing(self, operator: httpx.AsyncClient) -> None:
        for path in ("/events", "/login", "/console.css", "/nothing", "/events.json"):
            headers = (await operator.get(path)).headers

            assert headers["content-security-policy"].startswith("default-src 'none'; style-src")
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-robots-tag"] == "noindex"

    async def test_holds_no_script_and_nothing_from_elsewhere(
        self, operator: httpx.AsyncClient
    ) -> None:
        for path in PAGES:
            text = (await operator.get(path, follow_redirects=True)).text

            for foreign in ("<script", "style=", "http://", "https://", "javascript:", " on"):
                assert foreign not in text.replace(" one", "").replace(" on_", ""), (path, foreign)


class TestPortuguese:
    async def test_comes_by_the_browsers_wish_and_stays_by_a_link(
        self, operator: httpx.AsyncClient
    ) -> None:
        wished = await operator.get("/events", headers={"accept-language": "pt-BR,pt;q=0.9"})
        moved = await operator.get("/events?status=failed&lang=pt")
        stayed = await operator.get("/events")

        assert "<h1>Eventos</h1>" in wished.text
        assert '<html lang="pt">' in wished.text
        assert moved.headers["location"] == "/events?status=failed"
        assert "<h1>Eventos</h1>" in stayed.text

    def test_has_every_text_and_no_other(self) -> None:
        said: dict[str, Any] = {}
        reader = Environment(extensions=["jinja2.ext.i18n"])  # noqa: S701 only reads sources
        for template in (ROOM / "templates").iterdir():
            for _, _, found in reader.extract_translations(  # type: ignore[attr-defined]
                template.read_text()
            ):
                if one := found if isinstance(found, str) else (found or [None])[0]:
                    said[one] = found
        for module in (*ROOM.glob("*.py"), Path(surface.__file__)):
            for node in ast.walk(ast.parse(module.read_text())):
                name = getattr(getattr(node, "func", None), "id", "")
                if isinstance(node, ast.Call) and name == "N_":
                    text = ast.literal_eval(node.args[0])
                    said[text] = text
        said |= {"yes": "yes", "no": "no"}

        translated = sentences("pt", spoken.__file__)["messages"]
        assert set(said) - set(translated) == set()
        assert set(translated) - set(said) == set()
        for one, found in said.items():
            assert isinstance(translated[one], str if isinstance(found, str) else list), one
            for each in [translated[one]] if isinstance(found, str) else translated[one]:
                assert holes(each) == holes(one), one

    def test_has_a_word_for_every_code(self) -> None:
        english, portuguese = sentences("en", spoken.__file__), sentences("pt", spoken.__file__)
        tables = set(portuguese) - {"messages", "problem"}

        assert tables == set(english)
        for table in tables:
            assert set(english[table]) == set(portuguese[table]), table
        assert set(english["status"]) == set(STATUSES)
        assert set(english["cause"]) == {*OUTCOMES, *KINDS, *REASONS}
        assert set(english["upstream"]) == set(UPSTREAMS)
        assert set(english["reject"]) == set(SENTENCES)

    def test_says_everything_that_can_be_wrong(self, words: dict[str, Words]) -> None:
        for problem in TROUBLE:
            assert words["en"].trouble(problem) == problem.sentence
            assert words["pt"].trouble(problem) != problem.sentence
        assert {each.code for each in TROUBLE} == set(sentences("pt", spoken.__file__)["problem"])

    def test_writes_numbers_its_own_way(self, words: dict[str, Words]) -> None:
        assert words["en"].number(10_000) == "10,000"
        assert words["pt"].number(10_000) == "10.000"
        assert words["pt"].number(2.5) == "2,5"


@pytest.fixture
def words() -> dict[str, Words]:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("America/Sao_Paulo")
    return {"en": Words("en", zone), "pt": Words("pt", zone)}


def holes(text: str) -> set[str]:
    return {part.partition(")")[0] for part in text.split("%(")[1:]}


async def everything(db: Database) -> list[Any]:
    """What an action could change."""
    return [
        await db.fetch(f"select * from {table} order by 1")
        for table in (
            "webhook_events", "operator_actions", "upstreams", "lead_messages",
            "rejected_deliveries", "leads", "erased_leads",
        )
    ]  # fmt: skip
