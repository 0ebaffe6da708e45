"""A person is more than one lead: what leads to them goes too, in every form, at rest and under
way. Shown by a dump of the whole database before and after.
"""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from psycopg.conninfo import make_conninfo
from tests.brokerage import Brokerage

from c2s_enrich.database import Pool, open_pool
from c2s_enrich.hashing import HashKeys
from c2s_enrich.options import Secret
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.privacy.erase import erase, erase_again, export, plan_erasure
from c2s_enrich.privacy.suppress import read_subject, suppress, suppressed, unsuppress
from c2s_enrich.privacy.traces import Traces
from c2s_enrich.sandbox.simulators.population import Person

KEYS = HashKeys(Secret("a-key-for-the-tests-of-privacy"))
ROTATED = HashKeys(
    Secret("the-key-after-a-rotation-of-it"), Secret("a-key-for-the-tests-of-privacy")
)


def cpf_of(person: Person) -> Cpf:
    return Cpf(person.cpf)


async def assert_forgotten(brokerage: Brokerage, person: Person) -> None:
    """No row of any table names them in any form; the lines that did are shown."""
    traces = Traces(contacts=[f"+55{person.phone}", person.email], cpfs=[person.cpf])
    lines = (await brokerage.everything_stored()).splitlines()
    assert [line for line in lines if traces.name_a_person(line.encode())] == []
    assert [line for line in lines if person.name.lower() in line.lower()] == []


async def wide(brokerage: Brokerage, lead_id: str, text: str) -> None:
    """An event whose payload holds a text somewhere."""
    await brokerage.db.execute(
        "insert into webhook_events (lead_id, updated_at, payload_raw) values (%s, now(), %s)",
        (lead_id, json.dumps({"data": {"id": lead_id, "note": text}})),
    )


FORMS: dict[str, Callable[[Person], str]] = {
    "wide digits": lambda p: p.phone.translate({ord("0") + n: 0xFF10 + n for n in range(10)}),
    "wide e-mail": lambda p: p.email.replace("@", "＠"),
    "punctuated": lambda p: f"({p.phone[:2]}) {p.phone[2:7]}-{p.phone[7:]}",
    "country": lambda p: f"+55 {p.phone}",
    "without the nine": lambda p: f"{p.phone[:2]} {p.phone[3:]}",
    "invisible": lambda p: "\u200b".join(p.cpf),
    "spaced": lambda p: " ".join(p.cpf),
}


