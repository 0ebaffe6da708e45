"""People as tables: what an analyst finds there, what never gets there, and that a newer fact is
never lost to an older one.
"""

import asyncio
import random
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from tests.brokerage import Brokerage
from tests.cast import ANA, BRUNO, FORBIDDEN, Person, a_cpf, record_json
from tests.conftest import Database
from tests.enrichment.test_remembered_answers import a_memory

from c2s_enrich.database import Pool
from c2s_enrich.enrichment.remember import Question, profile_in
from c2s_enrich.errors import Unauthorised, Unreadable
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import AddressEntry, Profile
from c2s_enrich.queue.claim import Claim
from c2s_enrich.sandbox.simulators.population import FORBIDDEN_MARKS
from c2s_enrich.upstreams.work_record import read_record

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
LONG = timedelta(days=36500)
VIEWS = (
    "v_muted",
    "v_people",
    "v_leads",
    "v_lead_history",
    "v_queue",
    "v_in_flight",
    "v_failures",
    "v_messages_open",
    "v_throughput",
    "v_spend",
    "v_hit_rate",
    "v_events",
    "v_explain",
    "v_messages_sent",
    "v_pollers",
    "v_leads_by_seller",
    "v_invalid_phones",
    "v_found_share",
)
ON_BEHALF = Claim(
    event_id=uuid4(),
    lead_id="lead",
    updated_at=MARCH,
    hook_action=None,
    payload="{}",
    attempts=1,
    max_attempts=8,
    reprocess=False,
    lease_token=1,
    claimed_at=MARCH,
    age=timedelta(),
    available_at=MARCH,
    worker="ana",
)


def profile_of(person: Person, **sections: Any) -> Profile:
    profile = read_record(record_json(person, **sections), person.cpf)
    assert isinstance(profile, Profile)
    return profile


async def keep(pool: Pool, answer: Profile | None, asked_at: datetime, cpf: Cpf = ANA.cpf) -> None:
    """The record arrives, and is remembered on behalf of some event."""
    question = Question("work_api", "record", cpf.digits)
    await a_memory(pool).keep(ON_BEHALF, question, answer, asked_at, LONG)


async def recalled(db: Database, cpf: Cpf) -> Profile | None:
    """The record as the next lead of the person finds it."""
    return profile_in(await db.value("select profile from people where cpf = %s", (cpf.digits,)))


class TestARecord:
    async def test_becomes_typed_columns(self, db: Database, pool: Pool) -> None:
        await keep(pool, profile_of(ANA), MARCH)

        [ana] = await db.fetch("select * from people")
        assert (ana.full_name, ana.birth_date, ana.sex, ana.mother) == (
            "ANA CLARA DE SOUZA LIMA",
            date(1990, 3, 5),
            "F",
            "MARIA DE SOUZA LIMA",
        )
        assert (ana.income, ana.income_from, ana.income_to) == (
            Decimal("6089.28"),
            Decimal("4180.00"),
            Decimal("10450.00"),
        )
        assert (ana.credit_score, ana.occupation, ana.marital_status) == (
            702,
            "ARQUITETO DE EDIFICACOES",
            "SOLTEIRO(A)",
        )
        assert (ana.deceased, ana.irregular) == (False, None)
        assert ana.fetched_at == ana.profile_fetched_at == MARCH

    async def test_becomes_rows_that_say_from_where_when_and_how_sure(
        self, db: Database, pool: Pool
    ) -> None:
        await keep(pool, profile_of(ANA), MARCH)

        phones = await db.fetch(
            "select phone, source, rank, active, whatsapp, first_seen_at, last_seen_at from"
            " person_phones order by rank"
        )
        assert phones == [
            ("+5511987650001", "work_api", 1, True, True, MARCH, MARCH),
            ("+551133650099", "work_api", 2, False, None, MARCH, MARCH),
        ]
        emails = await db.fetch(
            "select email, priority, quality, personal, blacklisted from person_emails order by"
            " rank"
        )
        assert emails == [
            ("ana.lima@example.com", "MUITO ALTA", "OTIMO", True, False),
            ("antigo@example.org", "BAIXA", "BOM", True, False),
        ]
        assert await db.fetch(
            "select street, number, city, state, postcode from person_addresses"
        ) == [("DAS ACACIAS", "120", "SAO PAULO", "SP", "01310100")]
        assert await db.fetch("select cnpj, relation, since, active from person_companies") == [
            ("11222333000181", "SÓCIO", date(2010, 2, 1), True)
        ]

    async def test_is_recalled_as_it_was_kept(self, db: Database, pool: Pool) -> None:
        profile = profile_of(ANA)

        await keep(pool, profile, MARCH)

        assert await recalled(db, ANA.cpf) == profile

    async def test_that_does_not_exist_is_a_person_without_columns(
        self, db: Database, pool: Pool
    ) -> None:
        await keep(pool, None, MARCH)

        assert await db.fetch(
            "select full_name, deceased, profile_fetched_at, fetched_at from people"
        ) == [(None, None, None, MARCH)]


