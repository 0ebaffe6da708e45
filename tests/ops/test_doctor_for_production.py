"""doctor --production on Debian's Postgres, over TLS, with the logins of the deployment guide: no
word against a correct set-up, and the right sentence for each wrong one.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import ENVIRONMENT
from tests.queue.test_behind_a_pooler import pooler_url  # noqa: F401 a fixture
from typer.testing import CliRunner

from c2s_enrich.cli.main import app
from c2s_enrich.migrations import all_migrations, migrate
from c2s_enrich.sandbox import postgres
from c2s_enrich.sandbox.ports import free_port

pytestmark = pytest.mark.database

GUIDE = Path(__file__).parents[2] / "docs" / "WEBHOOK_DEPLOYMENT_STEPS.md"
CORRECT = ENVIRONMENT | {
    "ADMIN_TOKEN": "an-admin-token-of-some-length",
    "WORK_API_DAILY_BUDGET": "500",
    "WEBHOOK_SECRET": "a-webhook-secret-of-some-length",
    "ALERT_WEBHOOK_URL": "https://hooks.example/x",
    "C2S_BASE_URL": "https://c2s.example",
    "DIRETRIX_BASE_URL": "https://diretrix.example",
    "WORK_API_BASE_URL": "https://work.example",
}
# What people and processes have done on a service that goes well.
GOING_WELL = """
insert into pollers (name, concurrency, beat_at) values ('p', 10, now() + interval '1 hour');
insert into operator_actions (actor, via, verb, reason, filter)
values ('ana', 'cli', 'visible_to', '', '{"who": "sellers"}');
insert into duties (name, began_at) values ('alerts of web', now() + interval '1 hour');
insert into subscriptions (action, address)
values ('on_create_lead', 'http://127.0.0.1:9/api/v1/webhooks/c2s/***')
"""
Doctor = Callable[..., list[str]]


class Production:
    """A server with TLS, and the addresses of one database on it."""

    def __init__(self, port: int) -> None:
        self._port = port

    def url(self, user: str = "postgres", database: str = "c2s", **more: str) -> str:
        given = {"host": "127.0.0.1", "port": self._port, "user": user, "dbname": database}
        return make_conninfo(**given | {"sslmode": "require"} | more)  # type: ignore[arg-type]

    def run(self, statements: str, database: str = "c2s") -> None:
        with psycopg.connect(self.url(database=database), autocommit=True) as connection:
            for each in filter(str.strip, statements.split(";")):
                connection.execute(each.encode())


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: p.parts[4])
    if not places:
        if os.environ.get("CI"):
            pytest.fail("Debian's Postgres is not installed, and .ci/run should have done it")
        pytest.skip("no Postgres that speaks TLS (Debian: apt-get install postgresql)")
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    certificate = ["-keyout", str(folder / "key"), "-out", str(folder / "crt"), "-subj", "/CN=x"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *certificate],
        check=True,
        capture_output=True,
    )
    settings = {
        "ssl": "on",
        "ssl_cert_file": str(folder / "crt"),
        "ssl_key_file": str(folder / "key"),
        "listen_addresses": "127.0.0.1, 127.0.0.2",
        "port": str(port),
        # As in production; nothing else of a throwaway server is unsafe for these tests.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
    }
    with postgres.start_throwaway(settings=settings, programs=places[-1].parent):
        production = Production(port)
        production.run("create database c2s; create database latin encoding 'LATIN1' locale 'C'"
                       " template template0", "postgres")  # fmt: skip
        asyncio.run(migrate(production.url()))
        # The guide's own words; its passwords are dots.
        for statement in re.findall(r'psql "\$DIRECT" -c "(.*?)"', GUIDE.read_text()):
            production.run(statement)
        production.run("create role stranger login")
        production.run(GOING_WELL)
        yield production


@pytest.fixture
def doctor(production: Production, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """What it finds wrong in a correct environment with some changes."""

    def run(*arguments: str, **changes: str) -> list[str]:
        login = {"DATABASE_URL": production.url("work_login")}
        for name, value in (CORRECT | login | changes).items():
            monkeypatch.setenv(name, value)
        ended = CliRunner().invoke(app, ["doctor", "--json", "--production", *arguments])
        checks = json.loads(ended.stdout)
        wrong = [each["sentence"] for each in checks if each["good"] is False]
        assert ended.exit_code == bool(wrong)
        return wrong

    return run


class TestACorrectSetUp:
    def test_is_told_nothing(self, doctor: Doctor) -> None:
        assert doctor() == []


class TestAWrongSetUp:
    @pytest.mark.parametrize(
        ("environment", "sentence"),
        [
            ({"WORK_API_DAILY_BUDGET": ""}, "WORK_API_DAILY_BUDGET is written down"),
            ({"DIRETRIX_BASE_URL": ""}, "every upstream is called by https://"),
            ({"DELIVERY": "shadow"}, "DELIVERY is send"),
            ({"WEBHOOK_SECRET": "short-one"}, "WEBHOOK_SECRET has at least 20 characters"),
            ({"ADMIN_TOKEN": ""}, "ADMIN_TOKEN is set"),
            ({"ALERT_WEBHOOK_URL": ""}, "ALERT_WEBHOOK_URL is set"),
            ({"LOG_FORMAT": "text"}, "LOG_FORMAT is json"),
        ],
    )
    def test_in_its_environment_is_told_in_one_sentence(
        self, doctor: Doctor, environment: dict[str, str], sentence: str
    ) -> None:
        [wrong] = doctor(**environment)

        assert wrong.startswith(sentence)

    @pytest.mark.parametrize(
        ("broken", "mended", "sentence"),
        [
            (
                "alter database c2s set synchronous_commit = off",
                "alter database c2s reset synchronous_commit",
                "DATABASE_URL: synchronous_commit = off",
            ),
            (
                "grant create on schema public to public",
                "revoke create on schema public from public",
                "DATABASE_URL: c2s_web may create tables in our schema",
            ),
            (
                "alter role c2s_web rename to gone",
                "alter role gone rename to c2s_web",
                "DATABASE_URL: c2s_web do not exist",
            ),
            (
                "delete from operator_actions",
                GOING_WELL.split(";")[1],
                "nobody has recorded who can see a message on a lead",
            ),
            (
                """update operator_actions set filter = '{"who": "customers"}'""",
                """update operator_actions set filter = '{"who": "sellers"}'""",
                "customers can see the messages",
            ),
            ("delete from duties", GOING_WELL.split(";")[2], "web posts alerts too"),
            ("delete from subscriptions", GOING_WELL.split(";")[3], "C2S was asked for nothing"),
            ("delete from pollers", GOING_WELL.split(";")[0], "No poller is running"),
            (
                "insert into schema_migrations (version, name, checksum) values (9999, 'x', 'x')",
                "delete from schema_migrations where version = 9999",
                "the database is at migration 9999: a newer program made it so",
            ),
            (
                "update schema_migrations set version = 9000 where version"
                f" = {all_migrations()[-1].version}",
                "update schema_migrations set version ="
                f" {all_migrations()[-1].version} where version = 9000",
                f"it lacks {all_migrations()[-1].name} → c2s-enrich migrate",
            ),
        ],
    )
    def test_in_its_database_is_told_in_one_sentence(
        self, doctor: Doctor, production: Production, broken: str, mended: str, sentence: str
    ) -> None:
        production.run(broken)
        try:
            wrong = doctor()
        finally:
            production.run(mended)

        assert [each[: len(sentence)] for each in wrong] == [sentence]

    def test_in_the_open_is_told_to_encrypt(self, doctor: Doctor, production: Production) -> None:
        plain = production.url("work_login", host="127.0.0.2", sslmode="disable")

        assert doctor(DATABASE_URL=plain) == [
            "DATABASE_URL: the connection is not encrypted (sslmode=require)"
        ]

    def test_with_a_pulse_under_another_login(self, doctor: Doctor, production: Production) -> None:
        [sentence] = doctor(DATABASE_URL_DIRECT=production.url())

        assert sentence.startswith(
            "DATABASE_URL logs in as work_login and DATABASE_URL_DIRECT as postgres: a poller that"
        )

    def test_with_a_pulse_in_another_database(self, doctor: Doctor, production: Production) -> None:
        elsewhere = production.url("work_login", database="template1")

        assert any("are two databases" in each for each in doctor(DATABASE_URL_DIRECT=elsewhere))

    def test_with_a_login_that_nobody_granted_anything(
        self, doctor: Doctor, production: Production
    ) -> None:
        sentence, *_ = doctor(DATABASE_URL=production.url("stranger"))

        assert sentence.startswith("DATABASE_URL: its login has no role of ours")

    def test_in_another_encoding(self, doctor: Doctor, production: Production) -> None:
        sentence, *_ = doctor(DATABASE_URL=production.url(database="latin"))

        assert sentence == "DATABASE_URL: its encoding is LATIN1, UTF8 is needed"

    @pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_URL_DIRECT"])
    def test_behind_a_pooler_that_nobody_recognised(
        self,
        doctor: Doctor,
        pooler_url: str,  # noqa: F811 the fixture
        name: str,
    ) -> None:
        assert (
            f"{name}: it is a transaction pooler and hears no LISTEN: set DATABASE_URL_DIRECT to"
            " the server itself"
        ) in doctor(**{name: pooler_url})

    def test_whose_hook_leads_nowhere_and_whose_crm_is_away(
        self, doctor: Doctor, production: Production
    ) -> None:
        hook, credential = doctor("--online", C2S_BASE_URL="https://127.0.0.1:9")
        production.run(
            "delete from upstreams;"
            " insert into upstreams (name) values ('c2s'), ('diretrix'), ('work_api')"
        )

        assert hook.startswith("http://127.0.0.1:9/livez does not answer: ")
        assert credential.startswith("c2s: ")
