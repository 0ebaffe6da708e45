"""Whole leads whose contacts lead to several people: who is told of, who is asked, what is paid."""

from dataclasses import replace

import pytest
from tests.brokerage import Brokerage

from c2s_enrich.sandbox.simulators.population import Person

LEAD = "a" * 32


@pytest.fixture
def ana(brokerage: Brokerage) -> Person:
    return replace(brokerage.people[0], name="Ana Beatriz Lima")


@pytest.fixture
def bruno(brokerage: Brokerage) -> Person:
    return replace(brokerage.people[1], name="Bruno Cardoso")


@pytest.fixture(autouse=True)
def their_names(brokerage: Brokerage, ana: Person, bruno: Person) -> None:
    world = brokerage.world
    for person in (ana, bruno):
        world.by_cpf[person.cpf] = person
        world.by_phone[person.phone] = [person]
        world.by_email[person.email] = [person]


def paid(brokerage: Brokerage) -> list[str]:
    """The questions that were paid for: who was asked, for what."""
    calls = [*brokerage.world.asked("diretrix"), *brokerage.world.asked("work_api")]
    return sorted(f"{call.upstream} {call.kind}" for call in calls)


def people_told(brokerage: Brokerage) -> list[str]:
    body = brokerage.messages(LEAD)[-1]
    lines = body.splitlines()
    return [line[len("Nome: ") :].title() for line in lines if line.startswith("Nome: ")]


class TestALeadWhosePhoneLeadsToTwoPeople:
    async def test_hears_first_about_the_person_with_its_name(
        self, brokerage: Brokerage, ana: Person, bruno: Person
    ) -> None:
        brokerage.world.by_phone[ana.phone] = [ana, bruno]
        await brokerage.accept(LEAD, ana, name="Bruno Cardoso")

        await brokerage.work()

        assert people_told(brokerage) == ["Bruno Cardoso", "Ana Beatriz Lima"]
        assert paid(brokerage) == ["diretrix email", "diretrix phone"] + ["work_api record"] * 2

    async def test_says_how_many_share_it(
        self, brokerage: Brokerage, ana: Person, bruno: Person
    ) -> None:
        brokerage.world.by_phone[ana.phone] = [ana, bruno, *brokerage.people[2:4]]
        await brokerage.accept(LEAD, ana, email=None)

        await brokerage.work()

        assert people_told(brokerage) == ["Ana Beatriz Lima"]
        assert "e mais 3 pessoas" in brokerage.messages(LEAD)[-1]


class TestALeadWithTwoPhones:
    async def test_hears_about_the_owner_of_the_second_where_the_first_has_another_name(
        self, brokerage: Brokerage, ana: Person, bruno: Person
    ) -> None:
        phones = f"{ana.phone} / {bruno.phone}"
        await brokerage.accept(LEAD, ana, name="Bruno Cardoso", phone=phones, email=None)

        await brokerage.work()

        assert people_told(brokerage) == ["Bruno Cardoso"]
        assert paid(brokerage) == ["diretrix phone"] * 2 + ["work_api record"]

    @pytest.mark.parametrize(
        "name", ["Ana Lima", "Cliente WhatsApp", "Lima Imóveis", "11987650001"]
    )
    async def test_pays_for_the_first_alone_where_its_name_speaks_against_nobody(
        self, brokerage: Brokerage, ana: Person, bruno: Person, name: str
    ) -> None:
        phones = f"{ana.phone} / {bruno.phone}"
        await brokerage.accept(LEAD, ana, name=name, phone=phones, email=None)

        await brokerage.work()

        assert people_told(brokerage) == ["Ana Beatriz Lima"]
        assert paid(brokerage) == ["diretrix phone", "work_api record"]


class TestAContactThatTheFirstSourceDoesNotKnow:
    async def test_goes_on_to_the_next_although_the_email_is_known(
        self, brokerage: Brokerage, ana: Person, bruno: Person
    ) -> None:
        # Diretrix knows the e-mail only; the Work API knows the phone, and it is another's.
        await brokerage.db.execute(
            "insert into contact_lookups (source, kind, contact, candidates, expires_at)"
            " values ('diretrix', 'phone', %s, '[]', now() + interval '1 day')",
            [f"+55{bruno.phone}"],
        )
        await brokerage.accept(LEAD, ana, phone=bruno.phone)

        await brokerage.work()

        assert people_told(brokerage) == ["Ana Beatriz Lima", "Bruno Cardoso"]
        assert paid(brokerage) == ["diretrix email", "work_api phone"] + ["work_api record"] * 2


