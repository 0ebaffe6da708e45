"""Healthy means healthy: each state that a person should know of is a sentence with a number."""

import pytest
from tests.conftest import Database

from c2s_enrich.database import Pool
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.problems import Problem, problems_of
from c2s_enrich.ops.store import OpsStore


async def found(pool: Pool) -> list[Problem]:
    """What is wrong with the service, asked as /health asks."""
    return problems_of(await OpsStore(pool).facts())


async def sentences(pool: Pool) -> list[str]:
    return [each.sentence for each in await found(pool)]


async def blind(pool: Pool) -> str | None:
    """The sentence about a source that knows far fewer people than it did."""
    told = [each.sentence for each in await found(pool) if each.code == "source_blind"]
    return told[0] if told else None


async def event(db: Database, status: str = "received", **more: object) -> None:
    """One event as the pollers leave it; values are SQL."""
    leased = {"claimed_by": "'p'", "claimed_at": "now()", "deadline_at": "now()"}
    values = {
        "lead_id": "gen_random_uuid()::text",
        "updated_at": "now()",
        "payload_raw": "'{}'",
        "status": f"'{status}'",
        **(leased if status == "processing" else {}),
        **({"processed_at": "now()"} if status in ("completed", "failed") else {}),
        **more,
    }
    columns, expressions = ", ".join(values), ", ".join(map(str, values.values()))
    await db.execute(f"insert into webhook_events ({columns}) values ({expressions})")


async def poller(db: Database, beat: str = "0 s") -> None:
    await db.execute(
        "insert into pollers (name, concurrency, beat_at) values ('p', 10, now() - %s::interval)",
        (beat,),
    )


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
        ' select %s, %s, gen_random_uuid()::text, case when g %% 10 < %s then \'[{"cpf": "1",'
        ' "name": "A"}]\'::jsonb else \'[]\' end,'
        " now() - %s::interval - g * interval '1 s', now() from generate_series(0, %s - 1) g",
        (source, kind, found_of_ten, age, count),
    )


class TestTheHitRate:
    async def test_that_fell_is_a_sentence(self, db: Database, pool: Pool) -> None:
        await answered(db, 6, 200, age="2 days")
        await answered(db, 1, 50)

        assert await blind(pool) == (
            "diretrix by phone found 5 of the last 50, after 60 % of the 200 before."
        )

    async def test_that_fell_to_nothing_is_a_sentence_of_a_rare_source_too(
        self, db: Database, pool: Pool
    ) -> None:
        await answered(db, 3, 300, kind="email", age="2 days")
        await answered(db, 0, 50, kind="email")

        assert await blind(pool) is not None

    async def test_that_wavers_is_none(self, db: Database, pool: Pool) -> None:
        await answered(db, 6, 200, age="2 days")
        await answered(db, 5, 50)

        assert await blind(pool) is None

    async def test_that_was_always_low_is_none(self, db: Database, pool: Pool) -> None:
        await answered(db, 0, 600)

        assert await blind(pool) is None

    async def test_of_few_answers_says_nothing_yet(self, db: Database, pool: Pool) -> None:
        await answered(db, 6, 200, age="2 days")
        await answered(db, 0, 10)

        assert await blind(pool) is None

    async def test_of_each_source_is_judged_by_itself(self, db: Database, pool: Pool) -> None:
        await answered(db, 9, 400, source="work_api", age="2 days")
        await answered(db, 0, 400, kind="email")

        assert await blind(pool) is None

    async def test_of_records_counts_too(self, db: Database, pool: Pool) -> None:
        await db.execute(
            "insert into people (cpf, profile, profile_fetched_at, fetched_at, expires_at)"
            " select lpad(g::text, 11, '0'), case when g > 50 then '{\"name\": \"A\"}'::jsonb end,"
            " case when g > 50 then now() - g * interval '1 s' end, now() - g * interval '1 s',"
            " now() from generate_series(1, 250) g"
        )

        assert "work_api by record found 0 of the last 50" in str(await blind(pool))

    async def test_is_none_before_the_first_answer(self, pool: Pool) -> None:
        assert await blind(pool) is None


