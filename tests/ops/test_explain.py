"""The problems that an operator meets: for each of them `explain` names the cause, /health says
what concerns the whole service, and the command that is proposed mends it.
"""

import asyncio
import json
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import yaml
from tests.brokerage import Brokerage
from tests.conftest import Database
from tests.intake.conftest import MinuteClock, open_web
from tests.intake.conftest import an_event as a_delivery
from typer.testing import CliRunner, Result

from c2s_enrich.cli.main import app
from c2s_enrich.console.words import LANGUAGES
from c2s_enrich.database import Pool
from c2s_enrich.ops.causes import ACTIONS, CAUSES, sentences
from c2s_enrich.ops.explain import (
    Explanation,
    LeadSituation,
    NotUnderstood,
    explain,
    read_what,
    situation_of,
)
from c2s_enrich.ops.filters import KINDS
from c2s_enrich.ops.problems import problems_of
from c2s_enrich.ops.store import OpsStore
from c2s_enrich.sandbox.simulators.faults import Fault

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
LEAD = "a27acb6706163126e6369bba649160ae"
RULES = yaml.safe_load((Path(__file__).parents[2] / "ops/alerts.yml").read_text())
ALERTS = {rule["labels"]["code"]: rule["alert"] for rule in RULES["groups"][0]["rules"]}
Type = Callable[[str], Any]


