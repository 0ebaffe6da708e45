"""What replaces a query compiler: every statement plans on the migrated database, and none is
missing or idle.
"""

import re
from pathlib import Path

import pytest
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH
from tests.conftest import Database

from c2s_enrich.database import sql_folder, statements

TOPICS = sorted(path.stem for path in (sql_folder() / "queries").glob("*.sql"))
EVERY = [(topic, name) for topic in TOPICS for name in statements(topic)]
PACKAGE = Path(__file__).parents[2] / "src/c2s_enrich"


class TestEveryStatement:
    @pytest.mark.parametrize(("topic", "name"), EVERY)
    async def test_plans_with_all_parameters_null(
        self, db: Database, topic: str, name: str
    ) -> None:
        if topic == "drill":
            # Its statements come to a database in which it keeps a diary.
            await db.execute(
                statements("drill")["keep_diary"].replace("create table", "create temporary table")
            )
        statement = statements(topic)[name]
        names = set(re.findall(r"%\((\w+)\)s", statement))

        plan = await db.fetch(f"explain {statement}", dict.fromkeys(names))

        assert plan

    @pytest.mark.parametrize(("topic", "name"), EVERY)
    def test_is_short_enough_that_psycopg_reads_it_once(self, topic: str, name: str) -> None:
        with_facts = len(statements("enrichment")["message_sent"]) if name == "settle" else 0

        assert len(statements(topic)[name]) + with_facts <= MAX_CACHED_STATEMENT_LENGTH

    def test_is_named_by_the_code_of_its_topic_and_nothing_else_is(self) -> None:
        used: dict[str, set[str]] = {topic: set() for topic in TOPICS}
        for path in PACKAGE.rglob("*.py"):
            for topic in re.findall(r'tatements\((?:[\w.]+, )?"(\w+)"', path.read_text()):
                # The topic's door and its neighbours: a store may be handed the name of one
                # statement out of a family.
                for neighbour in path.parent.glob("*.py"):
                    used[topic] |= set(re.findall(r'"(\w+)"', neighbour.read_text()))

        for topic in TOPICS:
            assert set(statements(topic)) <= used[topic], f"idle in {topic}.sql"
