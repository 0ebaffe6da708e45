"""Databases as providers hand them out: an owner who may create no roles, and a schema that is not
`public`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import namedtuple_row
from tests.brokerage import Brokerage
from tests.conftest import Database

from c2s_enrich.database import statements
from c2s_enrich.migrations import migrate
from c2s_enrich.sandbox import postgres

pytestmark = pytest.mark.database

LEAD = "a" * 32


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.EmbeddedServer]:
    """A server of its own: roles belong to a whole server, and this one begins without any."""
    programs = os.environ.get("TEST_POSTGRES_PROGRAMS")
    with postgres.start_throwaway(programs=Path(programs) if programs else None) as server:
        as_superuser(server, "create role plain login", "create database plain owner plain")
        yield server


@pytest.fixture(scope="module")
def plain(server: postgres.EmbeddedServer) -> str:
    """Address of the database of an owner who may create no roles."""
    return make_conninfo(server.url_of("plain"), user="plain")


def as_superuser(
    server: postgres.EmbeddedServer, *statements: str, database: str = "postgres"
) -> None:
    with psycopg.connect(server.url_of(database), autocommit=True) as connection:
        for each in statements:
            connection.execute(each.encode())


@pytest.fixture(scope="module")
def said(plain: str, server: postgres.EmbeddedServer) -> list[str]:
    """What the person read who migrated it, and then created the roles as they were told."""
    said: list[str] = []
    asyncio.run(migrate(plain, say=said.append))
    roles = [f"create role c2s_{name}" for name in ("web", "poller", "ops", "reader")]
    as_superuser(server, *roles)
    return said


class TestAnOwnerWhoMayCreateNoRoles:
    def test_reads_which_roles_are_missing_and_what_to_do(self, said: list[str]) -> None:
        [web] = [each for each in said if "c2s_web" in each]

        assert web == (
            "role c2s_web not created: plain may not create roles. Create it with your provider's"
            " tools, then run: select grant_roles();"
        )

    def test_gives_the_roles_their_rights_later(
        self, said: list[str], plain: str, server: postgres.EmbeddedServer
    ) -> None:
        warned: list[str] = []
        with psycopg.connect(plain, autocommit=True) as owner:
            owner.add_notice_handler(lambda notice: warned.append(notice.message_primary or ""))
            owner.execute("select grant_roles()")
            major = owner.info.server_version // 10_000
        if major < 15:
            # There everybody may create in `public`, which belongs to the superuser.
            sentence = "every login may create tables in schema public"
            assert any(each.startswith(sentence) for each in said)
            assert any(each.startswith(sentence) for each in warned)
            revoke = "revoke create on schema public from public"
            as_superuser(server, revoke, database="plain")

        with psycopg.connect(server.url_of("plain"), autocommit=True) as web:
            web.execute("set role c2s_web")
            web.execute(
                "insert into webhook_events (lead_id, updated_at, payload_raw)"
                " values ('l', now(), '{}')"
            )
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                web.execute("create table mine (x integer)")


@pytest.fixture(params=["public", "brokerage_a"])
async def owned(
    request: pytest.FixtureRequest, plain: str, said: list[str]
) -> AsyncIterator[Database]:
    """The owner's database, in `public` or in a schema of its own."""
    schema = request.param
    with psycopg.connect(plain, autocommit=True) as owner:
        owner.execute(f"create schema if not exists {schema}".encode())
    url = make_conninfo(plain, options=f"-csearch_path={schema}")
    await migrate(url)
    async with await AsyncConnection.connect(
        url, autocommit=True, row_factory=namedtuple_row
    ) as connection:
        await connection.execute("truncate webhook_events cascade")
        yield Database(url, connection)


class TestAWebhook:
    async def test_becomes_one_message_in_whatever_schema(self, owned: Database) -> None:
        brokerage = Brokerage(owned)
        await brokerage.accept(LEAD, brokerage.people[0])

        await brokerage.work()

        assert len(brokerage.messages(LEAD)) == 1
        assert (await brokerage.outcomes())[LEAD] == "enriched"


class TestASchemaOfItsOwn:
    @pytest.mark.parametrize("owned", ["brokerage_a"], indirect=True)
    async def test_holds_all_that_public_would_and_grants_the_same(
        self, owned: Database, server: postgres.EmbeddedServer
    ) -> None:
        names = (
            "select relnamespace::regnamespace::text as home, array_agg(relname order by relname)"
            " as names from pg_class where relnamespace in ('public'::regnamespace,"
            " 'brokerage_a'::regnamespace) group by 1"
        )
        there = {row.home: row.names for row in await owned.fetch(names)}
        assert there["brokerage_a"] == there["public"]

        here = make_conninfo(server.url_of("plain"), options="-csearch_path=brokerage_a")
        with psycopg.connect(here, autocommit=True) as web:
            web.execute("set role c2s_web")
            assert web.execute(statements("ops")["newest_migration"]).fetchone() != (None,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                web.execute("create table mine (x integer)")
