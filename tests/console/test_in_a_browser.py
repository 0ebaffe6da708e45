"""The console in Debian's Chromium, JavaScript switched off, against real pollers and a real
database: one browser and one server for all of it. The shell without a window does, at half the
CPU of the whole browser.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote

import pytest
import uvicorn
from psycopg import AsyncConnection
from psycopg.rows import namedtuple_row
from tests.brokerage import Brokerage
from tests.conftest import Database
from tests.console.conftest import HOSTILE, OPERATOR, VIEWER, failed
from tests.console.test_doors import ACTIONS, everything
from tests.console.test_pages import open_message, rejected

from c2s_enrich.migrations import migrate
from c2s_enrich.serving.server import listen_on, server_config
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring.operators import build_ops

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = Path("/usr/bin/chromium-headless-shell")
AXE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "c2s-enrich/axe")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
    # A third of its CPU: a process of its own for drawing, and one for each site.
    "--in-process-gpu", "--disable-software-rasterizer", "--disable-site-isolation-trials",
)  # fmt: skip
LISTS = ["/", "/events", "/errors", "/upstreams", "/messages", "/rejects", "/pollers", "/actions"]
T = TypeVar("T")


def needed(what: Path, how: str) -> None:
    """A machine without it says so by name; CI has everything."""
    if not what.exists():
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"{what} is missing: {how}")


class Service:
    """The ops process behind a socket. It has a thread and a loop of its own: playwright keeps this
    thread's.
    """

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.run(self._open(url))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def value(self, query: str, *params: Any) -> Any:
        return self.run(self.db.value(query, params))

    def close(self) -> None:
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self, url: str) -> None:
        await migrate(url)
        self.db = Database(
            url, await AsyncConnection.connect(url, autocommit=True, row_factory=namedtuple_row)
        )
        tokens = {"ADMIN_TOKEN": OPERATOR, "VIEWER_TOKEN": VIEWER}
        link = {"LEAD_LINK": "https://c2s.example/leads/{lead_id}"}
        settings = self.db.settings("ops", **tokens, **link)
        bound = listen_on("127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        self._server = uvicorn.Server(server_config(build_ops(settings, Metrics()), settings))
        self._serving = asyncio.create_task(self._server._serve([bound]))
        self.brokerage = Brokerage(self.db)
        self.addresses = await self._fill()

    async def _close(self) -> None:
        self._server.should_exit = True
        await self._serving
        await self.db.connection.close()

    async def _fill(self) -> list[str]:
        """Something on every page, with hostile names wherever a name can be."""
        db, brokerage = self.db, self.brokerage
        for number, lead in enumerate(("told", "unknown", "again", "gone", "kept")):
            await brokerage.accept(lead, brokerage.people[number])
        self.unknown = brokerage.world.leads.pop("unknown")
        await brokerage.work()
        await failed(db, *(name[:100] for name in HOSTILE), message=HOSTILE[0])
        for name in HOSTILE:
            await db.execute(
                "insert into leads (lead_id, name, facts_updated_at) values (%s, %s, now())",
                (name[:100], name),
            )
            await rejected(db, name, lead=name[:100])
            await db.execute(
                "insert into operator_actions (actor, via, verb, reason, state)"
                " values (%s, 'cli', 'pause', %s, 'done')",
                (name[:60], name),
            )
        await db.execute(
            "update upstreams set reason = %s, paused_since = now(),"
            " paused_until = now() + interval '1 h' where name = 'diretrix'",
            (HOSTILE[1],),
        )
        await open_message(db, HOSTILE[0])
        [action] = await db.fetch("select id from operator_actions limit 1")
        [reject] = await db.fetch("select id from rejected_deliveries limit 1")
        leads = ["told", "unknown", "nobody", *(name[:100] for name in HOSTILE)]
        return [
            *LISTS,
            f"/actions/{action.id}",
            f"/rejects/{reject.id}",
            "/nothing",
            *(f"/leads/{quote(lead, safe='')}" for lead in leads),
        ]


@pytest.fixture(scope="module")
def service(create_database: Callable[[], str]) -> Iterator[Service]:
    needed(CHROMIUM, "apt-get install chromium-headless-shell")
    service = Service(create_database())
    yield service
    service.close()


@pytest.fixture(scope="module")
def browser(service: Service) -> Iterator[Browser]:
    # Here, and not in each process of the run: it takes a moment.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield launched
        launched.close()


Opened = Callable[..., "Page"]


@pytest.fixture(scope="module")
def logins() -> dict[str, Any]:
    """The cookies of each token."""
    return {}


@pytest.fixture
def opened(browser: Browser, service: Service, logins: dict[str, Any]) -> Iterator[Opened]:
    """Opens a page of somebody who is logged in; at its end nothing was complained about."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def foreign(url: str) -> list[str]:
        ours = (service.address, "http://elsewhere.test", "data:")
        return [] if url.startswith(ours) else [url]

    def open_page(token: str = OPERATOR, **context: Any) -> Page:
        scriptless: dict[str, Any] = {
            "java_script_enabled": False, "locale": "en-US", "base_url": service.address
        }  # fmt: skip
        contexts.append(browser.new_context(**(scriptless | context)))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: complaints.extend(foreign(asked.url)))
        if token not in logins:
            page.goto("/login")
            page.fill("#name", "Ana")
            page.fill("#token", token)
            page.keyboard.press("Enter")
            page.wait_for_url("**/")
            logins[token] = contexts[-1].cookies()
        contexts[-1].add_cookies(logins[token])
        return page

    yield open_page
    for context in contexts:
        context.close()
    # What Chromium itself says of an answer with an error's status.
    expected = re.compile(r"the server responded with a status of 4\d\d")
    assert [each for each in complaints if not expected.search(each)] == []


