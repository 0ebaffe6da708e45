"""No record, however odd, makes the message or its storage raise: the answer is a well-formed
message or a named refusal.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cast import ANA, KEYS, TODAY, record_json

from c2s_enrich.enrichment.match import FoundPerson, Match
from c2s_enrich.enrichment.message import READABLE_LIMIT, compose_message
from c2s_enrich.errors import Unauthorised, Unreadable
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import read_contacts
from c2s_enrich.people.cpf import Candidate
from c2s_enrich.people.profile import Profile
from c2s_enrich.upstreams.work_record import read_record

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=40)
    | st.sampled_from(
        [
            "SEM INFORMAÇÃO",
            "31/02/1990",
            "31/12/9999",
            "1.234,56",
            "R$ 1 a R$ 2",
            "\x00",
            "\ud800",
            "\u202e",
            "x" * 20_000,
        ]
    )
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
)


def places(part: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a document, from its sections down to single values."""
    steps = (
        part.items()
        if isinstance(part, dict)
        else enumerate(part)
        if isinstance(part, list)
        else ()
    )
    for step, inner in steps:
        yield (*path, step)
        yield from places(inner, (*path, step))


PLACES = sorted(places(record_json(ANA)), key=str)
replacements = st.lists(st.tuples(st.sampled_from(PLACES), anything), min_size=1, max_size=12)


def spoiled(changes: list[tuple[tuple[str | int, ...], Any]]) -> Any:
    """Ana's record with values replaced; a place that an earlier replacement took away is passed
    over.
    """
    record = record_json(ANA)
    for path, value in changes:
        part: Any = record
        try:
            for step in path[:-1]:
                part = part[step]
            part[path[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue
    return record


def judge(body: Any) -> None:
    """The property itself."""
    try:
        answer = read_record(body, ANA.cpf)
    except (Unauthorised, Unreadable):
        return
    if answer is None:
        return

    lead = LeadFacts("lead", name="Ana", phone=ANA.phone, email=ANA.email)
    found = Match((FoundPerson(Candidate(ANA.cpf, answer.name), "phone"),))
    message = compose_message(
        found, {ANA.cpf: answer}, lead, read_contacts(lead), KEYS, today=TODAY
    )

    assert len(message.body) <= READABLE_LIMIT
    assert message.body.splitlines()[-1] == f"ref {message.ref}"
    assert all(word not in message.body for word in ("None", "SEM INFORMAÇÃO", "\x00", "\u202e"))
    # What jsonb and text would refuse is gone, and what is remembered is what was read.
    stored = msgspec.json.encode(answer)
    assert b"\\u0000" not in stored
    assert msgspec.json.decode(stored, type=Profile) == answer


class TestAnyRecord:
    @settings(max_examples=120, deadline=None)
    @given(replacements)
    def test_with_values_replaced_is_a_message_or_a_named_refusal(
        self, changes: list[tuple[tuple[str | int, ...], Any]]
    ) -> None:
        judge(spoiled(changes))

    @settings(max_examples=100, deadline=None)
    @given(anything)
    def test_that_is_not_a_record_at_all_is_a_named_refusal(self, body: Any) -> None:
        judge(body)
