"""A source that answers and knows nobody raises no error anywhere: the hit rate is where it shows."""

from tests.conftest import Database

from c2s_enrich.database import Pool
from c2s_enrich.ops.hit_rate import hit_rate_problem


async def answered(
    db: Database,
    found_of_ten: int,
    count: int,
    *,
    source: str = "diretrix",
    kind: str = "phone",
    age: str = "1 hour",
) -> None:
    """So many answers, evenly mixed, the newest one `age` old."""
    await db.execute(
        "insert into contact_lookups (source, kind, contact, candidates, fetched_at, expires_at)"
        ' select %s, %s, gen_random_uuid()::text, case when g %% 10 < %s then \'[{"cpf": "1", "name": "A"}]\'::jsonb else \'[]\' end,'
        " now() - %s::interval - g * interval '1 s', now() from generate_series(0, %s - 1) g",
        (source, kind, found_of_ten, age, count),
    )


class TestTheHitRate:
    async def test_that_fell_is_a_sentence(self, db: Database, pool: Pool) -> None:
        await answered(db, 6, 200, age="2 days")
        await answered(db, 1, 50)

        assert await hit_rate_problem(pool) == (
            "A source knows far fewer people than it did: diretrix by phone found 5 of the last 50, after 60 % of the 200 before."
        )

    async def test_that_fell_to_nothing_is_a_sentence_of_a_rare_source_too(
        self, db: Database, pool: Pool
    ) -> None:
        await answered(db, 3, 300, kind="email", age="2 days")
        await answered(db, 0, 50, kind="email")

        assert await hit_rate_problem(pool) is not None

    async def test_that_wavers_is_none(self, db: Database, pool: Pool) -> None:
        await answered(db, 6, 200, age="2 days")
        await answered(db, 5, 50)

        assert await hit_rate_problem(pool) is None

    async def test_that_was_always_low_is_none(self, db: Database, pool: Pool) -> None:
        await answered(db, 0, 600)

        assert await hit_rate_problem(pool) is None

    async def test_of_few_answers_says_nothing_yet(self, db: Database, pool: Pool) -> None:
        await answered(db, 6, 200, age="2 days")
        await answered(db, 0, 10)

        assert await hit_rate_problem(pool) is None

    async def test_of_each_source_is_judged_by_itself(self, db: Database, pool: Pool) -> None:
        await answered(db, 9, 400, source="work_api", age="2 days")
        await answered(db, 0, 400, kind="email")

        assert await hit_rate_problem(pool) is None

    async def test_of_records_counts_too(self, db: Database, pool: Pool) -> None:
        await db.execute(
            "insert into people (cpf, profile, profile_fetched_at, fetched_at, expires_at)"
            " select lpad(g::text, 11, '0'), case when g > 50 then '{\"name\": \"A\"}'::jsonb end,"
            " case when g > 50 then now() - g * interval '1 s' end, now() - g * interval '1 s', now() from generate_series(1, 250) g"
        )

        assert "work_api by record found 0 of the last 50" in str(await hit_rate_problem(pool))

    async def test_is_none_before_the_first_answer(self, pool: Pool) -> None:
        assert await hit_rate_problem(pool) is None
