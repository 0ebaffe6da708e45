"""A filter means what it says: every word changes what is found, nothing is dropped, and what is
not known is refused with the nearest word.
"""

from dataclasses import fields
from zoneinfo import ZoneInfo

import pytest
from tests.conftest import Database

from c2s_enrich.database import Pool
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.filters import (
    KINDS,
    OUTCOMES,
    REASONS,
    STATUSES,
    WORDS,
    Filter,
    FilterError,
    parse_filter,
)

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
ASKED = "00000000-0000-4000-8000-000000000001"
# Two events that differ in everything. Each value is one that only the asked one has.
ONLY_THE_ASKED_ONE = {
    "event": ASKED,
    "lead": "asked",
    "status": "received",
    "kind": "upstream_refused",
    "upstream": "work_api",
    "waiting": "work_api",
    "reason": "credential",
    "text": "ACCOUNT problem",
    "hook": "on_update_lead",
    "updated": "2026-03-09T10:05:00.000-03:00",
    "since": "2h",
    "until": "2001-01-01",
    "outcome": "not_found",
    "error": "",
}


@pytest.fixture
async def desk(db: Database, pool: Pool) -> EventsDesk:
    await db.execute(
        "insert into webhook_events (id, lead_id, updated_at, hook_action, payload_raw, error_kind,"
        " error_message, waiting_for, waiting_reason, available_at)"
        " values (%s, 'asked', '2026-03-09 13:05Z', 'on_update_lead', '{}', 'upstream_refused',"
        " 'work_api: paused: account problem', 'work_api', 'credential', now() + interval '1"
        " hour')",
        (ASKED,),
    )
    await db.execute(
        "insert into webhook_events (lead_id, updated_at, hook_action, payload_raw, status,"
        " processed_at, error_kind, error_message, received_at)"
        " values ('other', '2026-03-09 13:06Z', 'on_create_lead', '{}', 'failed', now(),"
        " 'lead_not_found', 'Lead not found', now() - interval '1 day')"
    )
    return EventsDesk(pool)


async def found(desk: EventsDesk, **words: str) -> set[str]:
    lines = await desk.events(parse_filter(words, SAO_PAULO), 100)
    return {line.lead_id for line in lines}


class TestEveryWord:
    def test_has_an_example_here(self) -> None:
        assert set(ONLY_THE_ASKED_ONE) == {each.name for each in fields(Filter)} == set(WORDS)

    @pytest.mark.parametrize("word", WORDS)
    async def test_changes_what_is_found(self, db: Database, desk: EventsDesk, word: str) -> None:
        value = ONLY_THE_ASKED_ONE[word]
        if word == "outcome":
            await db.execute(
                "update webhook_events set status = 'completed', outcome = 'not_found'"
                " where lead_id = 'asked'"
            )
        if word == "until":
            await db.execute(
                "update webhook_events set received_at = '2000-01-01Z' where lead_id = 'asked'"
            )
        if word == "error":
            value = await db.value("select error_group from v_events where lead_id = 'asked'")

        assert await found(desk) == {"asked", "other"}
        assert await found(desk, **{word: value}) == {"asked"}

    @pytest.mark.parametrize("word", WORDS)
    def test_reads_again_as_it_was_read(self, word: str) -> None:
        value = ONLY_THE_ASKED_ONE[word] or "0a1b2c3d"
        chosen = parse_filter({word: value}, SAO_PAULO)

        assert parse_filter(chosen.texts, SAO_PAULO) == chosen

    async def test_counts_together_with_the_others(self, desk: EventsDesk) -> None:
        assert await found(desk, lead="asked", status="failed") == set()


class TestAnUnknownWord:
    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ({"status": "faild"}, "did you mean `failed`?"),
            ({"stauts": "failed"}, "did you mean `status`?"),
            ({"kind": "upstream_refuse"}, "did you mean `upstream_refused`?"),
            ({"outcome": "notfound"}, "did you mean `not_found`?"),
            ({"waiting": "diretriz"}, "did you mean `diretrix`?"),
            ({"since": "yesterday"}, "is not a time"),
            ({"since": "-5"}, "is not a time"),
            ({"event": "17"}, "is not the id of an event"),
            ({"error": "zzz"}, "is not a fingerprint"),
            ({"text": " "}, "is empty"),
        ],
    )
    def test_is_refused_with_the_nearest_one(self, words: dict[str, str], sentence: str) -> None:
        with pytest.raises(FilterError) as refused:
            parse_filter(words, SAO_PAULO)

        assert sentence in str(refused.value)

    def test_is_told_together_with_every_other_problem(self) -> None:
        with pytest.raises(FilterError) as refused:
            parse_filter({"status": "x", "kind": "y", "colour": "z"}, SAO_PAULO)

        assert len(refused.value.problems) == 3

    @pytest.mark.parametrize(
        ("column", "known"),
        [
            ("status", STATUSES),
            ("outcome", OUTCOMES),
            ("error_kind", KINDS),
            ("waiting_reason", REASONS),
        ],
    )
    async def test_is_not_in_the_table(
        self, db: Database, column: str, known: tuple[str, ...]
    ) -> None:
        check = await db.value(
            "select pg_get_constraintdef(oid) from pg_constraint where conname = %s",
            (f"webhook_events_{column}_check",),
        )

        assert [value for value in known if f"'{value}'" not in check] == []
        assert check.count("'::text") == len(known)


class TestATime:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("2h", "-7200 s"),
            ("7d", "-604800 s"),
            ("2026-11-25", "2026-11-25T00:00:00-03:00"),
            ("2026-11-25T14:00", "2026-11-25T14:00:00-03:00"),
            ("2026-11-25T14:00Z", "2026-11-25T14:00:00+00:00"),
        ],
    )
    def test_is_the_operators_own_unless_it_names_its_zone(self, given: str, kept: str) -> None:
        assert parse_filter({"since": given}, SAO_PAULO).words == {"since": kept}


class TestAnErrorGroup:
    async def test_is_the_same_for_errors_that_differ_in_ids_and_numbers_only(
        self, db: Database
    ) -> None:
        async def group(kind: str, status: int, *varying: str) -> str:
            text = "c2s: HTTP {}: limit of {} for lead {} (ref {}), next in {} s"
            return str(
                await db.value(
                    "select error_group(%s, 'send', %s)", (kind, text.format(status, *varying))
                )
            )

        first = await group("upstream_refused", 422, "17", "0" * 32, "W87DSMVY", "12.5")
        others = ("4", "ab" * 16, "K3DSMVXX", "1")

        assert first == await group("upstream_refused", 422, *others)
        assert first != await group("upstream_refused", 400, *others)
        assert first != await group("bug", 422, *others)