class TestANewerRecord:
    async def test_replaces_what_it_says_and_keeps_when_it_was_first_seen(
        self, db: Database, pool: Pool
    ) -> None:
        await keep(pool, profile_of(ANA), MARCH)

        await keep(pool, profile_of(ANA, DadosEconomicos={"renda": "7000,00"}), APRIL)

        assert await db.fetch("select income, profile_fetched_at from people") == [
            (Decimal("7000.00"), APRIL)
        ]
        assert await db.fetch("select distinct first_seen_at, last_seen_at from person_phones") == [
            (MARCH, APRIL)
        ]

    async def test_leaves_what_it_no_longer_says_with_the_time_when_that_was_last_seen(
        self, db: Database, pool: Pool
    ) -> None:
        await keep(pool, profile_of(ANA), MARCH)

        await keep(
            pool, profile_of(ANA, telefones=[{"telefone": "11977770001", "status": "ATIVO"}]), APRIL
        )

        assert await db.fetch(
            "select phone, last_seen_at from person_phones order by last_seen_at desc, phone"
        ) == [("+5511977770001", APRIL), ("+551133650099", MARCH), ("+5511987650001", MARCH)]

    async def test_knows_an_address_again_however_its_street_is_written(
        self, db: Database, pool: Pool
    ) -> None:
        await keep(pool, profile_of(ANA), MARCH)

        again = {
            "logradouro": "das Acácias",
            "logradouroNumero": "120",
            "cidade": "São Paulo",
            "uf": "SP",
            "cep": "01310-100",
        }
        await keep(pool, profile_of(ANA, enderecos=[again]), APRIL)

        assert await db.fetch("select first_seen_at, last_seen_at from person_addresses") == [
            (MARCH, APRIL)
        ]


class TestAnOlderRecord:
    """A poller that stopped between its question and the answer's storage comes late with it."""

    async def test_changes_nothing(self, db: Database, pool: Pool) -> None:
        await keep(pool, profile_of(ANA, DadosEconomicos={"renda": "7000,00"}), APRIL)

        await keep(pool, profile_of(ANA, telefones=[{"telefone": "11977770001"}]), MARCH)

        assert await db.fetch("select income, profile_fetched_at from people") == [
            (Decimal("7000.00"), APRIL)
        ]
        assert "+5511977770001" not in [
            row.phone for row in await db.fetch("select phone from person_phones")
        ]

    async def test_is_not_lost_to_a_newer_answer_that_there_is_none(
        self, db: Database, pool: Pool
    ) -> None:
        await keep(pool, profile_of(ANA), MARCH)

        await keep(pool, None, APRIL)

        assert await db.fetch("select full_name, profile_fetched_at, fetched_at from people") == [
            ("ANA CLARA DE SOUZA LIMA", MARCH, APRIL)
        ]
        assert await db.value("select count(*) from person_phones") == 2


class TestWritersAtTheSameTime:
    async def test_of_the_same_people_wait_for_each_other_and_never_deadlock(
        self, db: Database, pool: Pool
    ) -> None:
        people = [(BRUNO, a_cpf(seed)) for seed in range(20, 24)]

        async def write(turn: int) -> None:
            order = random.Random(turn).sample(people, len(people))
            for person, cpf in order:
                profile = profile_of(
                    Person(person.name, cpf, person.phone, person.email, person.born, person.sex)
                )
                await keep(pool, profile, MARCH + timedelta(minutes=turn), cpf)

        await asyncio.gather(*[write(turn) for turn in range(12)])

        assert await db.fetch("select distinct fetched_at from people") == [
            (MARCH + timedelta(minutes=11),)
        ]
        assert await db.fetch("select distinct last_seen_at from person_phones") == [
            (MARCH + timedelta(minutes=11),)
        ]


