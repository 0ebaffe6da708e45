"""doctor: one sentence for each thing that is wrong, and none where all is well."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import ENVIRONMENT, Database
from typer.testing import CliRunner

from c2s_enrich.cli.main import app
from c2s_enrich.migrations import all_migrations
from c2s_enrich.sandbox.stage import Stage
from c2s_enrich.upstreams.c2s import C2s

Doctor = Callable[..., Any]


@pytest.fixture
def doctor(db: Database, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Runs it with a complete environment; UPPER_CASE changes that."""

    async def run(*arguments: str, **environment: str) -> tuple[int, list[str]]:
        for name, value in (ENVIRONMENT | {"DATABASE_URL": db.url} | environment).items():
            monkeypatch.setenv(name, value)
        ended = await asyncio.to_thread(CliRunner().invoke, app, ["doctor", "--json", *arguments])
        checks = json.loads(ended.stdout)
        return ended.exit_code, [each["sentence"] for each in checks if each["good"] is False]

    return run


@pytest.fixture
async def simulated(db: Database, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The environment of processes that call simulated upstreams."""
    async with Stage(tmp_path, db.url, size=5) as stage:
        await stage.start_simulators()
        names = ("C2S", "DIRETRIX", "WORK_API")
        yield {k: v for k, v in stage.environment.items() if k.startswith(names)}


@pytest.fixture
async def well(db: Database) -> None:
    await db.execute("insert into pollers (name, concurrency) values ('p', 10)")


@pytest.mark.usefixtures("well")
class TestDoctor:
    async def test_is_content_where_all_is_well(self, doctor: Doctor) -> None:
        assert await doctor() == (0, [])

    async def test_names_a_missing_setting_and_a_misspelt_one(self, doctor: Doctor) -> None:
        status, wrong = await doctor(C2S_TOKEN="", C2S_TOKENS="x")

        assert status == 1
        assert "poller: C2S_TOKEN is not set" in wrong
        assert "C2S_TOKENS is not a setting: did you mean C2S_TOKEN?" in wrong

    async def test_names_a_database_that_is_away_without_its_password(self, doctor: Doctor) -> None:
        status, wrong = await doctor(DATABASE_URL="postgresql://ana:hunter22@127.0.0.1:1/x")

        [sentence] = wrong
        assert status == 1
        assert sentence.startswith("DATABASE_URL: cannot be asked: ")
        assert "hunter22" not in sentence

    async def test_names_a_schema_that_is_missing(
        self, doctor: Doctor, create_database: Callable[[], str]
    ) -> None:
        status, wrong = await doctor(DATABASE_URL=create_database())

        names = ", ".join(each.name for each in all_migrations())
        assert (status, wrong) == (1, [f"it lacks {names} → c2s-enrich migrate"])

    async def test_names_a_schema_that_is_newer(self, doctor: Doctor, db: Database) -> None:
        await db.execute(
            "insert into schema_migrations (version, name, checksum) values (9999, 'x', 'x')"
        )
        try:
            status, wrong = await doctor()
        finally:
            await db.execute("delete from schema_migrations where version = 9999")

        assert status == 1
        assert wrong == ["the database is at migration 9999: a newer program made it so"]

    async def test_names_a_database_that_takes_no_writes(
        self, doctor: Doctor, db: Database
    ) -> None:
        url = make_conninfo(db.url, options="-c default_transaction_read_only=on")

        status, wrong = await doctor(DATABASE_URL=url)

        assert status == 1
        assert "DATABASE_URL: it takes no writes" in wrong

    async def test_says_what_health_says_with_the_command_that_helps(
        self, doctor: Doctor, db: Database
    ) -> None:
        await db.execute("insert into rejected_deliveries (raw, reason) values ('x', 'not_json')")

        status, wrong = await doctor()

        assert (status, wrong) == (
            1,
            ["1 delivery could not be read and wait. → c2s-enrich rejects list"],
        )


@pytest.mark.usefixtures("well")
class TestAMachineWithTheSecretsOfOneProcess:
    async def test_is_not_asked_for_others(self, doctor: Doctor) -> None:
        assert await doctor(WEBHOOK_SECRET="") == (0, [])
        poller = ("C2S_TOKEN", "WORK_API_TOKEN", "DIRETRIX_USER", "DIRETRIX_PASS", "HASH_KEY")
        assert await doctor(**dict.fromkeys(poller, "")) == (0, [])


class TestWithoutAPoller:
    async def test_doctor_says_so(self, doctor: Doctor) -> None:
        assert await doctor() == (1, ["No poller is running → c2s-enrich poller"])


@pytest.mark.usefixtures("well")
class TestOnline:
    async def test_tells_whose_token_it_is_and_asks_the_paid_sources_only_when_told(
        self, doctor: Doctor, simulated: dict[str, str]
    ) -> None:
        assert await doctor("--online", **simulated) == (0, [])
        assert await doctor("--paid", **simulated) == (0, [])

    async def test_names_a_refused_credential(
        self, doctor: Doctor, simulated: dict[str, str]
    ) -> None:
        status, wrong = await doctor("--online", **simulated | {"C2S_TOKEN": "wrong-token"})

        assert status == 1
        assert any(sentence.startswith("c2s: ") for sentence in wrong)

    @pytest.mark.parametrize("pause", [None, "-1 s", "1 hour"])
    async def test_of_a_machine_without_network_pauses_nothing_for_the_pollers(
        self, doctor: Doctor, db: Database, pause: str | None
    ) -> None:
        await db.execute("update upstreams set paused_until = now() + %s::interval", (pause,))
        before = await db.fetch("select * from upstreams order by name")
        addresses = dict.fromkeys(
            ("C2S_BASE_URL", "DIRETRIX_BASE_URL", "WORK_API_BASE_URL"), "http://127.0.0.1:1"
        )

        status, wrong = await doctor("--paid", **addresses, BREAKER_FAILURES="1")

        assert status == 1
        assert [each for each in wrong if each.startswith("work_api: ")] != []
        assert await db.fetch("select * from upstreams order by name") == before


@pytest.mark.usefixtures("well")
class TestTheSubscription:
    async def test_is_made_for_all_actions_after_a_loud_word_and_is_remembered_without_its_token(
        self, simulated: dict[str, str], db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in (ENVIRONMENT | {"DATABASE_URL": db.url} | simulated).items():
            monkeypatch.setenv(name, value)

        def invoke(*arguments: str) -> Any:
            return CliRunner().invoke(app, list(arguments))

        refused = await asyncio.to_thread(invoke, "subscribe", "https://web.example")
        done = await asyncio.to_thread(invoke, "subscribe", "https://web.example/", "--yes")
        listed = await asyncio.to_thread(invoke, "subscriptions", "--json")
        ended = await asyncio.to_thread(invoke, "unsubscribe", "--yes")

        assert refused.exit_code == 2
        assert done.exit_code == 0
        assert "any other subscription of this token ends silently" in done.stderr
        assert [line["address"] for line in json.loads(listed.stdout)] == [
            "https://web.example/api/v1/webhooks/c2s/***"
        ] * 3
        assert ENVIRONMENT["WEBHOOK_SECRET"] not in done.output + listed.output
        assert ended.exit_code == 0
        assert await db.value("select count(*) from subscriptions where address <> ''") == 0

    async def test_takes_the_whole_address_where_the_token_is_not_at_hand(
        self, simulated: dict[str, str], db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environment = ENVIRONMENT | {"DATABASE_URL": db.url, "WEBHOOK_SECRET": ""} | simulated
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        address = "https://web.example/api/v1/webhooks/c2s/a-token-from-elsewhere"

        done = await asyncio.to_thread(CliRunner().invoke, app, ["subscribe", address, "--yes"])

        assert done.exit_code == 0
        assert "a-token-from-elsewhere" not in done.output
        assert await db.value("select min(address) from subscriptions") == (
            "https://web.example/api/v1/webhooks/c2s/***"
        )

    @pytest.mark.parametrize("path", ["", "/", "/api/v1/webhooks/c2s", "/api/v1/webhooks/c2s/"])
    async def test_leads_to_the_webhook_however_the_address_and_the_secret_are_written(
        self, db: Database, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        secret, asked = "a/secret+in=base64?or#any%41", set()
        for name, value in (ENVIRONMENT | {"DATABASE_URL": db.url}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("WEBHOOK_SECRET", secret)

        async def subscribe(_: C2s, action: str, url: str) -> None:
            asked.add(url)

        monkeypatch.setattr(C2s, "subscribe", subscribe)
        address = f"https://web.example{path}"
        await asyncio.to_thread(CliRunner().invoke, app, ["subscribe", address, "--yes"])

        whole = f"https://web.example/api/v1/webhooks/c2s/{quote(secret, safe='')}"
        assert asked == {whole}
        assert await db.value("select count(*) from operator_actions where verb = 'subscribe'") == 1

    @pytest.mark.parametrize(
        "command", [["subscribe", "https://web.example", "--yes"], ["reconcile"]]
    )
    async def test_of_a_machine_without_network_pauses_nothing_for_the_pollers(
        self, db: Database, monkeypatch: pytest.MonkeyPatch, command: list[str]
    ) -> None:
        for name, value in (ENVIRONMENT | {"DATABASE_URL": db.url}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("C2S_BASE_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("BREAKER_FAILURES", "1")

        done = await asyncio.to_thread(CliRunner().invoke, app, command)

        assert done.exit_code == 1
        assert await db.value("select sum(failures) + count(paused_until) from upstreams") == 0

    @pytest.mark.parametrize(
        "address",
        ["http://web.example", "https://", "https://a:b@web.example", "https://web.example?x=1",
         "https://web.example#x", "https://web example", "web.example"],
    )  # fmt: skip
    async def test_needs_an_address_that_leads_here_and_that_nobody_reads_on_the_way(
        self, address: str
    ) -> None:
        refused = CliRunner().invoke(app, ["subscribe", address, "--yes"])

        assert refused.exit_code == 2
        assert "https://" in refused.stderr
