"""Alive, ready, well: what a platform and a person are told while something is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from tests.conftest import ENVIRONMENT, Database
from tests.intake.conftest import Web, open_web

from c2s_enrich.clock import Clock
from c2s_enrich.migrations import all_migrations
from c2s_enrich.ops import health as health_module

NEWEST = all_migrations()[-1].version


async def told(web: Web) -> dict[str, tuple[int, object]]:
    """What each address answers: its status and what it calls the problem."""
    answers = await asyncio.gather(
        *(web.client.get(path) for path in ("/livez", "/readyz", "/health"))
    )
    return {
        path: (answer.status_code, answer.json().get("problem", answer.json().get("problems")))
        for path, answer in zip(("livez", "readyz", "health"), answers, strict=True)
    }


class TestADatabase:
    async def test_that_answers_and_has_our_schema_is_all_that_is_needed(
        self, db: Database
    ) -> None:
        async with open_web(db.settings("web")) as web:
            assert await told(web) == {
                "livez": (200, None),
                "readyz": (200, None),
                "health": (200, []),
            }

    async def test_that_is_away_makes_web_unready_and_no_platform_restarts_it(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health_module, "_PATIENCE_SECONDS", 0.2)

        async with open_web(
            db.settings("web", DATABASE_URL="postgresql://127.0.0.1:9/none")
        ) as web:
            assert await told(web) == {
                "livez": (200, None),
                "readyz": (503, "The database does not answer."),
                "health": (
                    503,
                    ["The database does not answer: deliveries get 503 until it does."],
                ),
            }

    async def test_whose_silence_also_hangs_the_cancellation_is_not_waited_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health_module, "_PATIENCE_SECONDS", 0.05)
        answers, reads = asyncio.Event(), 0

        async def read() -> int:
            nonlocal reads
            reads += 1
            try:
                await answers.wait()
            except asyncio.CancelledError:  # as psycopg, which asks the server to cancel
                await answers.wait()
            return reads

        remembered = health_module.Remembered(read, Clock(), 0.0)
        monkeypatch.setattr(health_module, "_FRESH_SECONDS", 0.0)
        async with asyncio.timeout(5):
            silent = [await remembered.get() for _ in range(3)]
        answers.set()

        assert (silent, reads) == ([None] * 3, 1)
        assert await remembered.get() == 1

    async def test_that_hangs_is_not_waited_for(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health_module, "_PATIENCE_SECONDS", 0.2)

        async with open_web(db.settings("web")) as web, db.connection.transaction():
            await db.execute("lock table schema_migrations, upstreams in access exclusive mode")

            answers = await told(web)

        assert [status for status, _ in answers.values()] == [200, 503, 503]

    async def test_that_comes_back_is_found_again(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health_module, "_FRESH_SECONDS", 0.0)
        monkeypatch.setattr(health_module, "_PATIENCE_SECONDS", 0.2)

        async with open_web(db.settings("web")) as web:
            async with db.connection.transaction():
                await db.execute("lock table schema_migrations in access exclusive mode")
                hanging = await web.client.get("/readyz")
            back = await web.client.get("/readyz")

        assert (hanging.status_code, back.status_code) == (503, 200)


class TestASchema:
    @pytest.fixture
    async def one_behind(self, db: Database) -> AsyncIterator[None]:
        """The newest migration is not known to the database."""
        [row] = await db.fetch(
            "delete from schema_migrations where version = %s returning *", (NEWEST,)
        )
        yield
        values = ", ".join(["%s"] * len(row))
        await db.execute(
            f"insert into schema_migrations ({', '.join(row._fields)}) values ({values})", row
        )

    @pytest.mark.usefixtures("one_behind")
    async def test_older_than_the_program_makes_it_unready_and_says_what_to_do(
        self, db: Database
    ) -> None:
        problem = (
            f"The database is at migration {NEWEST - 1}, {NEWEST} is needed: run `c2s-enrich"
            " migrate`."
        )

        async with open_web(db.settings("web")) as web:
            assert await told(web) == {
                "livez": (200, None),
                "readyz": (503, problem),
                "health": (200, [problem]),
            }

    async def test_that_is_not_there_at_all_is_not_called_a_database_that_is_away(
        self, db: Database, create_database: Callable[[], str]
    ) -> None:
        problem = f"The database is at migration 0, {NEWEST} is needed: run `c2s-enrich migrate`."

        async with open_web(db.settings("web", DATABASE_URL=create_database())) as web:
            assert await told(web) == {
                "livez": (200, None),
                "readyz": (503, problem),
                "health": (503, [problem]),
            }

    async def test_newer_than_the_program_is_fine(self, db: Database) -> None:
        await db.execute(
            "insert into schema_migrations (version, name, checksum) values (%s, 'of tomorrow',"
            " 'x')",
            (NEWEST + 1,),
        )
        try:
            async with open_web(db.settings("web")) as web:
                assert await told(web) == {
                    "livez": (200, None),
                    "readyz": (200, None),
                    "health": (200, []),
                }
        finally:
            await db.execute("delete from schema_migrations where version = %s", (NEWEST + 1,))


class TestAStranger:
    async def test_reads_sentences_and_no_upstreams_words(self, db: Database) -> None:
        await db.execute(
            "update upstreams set paused_until = now() + interval '1 hour',"
            " reason = 'credential refused: unknown user ana souza' where name = 'c2s'"
        )

        async with open_web(db.settings("web")) as web:
            strange = [
                await web.client.get("/health", headers=headers)
                for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic x"})
            ]
            ours = await web.client.get(
                "/health", headers={"authorization": f"Bearer {ENVIRONMENT['ADMIN_TOKEN']}"}
            )

        for answer in strange:
            assert set(answer.json()) == {"status", "problems"}
            assert "ana" not in answer.text
        [detail] = ours.json()["details"]
        assert detail["code"] == "credential_refused"
        assert "ana souza" in detail["detail"]
        assert ours.json()["facts"]["queue"]["waiting"] == 0

    async def test_reads_no_more_where_no_token_is_set(self, db: Database) -> None:
        async with open_web(db.settings("web", ADMIN_TOKEN="")) as web:
            answer = await web.client.get("/health", headers={"authorization": "Bearer "})

        assert set(answer.json()) == {"status", "problems"}