class TestWhatTheProductDoesNotUse:
    async def test_is_nowhere_in_the_database(self, brokerage: Brokerage) -> None:
        for number, person in enumerate(brokerage.people[:8]):
            await brokerage.accept(f"lead-{number}", person)
        await brokerage.work()

        stored = await brokerage.everything_stored()

        assert brokerage.people[0].name.upper() in stored
        assert "EMPRESA SIMULADA LTDA" in stored
        for mark in (
            *FORBIDDEN_MARKS,
            "ANALISTA DE PERFIL",
            "123456780914",
            "12345678901",
            "luxo",
            "serasaMosaic",
            "vizinhos",
        ):
            assert mark not in stored

    async def test_is_left_out_of_a_record_that_is_full_of_it(
        self, db: Database, pool: Pool
    ) -> None:
        await keep(pool, profile_of(ANA), MARCH)

        [row] = await db.fetch("select p::text as line from people p")
        for mark in FORBIDDEN:
            assert mark not in row.line


class TestAnOddRecord:
    @pytest.mark.parametrize("seed", range(12))
    async def test_is_stored_or_refused_by_name_and_never_raises(
        self, db: Database, pool: Pool, seed: int
    ) -> None:
        chance = random.Random(seed)
        stored = 0
        for _ in range(40):
            answer = None
            with suppress(Unauthorised, Unreadable):
                answer = read_record(spoil(record_json(ANA), chance), ANA.cpf)
            if answer is not None:
                await keep(pool, answer, MARCH)
                assert await recalled(db, ANA.cpf) == answer
                stored += 1

        assert stored


ODD: tuple[Any, ...] = (
    None, "", " ", 0, -1, 1.5, 1e300, 10**40, True, [], {}, [None], [[]], {"a": {}}, "\x00",
    "a\x00b", "\ud800", "\u202eevil",
    "x" * 5000, "1" * 400, "31/02/1990", "00/00/0000", "31/12/9999", "01/01/0001", "SEM INFORMAÇÃO",
    "99999999999,99", "NaN", "-5,00",
    "1.234.567,89", [{}] * 300,
    [{"telefone": 11987650001, "email": 5, "cnpj": 11222333000181, "cep": 1310100,
     "logradouro": "A | B", "logradouroNumero": "1 | 2"}] * 3,
    [{"telefone": f"119{n:08}", "email": f"p{n}@example.com", "cnpj": f"{n:014}",
     "logradouro": f"RUA {n}", "cep": n} for n in range(80)],
)  # fmt: skip


def spoil(part: Any, chance: random.Random) -> Any:
    """The same record with some of its values replaced by odd ones, at every depth."""
    if chance.random() < 0.06:
        return chance.choice(ODD)
    if isinstance(part, dict):
        return {
            key: value if key in ("nome", "cpf") else spoil(value, chance)
            for key, value in part.items()
        }
    return [spoil(value, chance) for value in part] if isinstance(part, list) else part


class TestTheKeyOfAnAddress:
    def test_ignores_accents_and_case(self) -> None:
        accented = AddressEntry(street="São João", number="1", postcode="01035000")

        assert accented.key == AddressEntry("R", "SAO JOAO", "1", postcode="01035000").key

    def test_tells_numbers_and_cities_apart(self) -> None:
        keys = {
            AddressEntry(street="RUA A", number=number, city=city).key
            for number in ("1", "2")
            for city in ("Recife", "Natal")
        }

        assert len(keys) == 4


