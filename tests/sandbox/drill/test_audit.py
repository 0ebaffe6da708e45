"""The audit goes red for each kind of trouble, and for nothing else."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from c2s_enrich.sandbox.drill.audit import Findings, Records, Row, Told, audit

AT = datetime(2025, 6, 1, 10, tzinfo=UTC)
LATER = datetime(2025, 6, 1, 11, tzinfo=UTC)
# Ana is told, nobody knows Bia.
GOOD = Records(
    accepted=frozenset({("ana", AT), ("bia", AT)}),
    rows=(Row("ana", AT, "completed"), Row("bia", AT, "completed")),
    outbox=(Told("ana", "AAAA2222", "sent"),),
    received={"ana": ("Ana\n\nref AAAA2222",)},
    must_tell=frozenset({"ana"}),
)


def counts(findings: Findings) -> tuple[int, int, int, int]:
    return findings.lost, findings.messages_missing, findings.messages_duplicated, findings.stuck


class TestTheAudit:
    def test_is_clean_where_the_three_records_agree(self) -> None:
        found = audit(GOOD)

        assert found == Findings(2, 0, 1, 0, 0, 0, ())
        assert found.clean

    def test_takes_two_different_messages_on_a_lead_for_what_they_are(self) -> None:
        told = (*GOOD.outbox, Told("ana", "BBBB3333", "sent"))

        assert audit(
            replace(GOOD, outbox=told, received={"ana": ("ref AAAA2222", "ref BBBB3333")})
        ).clean

    def test_takes_no_offence_at_events_that_nobody_posted(self) -> None:
        assert audit(replace(GOOD, rows=(*GOOD.rows, Row("ana", LATER, "completed")))).clean

    def test_expects_no_message_for_what_was_never_accepted(self) -> None:
        nothing = replace(GOOD, accepted=frozenset(), rows=(), outbox=(), received={})

        assert audit(nothing) == Findings(0, 0, 0, 0, 0, 0, ())


class TestTheAuditGoesRed:
    @pytest.mark.parametrize(
        ("records", "expected"),
        [
            pytest.param(
                replace(GOOD, rows=GOOD.rows[:1]), (1, 0, 0, 0), id="for a 200 without a row"
            ),
            pytest.param(
                replace(GOOD, outbox=(), received={}),
                (0, 1, 0, 0),
                id="for a lead that nobody was told about",
            ),
            pytest.param(
                replace(GOOD, received={}),
                (0, 1, 0, 0),
                id="for a message that only the outbox believes in",
            ),
            pytest.param(
                replace(GOOD, outbox=(*GOOD.outbox, Told("bia", "CCCC4444", "sent"))),
                (0, 1, 0, 0),
                id="for a second one of that kind",
            ),
            pytest.param(
                replace(GOOD, received={"ana": GOOD.received["ana"] * 3}),
                (0, 0, 2, 0),
                id="for each copy of the same text beyond the first",
            ),
            pytest.param(
                replace(GOOD, received={"ana": ("one\n\nref AAAA2222", "two\n\nref AAAA2222")}),
                (0, 0, 1, 0),
                id="for one ref in two texts",
            ),
            pytest.param(
                replace(GOOD, received={**GOOD.received, "bia": ("ref DDDD5555",)}),
                (0, 0, 1, 0),
                id="for a message of which no row knows",
            ),
            *(
                pytest.param(
                    replace(GOOD, rows=(replace(GOOD.rows[0], status=status), GOOD.rows[1])),
                    (0, 0, 0, 1),
                    id=f"for one left {status}",
                )
                for status in ("received", "processing", "failed")
            ),
            pytest.param(
                replace(GOOD, rows=(*GOOD.rows, Row("ana", LATER, "received"))),
                (0, 0, 0, 1),
                id="for an open event that nobody posted",
            ),
            pytest.param(
                replace(GOOD, rows=(replace(GOOD.rows[0], completions=2), GOOD.rows[1])),
                (0, 0, 0, 1),
                id="for an event that ended twice",
            ),
            pytest.param(
                replace(GOOD, rows=(replace(GOOD.rows[0], completions=0), GOOD.rows[1])),
                (0, 0, 0, 1),
                id="for an end that history lacks",
            ),
            pytest.param(
                replace(GOOD, rows=(replace(GOOD.rows[0], unaccounted=2), GOOD.rows[1])),
                (0, 0, 0, 1),
                id="for a claim that history lacks",
            ),
            pytest.param(
                replace(GOOD, rows=(replace(GOOD.rows[0], bugs=1), GOOD.rows[1])),
                (0, 0, 0, 1),
                id="for an attempt that met a bug of ours",
            ),
            pytest.param(
                replace(GOOD, outbox=(*GOOD.outbox, Told("bia", "CCCC4444", "sending"))),
                (0, 0, 0, 1),
                id="for a message still unclear",
            ),
        ],
    )
    def test_once(self, records: Records, expected: tuple[int, int, int, int]) -> None:
        found = audit(records)

        assert counts(found) == expected
        assert len(found.problems) == sum(expected)
        assert not found.clean

    def test_and_names_no_text_of_a_message(self) -> None:
        found = audit(replace(GOOD, received={"ana": ("a name, a CPF\n\nref AAAA2222",) * 2}))

        assert "CPF" not in "".join(found.problems)