class TestInABrowser:
    @pytest.mark.parametrize("look", ["wide and light", "360 px and dark"])
    def test_every_page_fits_and_obeys_no_name(
        self, service: Service, opened: Opened, look: str
    ) -> None:
        narrow = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
        page = opened(**(narrow if "360" in look else {}))
        for address in service.addresses:
            page.goto(address)
            text = page.inner_text("body")

            assert page.locator("h1").count() == 1, address
            assert page.locator("img, script, iframe").count() == 0, address
            assert not {"\u202e", "\x1b", "\x07"} & set(text), address
            overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(overflow) == 0, address

    def test_every_page_speaks_portuguese(self, service: Service, opened: Opened) -> None:
        page = opened(locale="pt-BR")
        for address in [*LISTS, "/leads/told"]:
            page.goto(address)

            assert page.locator("html").get_attribute("lang") == "pt", address
        assert "O vendedor foi avisado" in page.inner_text("main")

    def test_a_failed_lead_is_found_explained_reprocessed_and_told(
        self, service: Service, opened: Opened
    ) -> None:
        page = opened()
        page.goto("/")
        page.click("nav >> text=Errors")
        page.click("main >> text=does not know the lead >> xpath=ancestor::tr >> a >> nth=-1")
        assert "C2S does not know" in page.inner_text("main")

        service.brokerage.world.leads["unknown"] = service.unknown
        page.click("text=/^Reprocess \\(/")
        assert "1 queued for reprocessing" in page.inner_text("[role=status]")
        service.run(service.brokerage.work())
        page.reload()

        assert "The seller was told" in page.inner_text("main")
        assert len(service.brokerage.messages("unknown")) == 1

    def test_an_attempt_unfolds_into_its_steps_and_calls(
        self, service: Service, opened: Opened
    ) -> None:
        page = opened()
        page.goto("/leads/told")
        page.click("text=/steps and calls/")

        assert page.locator("svg rect").first.is_visible()
        assert "Diretrix" in page.locator("details table").last.inner_text()

    def test_all_that_match_are_reprocessed_when_their_number_is_typed(
        self, service: Service, opened: Opened
    ) -> None:
        page = opened()
        page.goto("/errors")
        page.click("text=Reprocess these… >> nth=0")
        many = service.value(
            "select count(*) from webhook_events where error_message = %s", HOSTILE[0]
        )
        assert f"{many} events of {many} leads" in page.inner_text("main")

        page.fill("main input[name=typed]", "0")
        page.click("main form button")
        assert "type the number" in page.inner_text("[role=alert]")
        page.go_back()
        page.fill("main input[name=typed]", str(many))
        page.click("main form button")

        assert f"{many} queued for reprocessing" in page.inner_text("[role=status]")
        assert "error=" in page.url
        # The CLI's words for what the console did.
        [row] = service.run(
            service.db.fetch("select actor, via, state, done from operator_actions"
                             " where verb = 'reprocess' and planned > 1 and actor = 'Ana'")
        )  # fmt: skip
        assert row == ("Ana", "console", "done", many)

    def test_checked_events_are_given_up_by_keyboard_alone(
        self, service: Service, opened: Opened
    ) -> None:
        service.run(service.brokerage.accept("waits", service.brokerage.people[7]))
        page = opened()
        page.goto("/events?lead=waits")
        tab_to(page, "input[name=chosen]")
        page.keyboard.press("Space")
        tab_to(page, "input[name=because]")
        page.keyboard.type("the contract ended")
        tab_to(page, "button[value=fail_selected]", backwards=True)
        page.keyboard.press("Enter")
        page.wait_for_url("**/plans/*")
        tab_to(page, "input[name=typed]")
        page.keyboard.type("1")
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=status]")

        assert "1 given up" in page.inner_text("[role=status]")
        row = service.value("select error_message from webhook_events where lead_id = 'waits'")
        assert row == "the contract ended"

    def test_a_run_is_stopped_after_its_batch(self, service: Service, opened: Opened) -> None:
        running = service.value(
            "insert into operator_actions (actor, via, verb, state, planned)"
            " values ('Eva', 'cli', 'reprocess', 'running', 9) returning id"
        )
        page = opened()
        page.goto("/actions")
        page.click(f"a[href='/actions/{running}']")
        page.click("text=Stop after this batch")

        assert "It stops after this batch." in page.inner_text("[role=status]")
        assert service.value("select state from operator_actions where id = %s", running) == (
            "stopped"
        )

    @pytest.mark.parametrize("verdict", ["It was delivered", "It was not delivered"])
    def test_a_person_settles_an_unclear_delivery(
        self, service: Service, opened: Opened, verdict: str
    ) -> None:
        lead = "gone" if "not" in verdict else "kept"
        service.run(
            service.db.execute(
                "update lead_messages set status = 'sending', sent_at = null, proof = null"
                " where lead_id = %s", (lead,)
            )
        )  # fmt: skip
        if "not" in verdict:
            service.brokerage.world.leads[lead].messages.clear()
        page = opened()
        page.goto(f"/leads/{lead}")
        page.click(f"article >> text=/^{verdict}/")

        assert page.url.endswith(f"/leads/{lead}")
        status = service.value("select status from lead_messages where lead_id = %s", lead)
        assert status == ("pending" if "not" in verdict else "sent")
        service.run(service.brokerage.work())
        assert len(service.brokerage.messages(lead)) == 1

    def test_personal_data_is_shown_to_whoever_says_why(
        self, service: Service, opened: Opened
    ) -> None:
        cpf = service.brokerage.people[0].cpf
        page = opened()
        page.goto("/leads/told")
        before = re.sub(r"\D", "", page.inner_text("main"))
        page.fill("form >> input[name=because] >> visible=true", "she asked what we hold")
        page.click("text=Show personal data")

        assert cpf not in before
        assert cpf in re.sub(r"\D", "", page.inner_text("main"))
        page.goto("/actions")
        assert "she asked what we hold" in page.inner_text("main")

    def test_a_lead_is_erased_when_its_id_is_typed(self, service: Service, opened: Opened) -> None:
        page = opened()
        page.goto("/leads/again")
        page.click("text=Erase this lead…")
        page.fill("details input[name=because]", "a letter")
        page.fill("details input[name=typed]", "again")
        page.click("details button")

        assert "erased " in page.inner_text("pre")
        page.goto("/leads/again")
        assert "This lead was erased" in page.inner_text("main")
        assert service.value("select count(*) from leads where lead_id = 'again'") == 0

    def test_an_error_an_upstream_and_a_reject_are_handled(
        self, service: Service, opened: Opened
    ) -> None:
        page = opened()
        page.goto("/errors")
        page.click("text=Mute until fixed >> nth=0")
        assert "No alert counts this error until it is fixed" in page.inner_text("[role=status]")
        page.click("text=Unmute >> nth=0")
        assert "Alerts count this error again." in page.inner_text("[role=status]")
        page.goto("/upstreams")
        page.click("text=Resume now >> nth=0")
        assert "is called again" in page.inner_text("main")
        page.goto("/rejects")
        page.click("main table a >> nth=0")
        page.fill("form[action$=dismiss] input", "nothing in it")
        page.click("form[action$=dismiss] button")

        assert "Dismissed." in page.inner_text("[role=status]")

    def test_a_form_of_another_site_and_one_of_a_viewer_change_nothing(
        self, service: Service, opened: Opened
    ) -> None:
        before = service.run(everything(service.db))
        forms = "".join(
            f"<form method=post action='{service.address}{path}'><button>go</button></form>"
            for path in ACTIONS[::5]  # each of them: test_doors.py
        )
        for token, host in ((OPERATOR, "http://elsewhere.test"), (VIEWER, service.address)):
            page = opened(token)
            page.route(
                f"{host}/forms",
                lambda route: route.fulfill(body=forms, content_type="text/html"),
            )
            for number in range(len(ACTIONS[::5])):
                page.goto(f"{host}/forms")
                with page.expect_response(service.address + "/**") as answer:
                    page.click(f"button >> nth={number}")
                # From elsewhere the cookie does not come along: nobody is logged in.
                assert answer.value.status == (403 if token == VIEWER else 303)
                assert answer.value.headers.get("location", "/login") == "/login"
        assert service.run(everything(service.db)) == before

    def test_everybody_can_read_it(self, service: Service, opened: Opened) -> None:
        found = sorted(AXE.glob("axe-core-*.min.js"))
        needed(found[-1] if found else AXE / "axe-core", "run .ci/axe")
        page = opened(java_script_enabled=True, bypass_csp=True)
        rules = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']"
        contrast = "{type: 'rule', values: ['color-contrast']}"
        schemes: tuple[tuple[Literal["light", "dark"], str], ...]
        schemes = (("light", rules), ("dark", contrast))
        for address in service.addresses[: len(LISTS) + 5]:
            page.goto(address)
            page.evaluate("for (const each of document.querySelectorAll('details')) each.open = 1")
            page.add_script_tag(path=found[-1])
            for scheme, asked in schemes:
                page.emulate_media(color_scheme=scheme)
                how = f"{{runOnly: {asked}, resultTypes: ['violations'], preload: false}}"
                problems = page.evaluate(f"axe.run({how}).then(r => r.violations)")
                said = [(each["id"], node["html"]) for each in problems for node in each["nodes"]]
                assert said == [], (address, scheme)


def tab_to(page: Page, selector: str, *, backwards: bool = False) -> None:
    """Presses Tab until that is what the keyboard reaches."""
    for _ in range(80):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        if page.evaluate(f"document.activeElement.matches({selector!r})"):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")
