"""Every column of the schema is classified: personal or not, and what an erasure does with it."""

from tests.conftest import Database

from c2s_enrich.privacy.places import NOT_PERSONAL, PLACES


class TestEveryColumn:
    async def test_stands_in_the_list_once(self, db: Database) -> None:
        rows = await db.fetch(
            "select table_name, column_name from information_schema.columns"
            " join pg_tables on tablename = table_name and schemaname = table_schema"
            " where table_schema = current_schema()"
        )
        listed = [(place.table, place.column) for place in PLACES]
        listed += [(table, column) for table, columns in NOT_PERSONAL.items() for column in columns]

        assert sorted(listed) == sorted(map(tuple, rows))

    def test_that_stays_says_what_for(self) -> None:
        assert all(
            ": " in place.holds or "C2S" in place.holds
            for place in PLACES
            if place.erasure == "stays"
        )