@pytest.fixture
def type_(db: Database, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Types a command as `explain` proposes it."""
    monkeypatch.setenv("DATABASE_URL", db.url)

    async def typed(command: str) -> Result:
        _, *arguments = shlex.split(command)
        more = ["--yes"] if arguments[:2] == ["events", "reprocess"] else []
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *more])

    return typed


async def why(pool: Pool, what: object) -> Explanation:
    return explain(await situation_of(pool, **read_what(str(what))), "en", SAO_PAULO)


async def health(pool: Pool) -> set[str]:
    """What /health says is wrong, by code; an alert goes with each: it is named, too."""
    codes = {each.code for each in problems_of(await OpsStore(pool).facts())}
    return codes | {ALERTS[code] for code in codes}


async def an_event(db: Database, lead: str = LEAD, **columns: Any) -> UUID:
    values = {"payload_raw": "{}", "lead_id": lead, "updated_at": datetime.now(UTC)} | columns
    names = ", ".join(values)
    marks = ", ".join("%s" for _ in values)
    return UUID(
        str(
            await db.value(
                f"insert into webhook_events ({names}) values ({marks}) returning id",
                list(values.values()),
            )
        )
    )


def a_webhook(brokerage: Brokerage, number: int) -> dict[str, Any]:
    """C2S's delivery about LEAD, with the contacts of one of the people."""
    person = brokerage.people[number]
    lead = brokerage.world.add_lead(
        LEAD, name=person.name, phone=f"55{person.phone}", email=person.email
    )
    return a_delivery(LEAD, attributes=lead.to_json()["attributes"])


def proposed(said: Explanation, word: str) -> str:
    [command] = [each.command for each in said.actions if word in each.command]
    return command


class TestALeadThatC2sDoesNotKnow:
    async def test_is_named_and_mended(self, brokerage: Brokerage, pool: Pool, type_: Type) -> None:
        event_id = await an_event(brokerage.db)
        await brokerage.work()

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("lead_not_found", 1)
        assert {"events_failed", "EventsFailed"} <= await health(pool)
        person = brokerage.people[0]
        brokerage.world.add_lead(
            LEAD, name=person.name, phone=f"55{person.phone}", email=person.email
        )
        assert (await type_(proposed(said, "reprocess"))).exit_code == 0
        await brokerage.work()
        assert (await why(pool, event_id)).cause == "told"


class TestAContactThatNobodyKnows:
    async def test_is_told_with_who_was_asked(
        self, brokerage: Brokerage, pool: Pool, type_: Type
    ) -> None:
        await brokerage.accept(LEAD, brokerage.people[0], phone="5511912340077", email=None)
        await brokerage.work()

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("nobody_known", 0)
        assert "Diretrix by phone: nobody known (asked" in said.because[0]
        assert [each.paid_calls for each in said.actions] == [3]
        assert (await type_(proposed(said, "--fresh"))).exit_code == 0
        assert await brokerage.db.value("select status from webhook_events") == "received"

    async def test_is_told_whether_it_was_remembered_and_what_was_not_looked_up(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await brokerage.accept("other", brokerage.people[0], phone="5511912340077", email=None)
        await brokerage.accept(LEAD, brokerage.people[0], phone="5511912340077", email="teste@x")
        await brokerage.work(CONCURRENCY=1)

        said = await why(pool, LEAD)

        assert "remembered since" in said.because[0]
        assert said.because[1] == "Not looked up: email malformed."


class TestAnUpstreamThatIsPaused:
    async def test_is_named_with_since_when_and_how_many_wait(
        self, brokerage: Brokerage, pool: Pool, type_: Type
    ) -> None:
        brokerage.world.dial.set("diretrix", Fault("error500"))
        leads = [f"lead-{number}" for number in range(4)]
        for number, lead in enumerate(leads):
            await brokerage.accept(lead, brokerage.people[number])
        await brokerage.work(BREAKER_FAILURES=1, CONCURRENCY=1)

        said = await why(pool, leads[-1])

        assert (said.cause, said.status) == ("upstream_paused", 75)
        assert said.because[0].startswith("Diretrix has been paused since ")
        assert "HTTP 500" in said.because[0]
        assert said.same_cause == 3
        assert said.next_at is not None
        assert {"upstream_paused", "UpstreamPaused"} <= await health(pool)
        brokerage.world.dial.clear()
        assert (await type_(proposed(said, "resume"))).exit_code == 0
        await brokerage.work()
        assert (await why(pool, leads[-1])).cause == "told"


class TestABudgetThatIsSpent:
    async def test_is_named_and_raised_for_today(
        self, brokerage: Brokerage, pool: Pool, type_: Type
    ) -> None:
        for number in range(2):
            await brokerage.accept(f"lead-{number}", brokerage.people[number])
        budget = {"WORK_API_DAILY_BUDGET": 1, "CONCURRENCY": 1}
        await brokerage.work(**budget)

        said = await why(pool, "lead-1")

        assert (said.cause, said.status) == ("budget_spent", 75)
        assert said.summary == "Today's budget of 1 calls to Work API is spent."
        assert {"budget_spent", "BudgetSpent"} <= await health(pool)
        raised = proposed(said, "budget").replace("CALLS", "100")
        assert (await type_(raised)).exit_code == 0
        await brokerage.work(**budget)
        assert (await why(pool, "lead-1")).cause == "told"

    async def test_is_the_settings_again_on_the_next_day(
        self, brokerage: Brokerage, type_: Type
    ) -> None:
        await brokerage.work(WORK_API_DAILY_BUDGET=7)
        await type_("c2s-enrich upstreams budget work_api 100")
        await brokerage.db.execute("update upstreams set budget_day = budget_day - 1")
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work(WORK_API_DAILY_BUDGET=7)

        budget = await brokerage.db.value(
            "select daily_budget from upstreams where name = 'work_api'"
        )
        assert budget == 7


class TestACredentialThatIsRefused:
    async def test_is_told_apart_from_a_pause(self, brokerage: Brokerage, pool: Pool) -> None:
        brokerage.world.dial.set("work_api", Fault("unauthorised"))
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("credential_refused", 1)
        assert said.summary == "Work API refuses our credential."
        assert [each.command for each in said.actions] == [
            "c2s-enrich doctor --online",
            "c2s-enrich upstreams resume work_api",
        ]
        assert {"credential_refused", "CredentialRefused"} <= await health(pool)


class TestAnEventWhosePollerDied:
    async def test_waits_to_run_alone(self, db: Database, pool: Pool) -> None:
        await db.execute("insert into pollers (name, concurrency) values ('alive', 10)")
        await an_event(db, losses=2, error_kind="worker_lost", attempts=1)

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("suspect_turn", 75)

    async def test_was_taken_by_nobody_because_none_runs(self, db: Database, pool: Pool) -> None:
        past = "now() - interval '2 minutes'"
        await an_event(db)
        await db.execute(
            "update webhook_events set status = 'processing', claimed_by = 'dead', claimed_at ="
            f" {past},"
            f" lease_expires_at = {past}, deadline_at = {past}"
        )

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("stuck", 1)
        assert {"lease_over", "LeaseOver"} <= await health(pool)

    async def test_was_lost_again_and_again(self, db: Database, pool: Pool, type_: Type) -> None:
        await an_event(
            db, status="failed", processed_at=datetime.now(UTC), attempts=2, max_attempts=2,
            error_kind="worker_lost", error_message="the poller host-1-ab lost this event",
        )  # fmt: skip

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("worker_lost", 1)
        assert {"events_failed", "EventsFailed"} <= await health(pool)
        assert (await type_(proposed(said, "reprocess"))).exit_code == 0
        assert await db.value("select status from webhook_events") == "received"


class TestADeliveryThatCouldNotBeRead:
    async def test_is_shown_and_put_aside(self, db: Database, pool: Pool, type_: Type) -> None:
        await db.execute(
            "insert into rejected_deliveries (raw, reason, detail, lead_id) values ('{',"
            " 'bad_updated_at',"
            " 'updated_at is not a valid timestamp', %s)",
            (LEAD,),
        )

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("rejected", 1)
        assert "updated_at is not a valid timestamp" in said.because[0]
        assert {"rejects_waiting", "RejectsWaiting"} <= await health(pool)
        assert (await type_(proposed(said, "show"))).exit_code == 0
        assert (await type_(proposed(said, "dismiss") + " --because test")).exit_code == 0
        assert (await why(pool, LEAD)).cause == "never_arrived"
        assert "rejects_waiting" not in await health(pool)

    async def test_counts_for_more_than_an_event_from_before_it(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        reject = (
            "insert into rejected_deliveries (raw, reason, lead_id) values (%s, 'not_json', %s)"
        )
        await brokerage.db.execute(reject, (b"{", LEAD))
        await brokerage.accept(LEAD, brokerage.people[0])
        before = (await why(pool, LEAD)).cause
        await brokerage.db.execute(reject, (b"{{", LEAD))

        assert (before, (await why(pool, LEAD)).cause) == ("no_poller", "rejected")


class TestADeliveryThatCameTwice:
    async def test_is_one_event_and_one_message_and_is_counted(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        body = a_webhook(brokerage, 0)
        async with open_web(brokerage.db.settings("web")) as web:
            answers = [(await web.deliver(body)).json() for _ in range(2)]
        await brokerage.work()

        said = await why(pool, LEAD)

        assert [(each["processed"], each["duplicates"]) for each in answers] == [(1, 0), (0, 1)]
        assert (said.cause, said.status, said.actions) == ("told", 0, ())
        assert len(brokerage.messages(LEAD)) == 1
        # Web writes its minutes when it ends, too.
        assert await brokerage.db.value("select sum(duplicates) from intake_minutes") == 1
        assert await health(pool) == set()

    async def test_with_another_body_is_an_event_of_its_own_that_replaced_the_first(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        bodies = [a_webhook(brokerage, number) for number in range(2)]
        async with open_web(brokerage.db.settings("web")) as web:
            for body in bodies:
                body["updated_at"] = bodies[0]["updated_at"]
                await web.deliver(body)
        first, second = await brokerage.db.fetch(
            "select id from webhook_events order by updated_at"
        )
        await brokerage.work(CONCURRENCY=1)

        said = await why(pool, first.id)

        assert (said.cause, said.status) == ("superseded", 0)
        assert said.actions[0].command == f"c2s-enrich explain {second.id}"
        assert (await why(pool, LEAD)).cause == "told"
        assert await health(pool) == set()


class TestAWebhookSecretThatIsWrong:
    async def test_is_told_by_web_with_what_was_lost_and_how_to_get_it(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])
        clock = MinuteClock()
        async with open_web(brokerage.db.settings("web", ADMIN_TOKEN="t" * 20), clock) as web:
            for _ in range(4):
                await web.deliver(a_webhook(brokerage, 0), token="the old secret")
            await clock.a_minute()
            told = (
                await web.client.get("/health", headers={"Authorization": f"Bearer {'t' * 20}"})
            ).json()

        [problem] = [each for each in told["details"] if each["code"] == "own"]
        assert "compare the webhook secret" in problem["sentence"]
        assert ALERTS[problem["code"]] == "ProcessTrouble"
        lost = await why(pool, "a-lead-that-came-then")
        assert (lost.cause, proposed(lost, "reconcile").split()[1]) == (
            "never_arrived",
            "reconcile",
        )


class TestWhatWasDelivered:
    async def test_is_told_with_its_proof(self, brokerage: Brokerage, pool: Pool) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("told", 0)
        assert "proven by answer" in said.because[0]
        [ref] = await brokerage.db.fetch("select ref from lead_messages")
        assert (await why(pool, ref.ref)).lead_id == LEAD

    async def test_comes_back_as_an_echo(self, brokerage: Brokerage, pool: Pool) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()
        payload = {"hook_action": "on_update_lead", "data": brokerage.world.leads[LEAD].to_json()}
        await an_event(brokerage.db, payload_raw=json.dumps(payload))
        await brokerage.work()

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("echo", 0)

    async def test_is_not_told_again_by_an_update_without_news(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()
        lead: dict[str, Any] = brokerage.world.leads[LEAD].to_json()
        lead["attributes"]["messages"] = lead["messages"] = []
        payload = {"hook_action": "on_update_lead", "data": lead}
        await an_event(brokerage.db, payload_raw=json.dumps(payload))
        await brokerage.work()

        assert (await why(pool, LEAD)).cause == "no_news"

    async def test_was_replaced_by_a_newer_event(self, brokerage: Brokerage, pool: Pool) -> None:
        older = await brokerage.accept(LEAD, brokerage.people[0])
        newer = await brokerage.accept(LEAD, brokerage.people[1])
        await brokerage.work(CONCURRENCY=1)

        said = await why(pool, older)

        assert (said.cause, said.status) == ("superseded", 0)
        assert said.actions[0].command == f"c2s-enrich explain {newer}"

    async def test_is_unclear_although_the_event_says_something_else(
        self, db: Database, pool: Pool, type_: Type
    ) -> None:
        event_id = await an_event(
            db, status="failed", processed_at=datetime.now(UTC), error_kind="lead_not_found",
            error_message="Lead not found",
        )  # fmt: skip
        await db.execute(
            "insert into lead_messages (event_id, lead_id, content_key, body, ref, status, sends,"
            " sending_at) values (%s, %s, 'key', 'text', 'W87DSMVY', 'sending', 1,"
            " now() - interval '11 minutes')",
            (event_id, LEAD),
        )

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("delivery_unclear", 1)
        assert "W87DSMVY" in said.summary
        assert {"delivery_unclear", "DeliveryUnclear"} <= await health(pool)
        assert (await type_(proposed(said, "messages delivered"))).exit_code == 0
        assert await db.value("select status from lead_messages") == "sent"


class TestAfterARestore:
    @pytest.mark.parametrize(
        ("columns", "cause", "status"),
        [
            ({"waiting_reason": "read_back"}, "reading_back", 75),
            ({"status": "failed", "error_kind": "delivery_unclear"}, "delivery_unclear", 1),
        ],
    )
    async def test_a_message_that_c2s_may_have_says_so_and_when_it_was_restored(
        self, db: Database, pool: Pool, columns: dict[str, Any], cause: str, status: int
    ) -> None:
        ended = datetime.now(UTC) if "status" in columns else None
        due = datetime.now(UTC) + timedelta(minutes=1)
        event_id = await an_event(db, processed_at=ended, available_at=due, **columns)
        noticed = await db.value(
            "insert into lead_messages (event_id, lead_id, content_key, body, ref, status,"
            " sending_at) values (%s, %s, 'key', 'text', 'W87DSMVY', 'sending',"
            " now() - interval '1 minute') returning sending_at",
            (event_id, LEAD),
        )
        said = {
            language: explain(await situation_of(pool, **read_what(LEAD)), language, SAO_PAULO)
            for language in LANGUAGES
        }
        at = f"{noticed.astimezone(SAO_PAULO):%H:%M:%S}"

        assert {(each.cause, each.status) for each in said.values()} == {(cause, status)}
        assert any(
            each.endswith(f"was restored {at}, and C2S may have it from before.")
            for each in said["en"].because
        )
        assert any(f"foi restaurado {at}" in each for each in said["pt"].because)


class TestSilence:
    async def test_of_all_pollers_is_named(self, db: Database, pool: Pool, type_: Type) -> None:
        await an_event(db)
        await db.execute("update webhook_events set available_at = now() - interval '1 minute'")

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("no_poller", 1)
        assert {"no_poller", "NoPoller"} <= await health(pool)
        assert (await type_(proposed(said, "pollers"))).exit_code == 0

    async def test_of_c2s_is_an_alert_and_proposes_to_ask_it(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await brokerage.accept("another", brokerage.people[0])
        await brokerage.db.execute(
            "update webhook_events set received_at = now() - interval '8 days'"
        )

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("never_arrived", 3)
        assert said.because[0].startswith("The last one of any lead came ")
        assert proposed(said, "reconcile") == f"c2s-enrich reconcile --lead {LEAD}"
        assert {"silence", "Silence"} <= await health(pool)


class TestAnEventThatWaitsItsTurn:
    async def test_says_how_many_are_ahead(self, db: Database, pool: Pool) -> None:
        await db.execute("insert into pollers (name, concurrency) values ('alive', 10)")
        for number in range(3):
            await an_event(db, f"before-{number}")
        await an_event(db)

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("queued", 75)
        assert "3 are ahead" in said.summary

    async def test_says_that_more_are_ahead_than_were_counted(
        self, db: Database, pool: Pool
    ) -> None:
        await db.execute("insert into pollers (name, concurrency) values ('alive', 10)")
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, available_at)"
            " select 'before-' || n, now(), '{}', now() - interval '1 s' from"
            " generate_series(1, 1001) n"
        )
        await an_event(db)

        assert "1000+ are ahead" in (await why(pool, LEAD)).summary

    async def test_says_that_its_lead_is_busy(self, db: Database, pool: Pool) -> None:
        await db.execute("insert into pollers (name, concurrency) values ('alive', 10)")
        busy = await an_event(db)
        soon = "now() + interval '1 minute'"
        await db.execute(
            "update webhook_events set status = 'processing', claimed_by = 'alive', claimed_at ="
            " now(),"
            f" lease_expires_at = {soon}, deadline_at = {soon}"
        )
        await an_event(db)

        said = await why(pool, LEAD)

        assert (said.cause, said.status) == ("lead_busy", 75)
        assert str(busy) in said.because[0]
        assert (await why(pool, busy)).cause == "running"


class TestEveryCause:
    def test_has_sentences_in_both_languages_and_knows_its_actions(self) -> None:
        english, portuguese = sentences("en"), sentences("pt")

        assert set(english) == set(portuguese) == {*CAUSES, "notes", "words"}
        assert set(english["words"]) == set(portuguese["words"])
        for status, actions in CAUSES.values():
            assert set(actions) <= set(ACTIONS) <= set(english["words"])
            assert status in (0, 1, 3, 75)

    @pytest.mark.parametrize("cause", [*CAUSES, "notes"])
    @pytest.mark.parametrize("language", ["en", "pt"])
    def test_names_the_same_facts_in_both(self, cause: str, language: str) -> None:
        def facts(name: Any) -> list[str]:
            lines = sentences(name)[cause]
            return sorted(
                part.split("}")[0]
                for line in [*lines["says"], lines.get("next", "")]
                for part in line.split("{")[1:]
            )

        assert facts(language) == facts("en")
        assert sentences(language)[cause]["says"][0]

    async def test_of_the_view_is_known_here(self, db: Database) -> None:
        view = await db.value("select pg_get_viewdef('v_explain')")
        named = set(re.findall(r"(?:then|else|THEN|ELSE) '(\w+)'::text", view))
        # The view has another name for these.
        kinds = {kind for kind in KINDS if not kind.startswith("upstream_")}
        outcomes = {"superseded", "shadow", "erased"}

        assert named | kinds | outcomes <= set(CAUSES)

    @pytest.mark.parametrize("cause", CAUSES)
    def test_is_explained_although_no_fact_is_known(self, cause: str) -> None:
        event = None if cause in ("never_arrived", "rejected", "erased") else {"cause": cause}
        rejected = {"reject_id": 1} if cause == "rejected" else None
        erased = datetime.now(UTC) if cause == "erased" else None

        said = explain(LeadSituation(LEAD, event, datetime.now(UTC), erased, rejected))

        assert said.cause == cause
        assert said.summary


class TestWhatAnAttemptNoticed:
    @pytest.mark.parametrize(
        ("detail", "english", "portuguese"),
        [
            ({"unasked": 3}, "3 contacts were not looked up", "3 contatos não foram consultados"),
            ({"unproven": ["work_api"]}, "Work API answered with a web page", "Work API respondeu"),
            (
                {"unreadable": {"source": "diretrix", "rows": 2}},
                "2 rows in an answer of Diretrix could not be read.",
                "2 linhas de uma resposta de Diretrix não puderam ser lidas.",
            ),
        ],
    )
    def test_is_said_after_the_reasons_of_any_cause(
        self, detail: dict[str, Any], english: str, portuguese: str
    ) -> None:
        event = {"cause": "nobody_known", "event_id": "1", "outcome_detail": detail}
        situation = LeadSituation(LEAD, event, datetime.now(UTC))

        assert explain(situation, "en").because[-1].startswith(english)
        assert explain(situation, "pt").because[-1].startswith(portuguese)

    @pytest.mark.parametrize("at", ["yesterday", "", 7, None])
    def test_is_said_without_its_time_where_that_cannot_be_read(self, at: object) -> None:
        answer = {"source": "diretrix", "kind": "phone", "found": False, "at": at}
        event = {"cause": "nobody_known", "event_id": "1", "outcome_detail": {"answers": [answer]}}

        said = explain(LeadSituation(LEAD, event, datetime.now(UTC)), "en")

        assert "Diretrix by phone: nobody known" in said.because[0]


class TestAProposedCommand:
    def test_can_be_pasted_into_a_shell_whatever_the_lead_is_called(self) -> None:
        said = explain(LeadSituation("x;reboot", None, datetime.now(UTC)))

        assert shlex.split(said.actions[0].command)[-1] == "x;reboot"
        assert "'x;reboot'" in said.actions[0].command


class TestWhatIsAskedFor:
    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            (LEAD, "lead"),
            ("0d9f048d-b17a-4801-8f6b-9a8f36d59ed8", "event"),
            ("W87DSMVY", "ref"),
            (f"https://app.contact2sale.com/leads/{LEAD}", "lead"),
            (f"  https://web.example/company/7/lead/{LEAD}?tab=1 ", "lead"),
        ],
    )
    def test_is_told_by_its_shape(self, text: str, kind: str) -> None:
        assert read_what(text)[kind] is not None

    @pytest.mark.parametrize("text", ["", "two words", "x" * 300, "a\0b"])
    def test_is_refused_where_it_can_be_nothing(self, text: str) -> None:
        with pytest.raises(NotUnderstood):
            read_what(text)


class TestTheCommand:
    async def test_prints_sentences_and_ends_with_the_causes_status(
        self, brokerage: Brokerage, type_: Type
    ) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()

        english = await type_(f"c2s-enrich explain {LEAD} --history")
        portuguese = await type_(f"c2s-enrich explain {LEAD} --lang pt")
        nothing = await type_("c2s-enrich explain unheard-of --json")

        assert english.exit_code == portuguese.exit_code == 0
        assert "The seller was told " in english.output
        assert "attempt 1 completed" in english.output
        assert "O vendedor foi avisado " in portuguese.output
        assert nothing.exit_code == 3
        assert json.loads(nothing.stdout)["cause"] == "never_arrived"