class TestTheViews:
    @pytest.fixture
    async def a_day_at_the_brokerage(self, brokerage: Brokerage) -> Brokerage:
        """Some leads went well, one has no contact, nobody knows another, one waits."""
        for number in range(4):
            await brokerage.accept(f"lead-{number}", brokerage.people[number])
        await brokerage.accept("unknown", brokerage.people[5], phone="5511912340077", email=None)
        await brokerage.accept("silent", brokerage.people[6], phone=None, email=None)
        await brokerage.work()
        await brokerage.accept("waiting", brokerage.people[7])
        return brokerage

    async def test_answer_and_show_no_cpf(self, a_day_at_the_brokerage: Brokerage) -> None:
        nothing_today = {"in_flight", "messages_open", "pollers", "invalid_phones", "muted"}
        cpfs = [person.cpf for person in a_day_at_the_brokerage.people]

        for view in VIEWS:
            rows = await a_day_at_the_brokerage.db.fetch(f"select v::text as line from {view} v")
            assert rows or view.removeprefix("v_") in nothing_today, view
            assert not [cpf for cpf in cpfs for row in rows if cpf in row.line], view

    async def test_are_all_known_here_and_explained(self, db: Database) -> None:
        explained = await db.fetch(
            "select c.relname from pg_class c where c.relkind = 'v' and c.relname like 'v\\_%%'"
            " and obj_description(c.oid) is not null"
        )

        assert {row.relname for row in explained} == set(VIEWS)
        assert await db.value(
            "select count(*) from pg_views where schemaname = 'public' and viewname like 'v\\_%%'"
        ) == len(VIEWS)

    async def test_have_words_for_every_column(self, db: Database) -> None:
        bare = await db.fetch(
            "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid"
            " where c.relkind = 'v' and c.relname like 'v\\_%%' and a.attnum > 0"
            " and col_description(c.oid, a.attnum) is null"
        )

        assert bare == []

    async def test_show_a_person_with_the_best_contacts(
        self, a_day_at_the_brokerage: Brokerage
    ) -> None:
        person = a_day_at_the_brokerage.people[0]

        [row] = await a_day_at_the_brokerage.db.fetch(
            "select * from v_people where full_name = %s", (person.name.upper(),)
        )

        assert (row.cpf, row.best_phone, row.best_email) == (
            f"***.{person.cpf[3:6]}.{person.cpf[6:9]}-**",
            f"+55{person.phone}",
            person.email,
        )
        assert (row.leads, row.has_record, row.fresh) == (1, True, True)

    async def test_show_a_lead_with_its_people_and_when_the_seller_was_told(
        self, a_day_at_the_brokerage: Brokerage
    ) -> None:
        db = a_day_at_the_brokerage.db

        told, unknown, silent = await db.fetch(
            "select lead_id, people, outcome, error_kind, messages from v_leads where lead_id in"
            " ('lead-0', 'unknown', 'silent') order by"
            " array_position(array['lead-0', 'unknown', 'silent'], lead_id)"
        )

        assert (told.people, told.outcome, told.messages) == (
            a_day_at_the_brokerage.people[0].name.upper(),
            "enriched",
            1,
        )
        assert (unknown.people, unknown.outcome, unknown.messages) == (None, "not_found", 0)
        assert (silent.people, silent.error_kind, silent.messages) == (None, "missing_customer", 0)

    async def test_tell_the_history_of_a_lead_in_order(
        self, a_day_at_the_brokerage: Brokerage
    ) -> None:
        rows = await a_day_at_the_brokerage.db.fetch(
            "select what, detail from v_lead_history where lead_id = 'lead-0' order by at, what"
        )

        assert [row.what for row in rows if row.what.startswith(("event", "attempt"))] == [
            "event received",
            "attempt 1 completed",
        ]
        assert "message sent" in [row.what for row in rows]

    async def test_count_what_waits_and_what_failed(
        self, a_day_at_the_brokerage: Brokerage
    ) -> None:
        db = a_day_at_the_brokerage.db

        assert await db.fetch(
            "select status, events, due from v_queue where status <> 'completed' order by status"
        ) == [("failed", 1, 0), ("received", 1, 1)]
        assert await db.fetch("select error_kind, events, newest_lead from v_failures") == [
            ("missing_customer", 1, "silent")
        ]

    async def test_count_what_was_paid_for(self, a_day_at_the_brokerage: Brokerage) -> None:
        asked = {
            (source, kind): answers
            for source, kind, answers in await a_day_at_the_brokerage.db.fetch(
                "select source, kind, answers from v_spend"
            )
        }

        counts = a_day_at_the_brokerage.world.counts
        assert asked == {
            ("diretrix", "phone"): counts["diretrix", "phone"],
            ("diretrix", "email"): counts["diretrix", "email"],
            ("work_api", "phone"): counts["work_api", "phone"],
            ("work_api", "record"): counts["work_api", "record"],
        }
