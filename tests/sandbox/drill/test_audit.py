"""The audit goes red for each kind of trouble, and for nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from c2s_enrich.sandbox.drill.audit import Findings, OutboxRow, Records, Row, audit
from c2s_enrich.sandbox.drill.paid import Asked, Restore, Trouble
from c2s_enrich.sandbox.simulators.population import Person, populate
from c2s_enrich.sandbox.simulators.stream import Said

AT = datetime(2025, 6, 1, 10, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
PEOPLE = populate(1, 5)
ANA, BIA, CAIO = PEOPLE[:3]


def written(person: Person) -> str:
    cpf = person.cpf
    return (
        f"Nome: {person.name.upper()}\nCPF: {cpf[:3]}.{cpf[3:6]}.{cpf[6:9]}-{cpf[9:]}\n\n"
        f"📧 EMAILS\n1. {person.email}"
    )


def about(*people: Person, ref: str = "AAAA2222", update: bool = False) -> str:
    """A message as sellers read it: about one person known by both contacts, or about two."""
    opening = "📞📧 Mesma pessoa" if len(people) == 1 else "⚠️ Pessoas diferentes"
    news = " 🔄 atualização" if update else ""
    return "\n\n".join([opening + news, *map(written, people)]) + f"\n\nref {ref}"


# Ana's lead is told about her; nobody knows the other lead's phone.
GOOD = Records(
    said=(Said("ana", AT, "55" + ANA.phone, ANA.email), Said("nobody", AT, "68987654321", None)),
    accepted={("ana", AT): 1.0, ("nobody", AT): 1.0},
    rows=(Row("ana", AT, "completed"), Row("nobody", AT, "completed")),
    outbox=(OutboxRow("ana", "AAAA2222", "sent"),),
    received={"ana": (about(ANA),)},
    people=PEOPLE,
    asked=(
        Asked("diretrix phone", ANA.phone, 1.0, 1.1),
        Asked("diretrix email", ANA.email, 1.0, 1.1),
        Asked("work_api record", ANA.cpf, 2.0, 2.1),
        Asked("diretrix phone", "68987654321", 1.0, 1.1),
        Asked("work_api phone", "68987654321", 1.0, 1.1),
    ),
)
# What an event can be left with.
FLAWS: dict[str, dict[str, Any]] = {
    "for one left received": {"status": "received"},
    "for one left processing": {"status": "processing"},
    "for one that failed": {"status": "failed"},
    "for an event that ended twice": {"completions": 2},
    "for an end that history lacks": {"completions": 0},
    "for a claim that history lacks": {"unaccounted": 2},
    "for an attempt that met a bug of ours": {"bugs": 1},
}
# Then the lead's e-mail becomes Bia's.
CHANGED = replace(
    GOOD,
    said=(*GOOD.said, Said("ana", LATER, "55" + ANA.phone, BIA.email)),
    accepted={**GOOD.accepted, ("ana", LATER): 4.5},
    rows=(*GOOD.rows, Row("ana", LATER, "completed")),
    outbox=(*GOOD.outbox, OutboxRow("ana", "BBBB3333", "sent")),
    received={"ana": (about(ANA), about(ANA, BIA, ref="BBBB3333", update=True))},
    asked=(
        *GOOD.asked,
        Asked("diretrix email", BIA.email, 5.0, 5.1),
        Asked("work_api record", BIA.cpf, 6.0, 6.1),
    ),
)


def told(*texts: str) -> dict[str, tuple[str, ...]]:
    return {"ana": texts}


def counts(findings: Findings) -> dict[str, float]:
    """What is not zero and has to be."""
    harmless = ("accepted", "messages_expected", "asked_again")
    return {name: n for name, n in findings.counts.items() if n and name not in harmless}


class TestTheAudit:
    def test_is_clean_where_the_records_agree(self) -> None:
        found = audit(GOOD)

        assert found.clean
        assert (found.accepted, found.messages_expected) == (2, 1)

    def test_expects_the_change_of_a_contact_to_be_told(self) -> None:
        assert audit(CHANGED).clean

    def test_takes_the_return_to_an_earlier_contact_for_what_it_points_to(self) -> None:
        back = "🔄 Voltou a valer: e-mail\n\nref AAAA2222.\n\nref CCCC4444"
        later = LATER + timedelta(hours=1)
        returned = replace(
            CHANGED,
            said=(*CHANGED.said, Said("ana", later, "55" + ANA.phone, ANA.email)),
            accepted={**CHANGED.accepted, ("ana", later): 8.0},
            rows=(*CHANGED.rows, Row("ana", later, "completed")),
            outbox=(*CHANGED.outbox, OutboxRow("ana", "CCCC4444", "sent")),
            received=told(*CHANGED.received["ana"], back),
        )

        assert audit(returned).clean
        assert not audit(replace(returned, received=told(*returned.received["ana"], back))).clean

    def test_lets_a_newer_event_overtake_an_older_one(self) -> None:
        assert audit(
            replace(
                CHANGED, received=told(about(ANA, BIA, ref="BBBB3333")), outbox=CHANGED.outbox[1:]
            )
        ).clean

    def test_takes_no_offence_at_events_that_nobody_posted(self) -> None:
        assert audit(replace(GOOD, rows=(*GOOD.rows, Row("ana", LATER, "completed")))).clean

    def test_excuses_a_paid_question_that_trouble_has_cut_off(self) -> None:
        asked = (*GOOD.asked, Asked("work_api record", ANA.cpf, 9.0, 9.1))

        found = audit(replace(GOOD, asked=asked, troubles=(Trouble(2.0, 3.0, 1),)))

        assert found.clean
        assert found.asked_again == 1


# A restore forgot that Ana's e-mail had changed, and what was paid for and told since. Reconciling
# brought her lead back as it is now, one second after our own message.
RECONCILED = replace(
    CHANGED,
    rows=(*GOOD.rows, Row("ana", LATER + timedelta(seconds=1), "completed")),
    asked=(*CHANGED.asked, Asked("work_api record", BIA.cpf, 11.0, 11.1)),
    restores=(Restore(4.2, 10.0, frozenset({("ana", CHANGED.received["ana"][1])})),),
)


class TestTheAuditAfterARestore:
    def test_is_clean_where_reconciling_made_up_for_it(self) -> None:
        assert audit(RECONCILED).clean

    def test_needs_no_new_row_where_the_forgotten_event_said_nothing_new(self) -> None:
        said = (*GOOD.said, replace(GOOD.said[0], updated_at=LATER))

        assert audit(
            replace(
                RECONCILED,
                said=said,
                rows=GOOD.rows,
                outbox=GOOD.outbox,
                received=GOOD.received,
                asked=GOOD.asked,
            )
        ).clean

    def test_knows_a_forgotten_message_that_the_outbox_does_not(self) -> None:
        assert audit(replace(RECONCILED, outbox=GOOD.outbox)).clean
        assert audit(replace(RECONCILED, outbox=GOOD.outbox, restores=())).messages_wrong == 1

    @pytest.mark.parametrize(
        ("records", "expected"),
        [
            pytest.param(
                replace(RECONCILED, rows=GOOD.rows),
                {"lost": 1},
                id="for a change nobody made up for",
            ),
            pytest.param(
                replace(RECONCILED, accepted={**CHANGED.accepted, ("ana", LATER): 4.1}),
                {"lost": 1},
                id="for an event that was accepted before the copy",
            ),
            pytest.param(
                replace(RECONCILED, received=told(*CHANGED.received["ana"], about(ANA, BIA))),
                {"messages_duplicated": 1},
                id="for a message that is told again",
            ),
            pytest.param(
                replace(
                    RECONCILED, asked=(*RECONCILED.asked, Asked("work_api record", ANA.cpf, 12, 13))
                ),
                {"paid_twice": 1},
                id="for an answer from before the copy that is paid for again",
            ),
        ],
    )
    def test_goes_red(self, records: Records, expected: dict[str, int]) -> None:
        assert counts(audit(records)) == expected


class TestTheAuditGoesRed:
    @pytest.mark.parametrize(
        ("records", "expected"),
        [
            pytest.param(
                replace(GOOD, rows=GOOD.rows[:1]), {"lost": 1}, id="for a 200 without a row"
            ),
            pytest.param(
                replace(GOOD, accepted={("ana", AT): 1.0}),
                {"lost": 1},
                id="for a delivery that was never answered 200",
            ),
            pytest.param(
                replace(GOOD, outbox=(), received={}),
                {"messages_missing": 1},
                id="for a lead that nobody was told about",
            ),
            pytest.param(
                replace(GOOD, outbox=(*GOOD.outbox, OutboxRow("nobody", "CCCC4444", "sent"))),
                {"messages_missing": 1},
                id="for a message that only the outbox believes in",
            ),
            pytest.param(
                replace(CHANGED, received=GOOD.received, outbox=GOOD.outbox),
                {"messages_missing": 1},
                id="for a changed contact that was never told",
            ),
            pytest.param(
                replace(GOOD, received=told(*[about(ANA)] * 3)),
                {"messages_duplicated": 2},
                id="for each copy of the same text beyond the first",
            ),
            pytest.param(
                replace(
                    GOOD,
                    received=told(*[about(ANA, ref=f"AAAA{n:04}") for n in range(31)]),
                    outbox=tuple(OutboxRow("ana", f"AAAA{n:04}", "sent") for n in range(31)),
                ),
                {"messages_duplicated": 30},
                id="for the same content under a ref of its own each time",
            ),
            pytest.param(
                replace(GOOD, received=told(about(ANA), about(ANA, update=True))),
                {"messages_duplicated": 1},
                id="for the same content called an update",
            ),
            pytest.param(
                replace(GOOD, received=told(about(CAIO))),
                {"messages_missing": 1, "messages_wrong": 1},
                id="for a message about somebody else",
            ),
            pytest.param(
                replace(GOOD, received=told(about(ANA).replace(ANA.email, CAIO.email))),
                {"messages_missing": 1, "messages_wrong": 1},
                id="for somebody else's record under the right name",
            ),
            pytest.param(
                replace(GOOD, received=told(about(ANA).replace("📞📧", "⚠️"))),
                {"messages_missing": 1, "messages_wrong": 1},
                id="for one person called two",
            ),
            pytest.param(
                replace(
                    CHANGED, received=told(*reversed([about(ANA), about(ANA, BIA, ref="BBBB3333")]))
                ),
                {"messages_wrong": 1},
                id="for old news after new ones",
            ),
            pytest.param(
                replace(GOOD, received=told(about(ANA, update=True))),
                {"messages_wrong": 1},
                id="for an update of nothing",
            ),
            pytest.param(
                replace(GOOD, received={**GOOD.received, "nobody": (about(CAIO),)}),
                {"messages_wrong": 1},
                id="for a message to a lead whom nobody knows",
            ),
            pytest.param(
                replace(GOOD, outbox=()),
                {"messages_wrong": 1},
                id="for a message that no row knows",
            ),
            *(
                pytest.param(
                    replace(GOOD, rows=(replace(GOOD.rows[0], **flaw), GOOD.rows[1])),
                    {"stuck": 1},
                    id=name,
                )
                for name, flaw in FLAWS.items()
            ),
            pytest.param(
                replace(GOOD, rows=(*GOOD.rows, Row("ana", LATER, "received"))),
                {"stuck": 1},
                id="for an open event that nobody posted",
            ),
            pytest.param(
                replace(GOOD, outbox=(*GOOD.outbox, OutboxRow("nobody", "CCCC4444", "sending"))),
                {"stuck": 1},
                id="for a message still unclear",
            ),
            pytest.param(
                replace(GOOD, asked=(*GOOD.asked, Asked("work_api record", ANA.cpf, 9.0, 9.1))),
                {"paid_twice": 1},
                id="for an answer that was paid for again",
            ),
            pytest.param(
                replace(GOOD, asked=(*GOOD.asked, Asked("work_api record", CAIO.cpf, 9.0, 9.1))),
                {"paid_twice": 1},
                id="for a record that nothing leads to",
            ),
            pytest.param(
                replace(
                    GOOD,
                    asked=(*GOOD.asked, Asked("work_api record", ANA.cpf, 9.0, 9.1)),
                    troubles=(Trouble(5.0, 6.0, 9),),
                ),
                {"paid_twice": 1},
                id="for an answer that was stored long before the trouble",
            ),
            pytest.param(
                replace(
                    GOOD,
                    asked=(
                        *GOOD.asked,
                        Asked("work_api record", ANA.cpf, 9.0, 9.1),
                        Asked("diretrix phone", ANA.phone, 9.0, 9.1),
                    ),
                    troubles=(Trouble(1.0, 3.0, 1),),
                ),
                {"paid_twice": 1},
                id="for more than the trouble can have cut off",
            ),
        ],
    )
    def test_once(self, records: Records, expected: dict[str, int]) -> None:
        found = audit(records)

        assert counts(found) == expected
        assert len(found.problems) == sum(expected.values())

    def test_and_names_nothing_of_a_message(self) -> None:
        found = audit(replace(GOOD, received=told(about(ANA), about(ANA))))

        assert ANA.email not in "".join(found.problems)