class TestALeadWithManyContacts:
    async def test_costs_three_questions_at_most(self, brokerage: Brokerage, ana: Person) -> None:
        phones = "11912340071 / 11912340072 / 11912340073"
        emails = "um@exemplo.com.br; dois@exemplo.com.br"
        await brokerage.accept(LEAD, ana, phone=phones, email=emails)

        await brokerage.work()

        assert await brokerage.outcomes() == {LEAD: "not_found"}
        assert len(paid(brokerage)) == 3
        # Contacts are asked about side by side: which three come first is not settled.
        unasked = await brokerage.db.value(
            "select outcome_detail ->> 'unasked' from webhook_events"
        )
        assert unasked in ("3", "4")

    async def test_costs_as_many_as_are_allowed(self, brokerage: Brokerage, ana: Person) -> None:
        phones = "11912340071 / 11912340072 / 11912340073"
        await brokerage.accept(LEAD, ana, phone=phones, email=None)

        await brokerage.work(LOOKUP_QUESTIONS=6)

        assert len(paid(brokerage)) == 6

    async def test_finds_what_an_earlier_lead_has_paid_for(
        self, brokerage: Brokerage, ana: Person, bruno: Person
    ) -> None:
        await brokerage.accept("b" * 32, bruno, email=None)
        await brokerage.work()
        phones = f"11912340071 / 11912340072 / {bruno.phone}"
        await brokerage.accept(LEAD, bruno, phone=phones, email=None)

        await brokerage.work(LOOKUP_QUESTIONS=4)

        assert people_told(brokerage) == ["Bruno Cardoso"]


class TestALeadThatGetsItsRealName:
    async def test_is_looked_at_again_for_free_and_told_of_who_it_is(
        self, brokerage: Brokerage, ana: Person, bruno: Person
    ) -> None:
        brokerage.world.by_phone[ana.phone] = [ana, bruno]
        await brokerage.accept(LEAD, ana, name="Cliente WhatsApp", email=None)
        await brokerage.work()
        assert people_told(brokerage) == ["Ana Beatriz Lima"]
        before = paid(brokerage)

        await brokerage.accept(LEAD, ana, name="Bruno Cardoso", email=None)
        await brokerage.work()

        assert people_told(brokerage) == ["Bruno Cardoso"]
        assert paid(brokerage) == [*before, "work_api record"]

    async def test_stays_quiet_where_the_seller_would_learn_nothing(
        self, brokerage: Brokerage, ana: Person
    ) -> None:
        for name in ("Cliente WhatsApp", "Ana", "Ana Lima", "ANA BEATRIZ LIMA"):
            await brokerage.accept(LEAD, ana, name=name)
            await brokerage.work()

        assert len(brokerage.messages(LEAD)) == 1
        assert len(paid(brokerage)) == 3

    async def test_stays_quiet_where_only_the_spelling_of_another_name_changes(
        self, brokerage: Brokerage, ana: Person
    ) -> None:
        for name in ("Carlos Mendes", "Carlos Mendes Rocha", "carlos m. rocha"):
            await brokerage.accept(LEAD, ana, name=name)
            await brokerage.work()

        assert len(brokerage.messages(LEAD)) == 1


class TestALeadThatReturnsToAnEarlierPhone:
    async def test_is_told_so_in_short_and_once(
        self, brokerage: Brokerage, ana: Person, bruno: Person
    ) -> None:
        for phone in (ana.phone, bruno.phone, ana.phone, ana.phone):
            await brokerage.accept(LEAD, ana, phone=phone, email=None)
            await brokerage.work()
        await brokerage.db.execute("update webhook_events set status = 'received'")
        await brokerage.work()

        first, _, last = brokerage.messages(LEAD)
        assert last.startswith("🔄 Voltou a valer: telefone ")
        assert "CPF" not in last
        assert first.splitlines()[-1] in last
        keys = await brokerage.db.fetch("select distinct content_key from lead_messages")
        assert len(keys) == 3

    async def test_hears_about_each_return(
        self, brokerage: Brokerage, ana: Person, bruno: Person
    ) -> None:
        for phone in (ana.phone, bruno.phone) * 3:
            await brokerage.accept(LEAD, ana, phone=phone, email=None)
            await brokerage.work()

        bodies = brokerage.messages(LEAD)
        assert len(bodies) == len(set(bodies)) == 6
        assert sum("Voltou a valer" in body for body in bodies) == 4