class TestErasingAPerson:
    @pytest.mark.parametrize("form", FORMS)
    async def test_finds_another_lead_that_names_them_in_any_form(
        self, brokerage: Brokerage, pool: Pool, form: str
    ) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("lead-ana", ana)
        await brokerage.work()
        await wide(brokerage, "another", f"ligar para {FORMS[form](ana)}.")

        await erase(pool, cpf=cpf_of(ana))

        assert (await brokerage.outcomes())["another"] == "erased"
        await assert_forgotten(brokerage, ana)

    async def test_takes_leads_along_that_wait_with_their_contact(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("first", ana)
        await brokerage.work()
        await brokerage.accept("waiting", ana, name="Outro Nome", email=None)

        await erase(pool, cpf=cpf_of(ana))
        await brokerage.work()

        assert await brokerage.outcomes() == {"first": "erased", "waiting": "erased"}
        assert brokerage.messages("waiting") == []
        await assert_forgotten(brokerage, ana)

    async def test_leaves_no_free_text_in_what_c2s_calls_its_hook(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("lead", ana)
        await brokerage.db.execute(
            "update webhook_events set hook_action = %s", [f"call {ana.name} {ana.phone}"]
        )

        await erase(pool, lead_id="lead")
        await brokerage.db.execute(
            "insert into webhook_events (lead_id, updated_at, hook_action, payload_raw)"
            " values ('lead', now(), %s, '{}')",
            [f"call {ana.name}"],
        )

        await assert_forgotten(brokerage, ana)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
    async def test_removes_rejected_deliveries_in_any_encoding(
        self, brokerage: Brokerage, pool: Pool, encoding: str
    ) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("lead", ana)
        await brokerage.work()
        for text in (ana.email, FORMS["wide digits"](ana), cpf_of(ana).formatted):
            await brokerage.db.execute(
                "insert into rejected_deliveries (raw, reason) values (%s, 'not_json')",
                [f'{{"x": "{text}"'.encode(encoding)],
            )

        await erase(pool, cpf=cpf_of(ana))

        assert await brokerage.db.value("select count(*) from rejected_deliveries") == 0

    async def test_forgets_what_operators_wrote(self, brokerage: Brokerage, pool: Pool) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("lead", ana)
        await brokerage.work()
        await brokerage.db.execute(
            "insert into operator_actions (actor, via, verb, reason) values ('x', 'cli', 'fail',"
            " %s)",
            [f"{ana.email} asked for it"],
        )

        await erase(pool, cpf=cpf_of(ana))

        await assert_forgotten(brokerage, ana)

    async def test_is_not_stopped_by_a_body_of_digits_and_blanks(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        # A search that looks to the end from each place would take hours.
        ana = brokerage.people[0]
        await brokerage.accept("lead", ana)
        for body in (b"0 " * 50_000, b"55 " * 50_000, b"@ " * 50_000):
            await brokerage.db.execute(
                "insert into rejected_deliveries (raw, reason) values (%s, 'not_json')", [body]
            )
        await wide(brokerage, "big", "0 " * 50_000)

        await erase(pool, cpf=cpf_of(ana))

        assert await brokerage.db.value("select count(*) from rejected_deliveries") == 3


class TestAContactOfSeveralPeople:
    @pytest.fixture
    async def family(self, brokerage: Brokerage) -> Brokerage:
        ana, bruno = brokerage.people[:2]
        brokerage.world.by_phone[ana.phone] = [ana, bruno]
        await brokerage.accept("ana", ana)
        await brokerage.accept("bruno", bruno, phone=ana.phone)
        await brokerage.work()
        await wide(brokerage, "neither", f"o telefone da casa: {ana.phone}")
        return brokerage

    async def test_is_not_followed(self, family: Brokerage, pool: Pool) -> None:
        await erase(pool, cpf=cpf_of(family.people[0]))

        outcomes = await family.outcomes()
        assert (outcomes["ana"], outcomes["bruno"]) == ("erased", "enriched")
        assert outcomes["neither"] == "received"

    async def test_is_followed_where_the_operator_names_it(
        self, family: Brokerage, pool: Pool
    ) -> None:
        ana = family.people[0]

        await erase(pool, cpf=cpf_of(ana), follow=[f"+55{ana.phone}"])

        assert set((await family.outcomes()).values()) == {"erased"}
        await assert_forgotten(family, ana)

    async def test_is_in_the_plan_with_the_leads_that_it_reaches(
        self, family: Brokerage, pool: Pool
    ) -> None:
        ana = family.people[0]

        plan = await plan_erasure(pool, cpf=cpf_of(ana))

        [home] = [one for one in plan.by_contact if one.contact == f"+55{ana.phone}"]
        assert not home.followed
        assert home.lead_ids == ("ana", "bruno", "neither")
        assert plan.lead_ids == ["ana"]
        assert (plan.counts["webhook_events"], plan.counts["people"]) == (1, 1)
        assert (await family.outcomes())["ana"] == "enriched"


class TestAfterARestore:
    async def test_who_was_erased_is_erased_again(self, brokerage: Brokerage, pool: Pool) -> None:
        ana, bruno = brokerage.people[:2]
        for name, person in (("ana", ana), ("bruno", bruno)):
            await brokerage.accept(name, person)
        await brokerage.work()
        receipt = await erase(pool, cpf=cpf_of(ana))
        kept = [KEYS.hashes("erased", subject)[0] for subject in receipt.subjects]
        await brokerage.db.execute("delete from erased_leads")
        await brokerage.db.execute("delete from webhook_events where lead_id = 'ana'")
        await brokerage.accept("ana", ana)
        await brokerage.work()

        again = await erase_again(pool, ROTATED, kept)

        assert len(again) == 2
        await assert_forgotten(brokerage, ana)
        assert (await brokerage.outcomes()) == {"ana": "erased", "bruno": "enriched"}
        assert ana.cpf not in str(kept)


class TestTheOperatorsRole:
    async def test_may_erase_suppress_and_export(self, brokerage: Brokerage) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("lead", ana)
        await brokerage.work()
        url = make_conninfo(brokerage.db.url, options="-c role=c2s_ops")
        ops = replace(brokerage.db, url=url)
        async with open_pool(ops.settings(), name="test") as pool:
            held = await export(pool, cpf_of(ana))
            await suppress(pool, KEYS, cpf_of(ana))
            assert await unsuppress(pool, KEYS, cpf_of(ana))
            await erase(pool, cpf=cpf_of(ana))

        assert held["person"]["cpf"] == ana.cpf
        await assert_forgotten(brokerage, ana)


class TestTheExport:
    async def test_holds_what_is_held_on_the_person_and_on_nobody_else(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana, bruno = brokerage.people[:2]
        await brokerage.accept("ana", ana)
        await brokerage.accept("both", ana, email=bruno.email)
        await brokerage.work()

        held = await export(pool, cpf_of(ana))

        text = json.dumps(held)
        assert [lead["lead_id"] for lead in held["leads"]] == ["ana", "both"]
        assert len(held["messages"]) == 1
        assert ana.email in text
        assert bruno.cpf not in text


class TestSuppressed:
    async def suppress(self, pool: Pool, brokerage: Brokerage, text: str) -> None:
        subject = read_subject(text)
        assert subject is not None
        await suppress(pool, brokerage.db.settings("poller").hash_keys, subject)

    @pytest.mark.parametrize("what", ["phone", "email"])
    async def test_by_a_contact_nothing_is_asked_and_nobody_told(
        self, brokerage: Brokerage, pool: Pool, what: str
    ) -> None:
        ana = brokerage.people[0]
        await self.suppress(pool, brokerage, getattr(ana, what))
        await brokerage.accept("lead", ana)

        # The list was made with the key of before a rotation.
        await brokerage.work(
            HASH_KEY="another-hash-key-of-at-least-32-characters",
            HASH_KEY_PREVIOUS="a-hash-key-of-at-least-32-characters",
        )

        assert await brokerage.outcomes() == {"lead": "ignored"}
        assert not [call for call in brokerage.world.calls if call.upstream != "c2s"]
        assert brokerage.messages("lead") == []
        cause = "select outcome_detail ->> 'cause' from webhook_events"
        assert await brokerage.db.value(cause) == "suppressed"

    async def test_by_the_cpf_the_record_is_not_asked_for(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana = brokerage.people[0]
        await self.suppress(pool, brokerage, cpf_of(ana).formatted)
        await brokerage.accept("lead", ana)

        await brokerage.work()

        assert await brokerage.outcomes() == {"lead": "ignored"}
        assert brokerage.world.asked("work_api", "record") == []
        assert brokerage.messages("lead") == []

    async def test_names_nobody_in_the_list_and_can_be_lifted(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana = brokerage.people[0]
        keys = brokerage.db.settings("poller").hash_keys
        await self.suppress(pool, brokerage, ana.cpf)
        [entry] = await suppressed(pool)
        assert ana.cpf not in str(entry)
        assert not await suppress(pool, keys, cpf_of(ana))

        assert await unsuppress(pool, keys, cpf_of(ana))
        await brokerage.accept("lead", ana)
        await brokerage.work()

        assert await brokerage.outcomes() == {"lead": "enriched"}
