"""Which role may run which statement: each process has what it needs, and no more."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from c2s_enrich.database import sql_folder, statements

ROLES = ("web", "poller", "ops", "reader")
# Every statement with the roles that may run it. `make schema` writes it; read the difference.
MATRIX = Path(__file__).with_name("who_may_run_which_statement.txt")
# What a process cannot be without: topics, less the statements after the dash.
NEEDS = {
    "web": "intake duties alerts ops - alerts.valuable_leads ops.subscribed ops.subscriptions"
    " ops.set_up",
    "poller": "queue enrichment history people upstreams duties alerts privacy reconcile"
    " - privacy.suppress privacy.unsuppress",
    "ops": "events explain plans ops rejects reconcile privacy upstreams duties alerts history"
    " - upstreams.configure privacy.age_events privacy.age_attempts privacy.age_paid"
    " privacy.age_rejects",
    "reader": "",
}
# The drill and the demo own their databases.
TOPICS = sorted(
    {path.stem for path in (sql_folder() / "queries").glob("*.sql")} - {"demo", "drill"}
)


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def may(owner: psycopg.Connection[tuple[object, ...]], role: str, statement: str) -> bool:
    """Whether the role has every right that the statement needs. EXPLAIN asks for all of them."""
    names = set(re.findall(r"%\((\w+)\)s", statement))
    owner.execute(f"set role c2s_{role}".encode())
    try:
        owner.execute(f"explain {statement}".encode(), dict.fromkeys(names))
    except psycopg.errors.InsufficientPrivilege:
        return False
    finally:
        owner.execute("reset role")
    return True


class TestARole:
    def test_may_run_what_the_matrix_says(
        self, owner: psycopg.Connection[tuple[object, ...]]
    ) -> None:
        lines = [
            f"{topic}.{name}: {' '.join(role for role in ROLES if may(owner, role, statement))}\n"
            for topic in TOPICS
            for name, statement in statements(topic).items()
        ]
        if os.environ.get("SCHEMA") == "write":
            MATRIX.write_text("".join(lines))

        assert MATRIX.read_text().splitlines() == "".join(lines).splitlines()

    @pytest.mark.parametrize("role", ROLES)
    def test_may_do_all_that_its_process_does(
        self, owner: psycopg.Connection[tuple[object, ...]], role: str
    ) -> None:
        topics, _, without = NEEDS[role].partition(" - ")

        refused = [
            f"{topic}.{name}"
            for topic in topics.split()
            for name, statement in statements(topic).items()
            if not may(owner, role, statement)
        ]

        assert sorted(refused) == sorted(without.split())

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize(
        "statement",
        [
            "create table mine (x integer)",
            "lock table schema_migrations in share row exclusive mode",
            "delete from schema_migrations",
            "delete from erased_leads",
            "delete from erasures",
            "drop table webhook_events",
            "select grant_roles()",
        ],
    )
    def test_may_not(
        self, owner: psycopg.Connection[tuple[object, ...]], role: str, statement: str
    ) -> None:
        with owner.transaction(force_rollback=True):
            owner.execute(f"set local role c2s_{role}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(statement.encode())

    @pytest.mark.parametrize("role", ["ops", "web", "reader"])
    @pytest.mark.parametrize("table", ["webhook_events", "event_attempts"])
    def test_other_than_the_pollers_deletes_no_history(
        self, owner: psycopg.Connection[tuple[object, ...]], role: str, table: str
    ) -> None:
        assert not may(owner, role, f"delete from {table}")

    def test_that_is_anybody_asks_no_function_whether_a_lead_was_erased(
        self, owner: psycopg.Connection[tuple[object, ...]]
    ) -> None:
        rows = owner.execute(
            "select proname from pg_proc p where pronamespace = 'public'::regnamespace and"
            " prosecdef"
            " and exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner)))"
            " where grantee = 0 and privilege_type = 'EXECUTE')"
        ).fetchall()

        assert rows == []

    def test_of_web_cannot_store_a_time_that_no_reader_can_hold(
        self, owner: psycopg.Connection[tuple[object, ...]]
    ) -> None:
        insert = (
            "insert into webhook_events (lead_id, updated_at, payload_raw) values ('l', %s, '{}')"
        )
        for time in ("infinity", "-infinity", "10000-01-01Z", "4713-01-01Z BC"):
            with owner.transaction(force_rollback=True):
                owner.execute("set local role c2s_web")
                with pytest.raises(psycopg.errors.CheckViolation):
                    owner.execute(insert, [time])

    @pytest.mark.parametrize(
        "statement",
        [
            "insert into webhook_events (lead_id, updated_at, payload_raw, max_attempts)"
            " values ('l', now(), '{}', 32000)",
            "insert into alerts (key, scope, text) values ('lead:l', 'leads', 'l')",
        ],
        ids=["how often an event is tried", "which leads are worth most"],
    )
    def test_of_web_has_no_say_in(
        self, owner: psycopg.Connection[tuple[object, ...]], statement: str
    ) -> None:
        with owner.transaction(force_rollback=True):
            owner.execute("set local role c2s_web")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(statement.encode())

    def test_of_web_does_not_read_which_leads_are_worth_most(
        self, owner: psycopg.Connection[tuple[object, ...]]
    ) -> None:
        with owner.transaction(force_rollback=True):
            owner.execute("insert into alerts (key, scope, text) values ('lead:l', 'leads', 'l')")
            seen = {}
            for role in ("web", "poller", "ops"):
                owner.execute(f"set local role c2s_{role}".encode())
                seen[role] = owner.execute("select key from alerts where key = 'lead:l'").fetchall()
                owner.execute("reset role")

        assert seen == {"web": [], "poller": [("lead:l",)], "ops": [("lead:l",)]}

    def test_of_nobody_creates_in_our_schema_whatever_a_dump_brought_along(
        self, owner: psycopg.Connection[tuple[object, ...]]
    ) -> None:
        with owner.transaction(force_rollback=True):
            # As Postgres 14 has it.
            owner.execute("grant create on schema public to public")
            owner.execute("select grant_roles()")
            owner.execute("set local role c2s_web")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute("create table mine (x integer)")