class TestTheQueue:
    async def test_that_is_well_says_nothing(self, db: Database, pool: Pool) -> None:
        await poller(db)
        await event(db)
        await event(db, "completed", outcome="'enriched'")

        assert await sentences(pool) == []

    @pytest.mark.parametrize(
        ("off", "on", "named"),
        [
            (
                "alter table webhook_events disable trigger changed_by_hand",
                "alter table webhook_events enable trigger changed_by_hand",
                "changed_by_hand",
            ),
            (
                "alter index webhook_events_one_per_lead rename to gone",
                "alter index gone rename to webhook_events_one_per_lead",
                "webhook_events_one_per_lead",
            ),
        ],
    )
    async def test_whose_guards_are_off_names_them(
        self, db: Database, pool: Pool, off: str, on: str, named: str
    ) -> None:
        await poller(db)
        await db.execute(off)
        try:
            [problem] = await found(pool)
        finally:
            await db.execute(on)

        assert problem.sentence == (
            f"Triggers or keys that our promises rest on are off or missing: {named}."
        )
        assert await found(pool) == []

    async def test_without_a_poller_says_how_many_events_nobody_works_on(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db, "5 minutes")
        await event(db)
        await event(db)

        [sentence] = await sentences(pool)
        assert sentence == "No poller is running: 2 events are stored and nobody works on them."

    async def test_with_a_due_event_that_nobody_takes_says_for_how_long(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        await event(db, available_at="now() - interval '100 s'")

        assert await sentences(pool) == ["The oldest due event has waited 100 s."]

    async def test_with_a_lease_that_is_long_over_says_so(self, db: Database, pool: Pool) -> None:
        await poller(db)
        await event(db, "processing", lease_expires_at="now() - interval '5 minutes'")

        [sentence] = await sentences(pool)
        assert sentence.startswith("The lease of 1 event ended over a minute ago")

    async def test_with_failed_events_says_how_many_of_each_kind(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        for kind in ("lead_not_found", "lead_not_found", "bug"):
            await event(db, "failed", error_kind=f"'{kind}'")
        await event(db, "completed", outcome="'enriched'")

        assert await sentences(pool) == [
            "3 events failed in the last hour, of 4 that ended: 2 lead_not_found, 1 bug."
        ]

    async def test_with_a_muted_error_counts_it_apart(self, db: Database, pool: Pool) -> None:
        await poller(db)
        for message in ("'c2s: HTTP 422'", "'c2s: HTTP 422'", "'c2s: HTTP 403'", "null"):
            kind = "null" if message == "null" else "'upstream_refused'"
            await event(db, "failed", error_kind=kind, error_message=message)
        await EventsDesk(pool).mute(
            await db.value("select error_group from v_failures where events = 2")
        )

        assert await sentences(pool) == [
            "2 events failed in the last hour, of 4 that ended: 1 upstream_refused.",
            "2 events failed in the last hour with an error whose alerts are muted.",
        ]
        assert [each.urgent for each in await found(pool)] == [False, False]

    async def test_forgets_a_failure_after_an_hour(self, db: Database, pool: Pool) -> None:
        await poller(db)
        await event(db, "failed", error_kind="'bug'", processed_at="now() - interval '2 hours'")

        assert await sentences(pool) == []

    async def test_with_an_event_that_kills_pollers_says_how_many_claims_were_lost(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        await db.execute(
            "insert into event_attempts (event_id, lease_token, attempt, worker, started_at,"
            " result)"
            " select gen_random_uuid(), g, 1, 'p', now(), 'worker_lost' from generate_series(1,"
            " 2) g"
        )

        [sentence] = await sentences(pool)
        assert sentence == "Pollers that died or hung lost 2 claims in the last hour."

    async def test_with_unclear_messages_says_how_many(self, db: Database, pool: Pool) -> None:
        await poller(db)
        await db.execute(
            "insert into lead_messages (event_id, lead_id, content_key, body, ref, status,"
            " sending_at, sends)"
            " values (gen_random_uuid(), 'l', 'k', 'b', 'r', 'sending', now() - interval '1 h', 1)"
        )

        [sentence] = await sentences(pool)
        assert sentence.startswith("1 message went out more than ten minutes ago")


class TestDeliveries:
    async def test_that_could_not_be_read_are_counted(self, db: Database, pool: Pool) -> None:
        await poller(db)
        await db.execute(
            "insert into rejected_deliveries (raw, reason) values ('x', 'not_json'), ('y',"
            " 'not_json')"
        )

        assert await sentences(pool) == ["2 deliveries could not be read and wait."]

    async def test_cannot_be_stored_in_a_database_that_takes_no_writes(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        async with pool.connection() as connection:
            await connection.execute("set default_transaction_read_only = on")
            row = await (await connection.execute("select read_only from health_queue")).fetchone()
            await connection.execute("reset default_transaction_read_only")

        assert row == (True,)


class TestAnUpstream:
    async def test_that_is_paused_says_for_how_long_and_keeps_its_words_for_operators(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        await db.execute(
            "update upstreams set paused_until = now() + interval '90 s', reason = 'HTTP 503: ana'"
            " where name = 'diretrix'"
        )

        [problem] = await found(pool)
        assert problem.sentence in (
            "diretrix is paused for another 90 s.",
            "diretrix is paused for another 89 s.",
        )
        assert problem.detail == "HTTP 503: ana"
        assert problem.command == "c2s-enrich upstreams resume diretrix"

    async def test_whose_pause_was_ended_by_sql_says_which_events_nobody_wakes(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        await event(
            db,
            waiting_for="'diretrix'",
            waiting_reason="'paused'",
            available_at="now() + interval '2 days'",
        )
        pause = "update upstreams set paused_until = now() + interval '2 days', reason = 'x'"
        await db.execute(f"{pause} where name = 'diretrix'")
        paused = [each.code for each in await found(pool)]
        await db.execute("update upstreams set paused_until = null, reason = null")
        [problem] = await found(pool)

        assert paused == ["upstream_paused"]
        assert problem.sentence == (
            "1 event would wait for diretrix over an hour longer than it is paused."
        )
        assert problem.command == "c2s-enrich upstreams resume diretrix"

    async def test_that_refuses_our_credential_is_called_that(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        await db.execute(
            "update upstreams set paused_until = now() + interval '90 s',"
            " reason = 'credential refused: ana' where name = 'c2s'"
        )

        [problem] = await found(pool)
        assert problem.code == "credential_refused"
        assert "ana" not in problem.sentence

    @pytest.mark.parametrize(
        ("made", "code"), [(79, None), (80, "budget_low"), (100, "budget_spent")]
    )
    async def test_whose_budget_goes_is_told_at_four_fifths_and_at_its_end(
        self, db: Database, pool: Pool, made: int, code: str | None
    ) -> None:
        await poller(db)
        await db.execute(
            "update upstreams set daily_budget = 100, calls_today = %s,"
            " budget_day = (now() at time zone 'America/Sao_Paulo')::date where name = 'work_api'",
            (made,),
        )

        assert [each.code for each in await found(pool)] == ([code] if code else [])


class TestSilence:
    @staticmethod
    async def weeks(db: Database, each: int, weeks: int = 4) -> None:
        """In each earlier week the hours before now brought that many webhooks; none came since."""
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, received_at, status,"
            " processed_at)"
            " select g || '-' || w, now(), '{}', now() - w * interval '7 days' - g * interval '20"
            " minutes',"
            " 'completed', now() - interval '6 days' from generate_series(1, %s) g,"
            " generate_series(1, %s) w",
            (each, weeks),
        )
        await event(
            db,
            "completed",
            received_at="now() - interval '5 hours'",
            processed_at="now() - interval '2 hours'",
        )
        await event(
            db,
            "completed",
            received_at="now() - interval '40 days'",
            processed_at="now() - interval '40 days'",
        )

    async def test_longer_than_the_same_hours_of_earlier_weeks_explain_is_told(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        await self.weeks(db, 9)

        assert await sentences(pool) == [
            "No webhook has come for 5.0 h (the same hours of earlier weeks brought 9)."
        ]

    async def test_at_hours_that_are_always_quiet_is_not(self, db: Database, pool: Pool) -> None:
        await poller(db)
        await self.weeks(db, 3)

        assert await sentences(pool) == []

    async def test_is_not_broken_by_echoes_of_our_own_messages_or_by_what_we_fetched(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        await self.weeks(db, 9)
        await event(db, "completed", outcome="'unchanged'", outcome_detail="""'{"echo": "REF"}'""")
        await event(db, "completed", hook_action="'reconcile'")

        assert [each.code for each in await found(pool)] == ["silence"]

    async def test_is_judged_by_business_hours_while_there_is_no_history(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        await event(
            db,
            "completed",
            received_at="now() - interval '8 days'",
            processed_at="now() - interval '8 days'",
        )

        [problem] = await found(pool)
        assert problem.code == "silence"
        assert "business hours" in problem.sentence

    async def test_before_the_first_webhook_is_none(self, db: Database, pool: Pool) -> None:
        await poller(db)

        assert await sentences(pool) == []


class TestAfterARestore:
    async def test_says_how_many_messages_are_looked_up_first_and_not_that_they_went_out(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        await db.execute(
            "insert into lead_messages"
            " (event_id, lead_id, content_key, body, ref, status, sending_at)"
            " select gen_random_uuid(), 'l', n::text, 'b', 'r' || n, 'sending',"
            " now() - interval '1 h'"
            " from generate_series(1, 2) n"
        )

        assert await sentences(pool) == [
            "2 messages may have been sent before a restore: each is looked up in C2S before it is"
            " sent."
        ]

    async def test_says_that_an_account_does_not_show_what_it_took_until_it_does(
        self, db: Database, pool: Pool
    ) -> None:
        await poller(db)
        await db.execute("insert into read_backs (account) values ('a')")

        [problem] = await found(pool)
        await db.execute("update read_backs set proven_at = now()")

        assert problem.code == "read_back_unproven"
        assert await sentences(pool) == []
