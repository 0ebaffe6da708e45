"""Bytes become events: every envelope that was seen, every spelling of an id and a time; and what
is not an event is told why.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cast import ANA, DAVI_PAYLOAD, lead_json

from c2s_enrich.intake.payload import (
    SENTENCES,
    ParsedDelivery,
    ParsedEvent,
    read_delivery,
)
from c2s_enrich.people.c2s_lead import LeadFacts, is_closing

ID = "0123456789abcdef0123456789abcdef"
AT = "2025-06-01T10:00:00.000-03:00"
AT_UTC = datetime(2025, 6, 1, 13, 0, tzinfo=UTC)
TIME = b'"updated_at":"2025-06-01T13:00:00Z"'
GOOD = b'{"id":1,' + TIME + b"}"


def read(body: object, action: str | None = None, most_events: int = 1000) -> ParsedDelivery:
    return read_delivery(
        body if isinstance(body, bytes) else json.dumps(body).encode(), action, most_events
    )


def event(body: object, action: str | None = None) -> ParsedEvent:
    delivery = read(body, action)
    assert not delivery.rejections
    [only] = delivery.events
    return only


def reasons(body: object, most_events: int = 1000) -> list[tuple[int | None, str]]:
    return [
        (rejection.index, rejection.reason)
        for rejection in read(body, most_events=most_events).rejections
    ]


def lead(**more: Any) -> dict[str, Any]:
    return {"id": ID, "updated_at": AT, **more}


class TestTheEnvelope:
    inner = lead_json(ANA)["data"] | {
        "attributes": lead_json(ANA)["data"]["attributes"] | {"updated_at": AT}
    }

    @pytest.mark.parametrize(
        "envelope",
        [
            inner,
            inner | {"hook_action": "on_create_lead"},
            {"data": inner},
            {"lead": inner},
            {"lead": {"data": inner}},
            [inner],
            {"data": [inner]},
            [{"data": inner}],
            [{"lead": inner}],
            {
                "hook_action": "on_create_lead",
                "timestamp": "x",
                "data": {"id": ID, **inner["attributes"]},
            },
            {"hook_action": "on_update_lead", "id": "the envelope's own id", "data": inner},
            {"lead_id": ID, "updated_at": AT},
            {"attributes": {"id": ID, "updated_at": AT}},
            {"attributes": {"lead_id": ID}, "updated_at": AT},
        ],
    )
    def test_does_not_matter(self, envelope: object) -> None:
        found = event(envelope)

        assert (found.lead_id, found.updated_at) == (ID, AT_UTC)

    @pytest.mark.parametrize(
        "stray",
        [
            *({"data": {}}, {"data": []}, {"data": [1, {"x": 2}]}, {"data": "x"}, {"lead": {}}),
            *(
                {"lead": {"source": "site"}},
                {"data": {"id": 5}},
                {"lead": {"id": "x", "name": "Y"}},
            ),
            {"data": {}, "lead": {"data": {}}},
            {"data": {"lead": {"id": 1}}},
        ],
    )
    def test_with_a_stray_object_next_to_a_whole_lead_is_the_lead(self, stray: Any) -> None:
        for body in (self.inner | stray, [self.inner | stray], {"lead": self.inner | stray}):
            assert event(body).lead_id == ID

    def test_may_have_a_stray_object_in_front_of_the_lead(self) -> None:
        assert event({"data": {}, "lead": self.inner}).lead_id == ID

    def test_whose_innermost_lead_has_no_readable_id_is_not_taken_for_its_envelope(self) -> None:
        body = lead(data={"id": True, "attributes": {"name": "x"}})

        assert reasons(body) == [(None, "id_unreadable")]

    def test_may_begin_with_a_byte_order_mark(self) -> None:
        body = json.dumps(self.inner).encode()

        assert event(b"\xef\xbb\xbf" + body).payload == body

    def test_of_nulls_around_the_parts_does_not_matter(self) -> None:
        nulls = {
            "attributes": None,
            "lead": None,
            "archive_details": None,
            "done_details": None,
            "created_at": None,
            "hook_action": None,
        }

        assert event(lead(**nulls)).lead_id == ID

    def test_may_be_nested_only_so_deep(self) -> None:
        deep: dict[str, Any] = lead()
        for _ in range(5):
            deep = {"data": deep}

        assert reasons(deep) == [(None, "id_missing")]

    def test_of_an_odd_lead_is_read_as_well(self) -> None:
        body = json.dumps(DAVI_PAYLOAD).encode()

        delivery = read(body)

        assert delivery.received == 1


class TestThePayload:
    def test_is_the_very_bytes_that_arrived(self) -> None:
        body = b' {"id" : 1.0,\t"x": 1.10, "x": 2e0, "name":"\\u0041\xc3\xa7", ' + TIME + b" }\n"

        assert event(body).payload == body

    def test_of_an_element_is_its_bytes_within_the_array(self) -> None:
        first, second = b'{"id":1,  "z":1.50,' + TIME + b"}", b'{"id":2,"a":"\\/",' + TIME + b"}"

        delivery = read(b"[ " + first + b" ,\n" + second + b" ]")

        assert [found.payload for found in delivery.events] == [first, second]
        assert [found.index for found in delivery.events] == [0, 1]

    def test_keeps_fields_that_nobody_knows(self) -> None:
        body = json.dumps(lead(novidade={"a": [1, None, {"b": "ç"}]})).encode()

        assert event(body).payload == body


class TestTheId:
    @pytest.mark.parametrize(
        ("given", "read_as"),
        [
            (ID, ID),
            (f" {ID} ", ID),
            (42, "42"),
            (0, "0"),
            (-7, "-7"),
            (7.0, "7"),
            (10**29, str(10**29)),
            ("café", "café"),
            ("42", "42"),
        ],
    )
    def test_is_text_or_a_whole_number(self, given: object, read_as: str) -> None:
        assert event({"id": given, "updated_at": AT}).lead_id == read_as

    @pytest.mark.parametrize("given", [1.5, True, False, [], {}, [1], " ", 10**30])
    def test_is_unreadable_as_anything_else(self, given: object) -> None:
        assert reasons({"id": given, "updated_at": AT}) == [(None, "id_unreadable")]

    @pytest.mark.parametrize("given", [b"1e999999", b"9" * 5000])
    def test_is_unreadable_as_a_number_of_another_form(self, given: bytes) -> None:
        assert reasons(b'{"id":' + given + b"," + TIME + b"}") == [(None, "id_unreadable")]

    @pytest.mark.parametrize(
        "body",
        [{}, {"updated_at": AT}, {"id": None, "updated_at": AT}, {"id": "", "updated_at": AT}],
    )
    def test_may_be_missing(self, body: object) -> None:
        assert reasons(body) == [(None, "id_missing")]

    def test_is_found_elsewhere_where_the_first_place_is_unreadable(self) -> None:
        assert event({"id": [], "lead_id": 7, "updated_at": AT}).lead_id == "7"

    def test_has_a_longest_length(self) -> None:
        assert event({"id": "ç" * 200, "updated_at": AT}).lead_id == "ç" * 200
        assert reasons({"id": "ç" * 201, "updated_at": AT}) == [(None, "id_too_long")]

    def test_of_a_key_given_twice_is_the_last_as_in_the_database(self) -> None:
        assert event(b'{"id":1,"id":2,' + TIME + b"}").lead_id == "2"


class TestTheTime:
    @pytest.mark.parametrize(
        ("given", "read_as"),
        [
            ("2025-06-01T13:00:00Z", AT_UTC),
            ("2025-06-01T13:00:00z", AT_UTC),
            ("2025-06-01T10:00:00-03:00", AT_UTC),
            ("2025-06-01T10:00:00-0300", AT_UTC),
            ("2025-06-01T15:30:00+02:30", AT_UTC),
            ("2025-06-01 10:00:00", AT_UTC),
            ("2025-06-01T10:00", AT_UTC),
            ("2025-06-01T10:00:00.25", AT_UTC.replace(microsecond=250_000)),
            ("2025-06-01T13:00:00.123456789Z", AT_UTC.replace(microsecond=123_456)),
            ("2025-06-01 13:00:00 UTC", AT_UTC),
            ("2025-06-01 10:00:00 -0300", AT_UTC),
            ("2025-06-01 10:00:00.000 -03", AT_UTC),
            ("2025-06-01 10:00:00 BRT", AT_UTC),
            ("Sun, 01 Jun 2025 13:00:00 GMT", AT_UTC),
            ("Sun, 1 Jun 2025 10:00:00 -0300", AT_UTC),
            ("Sun, 01 Jun 2025 10:00:00.000000000 -03 -03:00", AT_UTC),
            ("Sun, 01 Jun 2025 13:00:00 UTC +00:00", AT_UTC),
            ("01/06/2025 10:00", AT_UTC),
            ("01/06/2025 10:00:00", AT_UTC),
            (1748782800, AT_UTC),
            (1748782800.5, AT_UTC.replace(microsecond=500_000)),
            (1748782800250, AT_UTC.replace(microsecond=250_000)),
            ("1748782800", AT_UTC),
            # São Paulo had summer time then: two hours behind, not three.
            ("2018-12-01T10:00:00", datetime(2018, 12, 1, 12, 0, tzinfo=UTC)),
        ],
    )
    def test_is_read_in_every_spelling_and_without_offset_as_sao_paulos(
        self, given: object, read_as: datetime
    ) -> None:
        assert event({"id": 1, "updated_at": given}).updated_at == read_as
        assert event({"id": 1, "attributes": {"updated_at": given}}).updated_at == read_as

    @pytest.mark.parametrize(
        "given",
        [
            *(
                "ontem",
                "2025-06-01 10:00:00 XYZ",
                "Sun, 01 Foo 2025 13:00:00 GMT",
                "31/02/2025 10:00:00",
                "2025-06-01T10:00:00" + " " * 60 + "Z",
                "2025-06-01",
                "2025-13-01T10:00:00Z",
                "2025-06-01T25:00:00Z",
                "9999-12-31T00:00:00Z",
                "0001-01-01T00:00:00+14:00",
            ),
            *(
                "2025-06-01T10:00:00+25:00",
                7,
                -1,
                10**20,
                10**62,
                True,
                [],
                {},
                [AT],
                "1" * 5000,
                " ",
            ),
        ],
    )
    def test_is_unreadable_as_anything_else(self, given: object) -> None:
        assert reasons({"id": 1, "updated_at": given}) == [(None, "updated_at_unreadable")]

    @pytest.mark.parametrize("given", [b"1e400", b"1e200000", b"-1e999", b"9" * 60])
    def test_is_unreadable_as_a_number_beyond_all_numbers(self, given: bytes) -> None:
        assert reasons(b'{"id":1,"updated_at":' + given + b"}") == [(None, "updated_at_unreadable")]

    @pytest.mark.parametrize("given", [{}, {"updated_at": None}, {"updated_at": ""}])
    def test_may_be_missing(self, given: dict[str, Any]) -> None:
        rejected = read({"id": 1, **given}).rejections

        assert [(part.reason, part.lead_id) for part in rejected] == [("updated_at_missing", "1")]

    def test_within_attributes_wins(self) -> None:
        assert (
            event(
                {"id": 1, "updated_at": "2020-01-01T00:00:00Z", "attributes": {"updated_at": AT}}
            ).updated_at
            == AT_UTC
        )


class TestTheHookAction:
    @pytest.mark.parametrize(
        "name",
        ["on_create_lead", "on_update_lead", "on_close_lead", "lead.created", "lead.updated"],
    )
    def test_is_kept_in_either_vocabulary(self, name: str) -> None:
        assert event(lead(hook_action=name)).hook_action == name
        assert event({"hook_action": name, "data": lead()}).hook_action == name
        assert event({"hook_action": name, "data": [lead()]}).hook_action == name

    def test_that_the_payload_names_wins_over_the_requests(self) -> None:
        assert (
            event(lead(hook_action="on_update_lead"), "on_create_lead").hook_action
            == "on_update_lead"
        )
        assert event(lead(), "lead.updated").hook_action == "lead.updated"

    def test_of_an_element_wins_over_the_batchs(self) -> None:
        delivery = read(
            {"hook_action": "on_update_lead", "data": [lead(hook_action="on_close_lead"), lead()]}
        )

        assert [found.hook_action for found in delivery.events] == [
            "on_close_lead",
            "on_update_lead",
        ]

    @pytest.mark.parametrize(
        ("more", "derived"),
        [
            ({}, "on_update_lead"),
            ({"created_at": AT}, "on_create_lead"),
            ({"created_at": "2025-05-01T10:00:00-03:00"}, "on_update_lead"),
            ({"archive_details": {"archived": True}}, "on_close_lead"),
            ({"attributes": {"done_details": {"done": True}}}, "on_close_lead"),
            (
                {"archive_details": {"archived": False}, "done_details": {"done": None}},
                "on_update_lead",
            ),
            ({"archive_details": [True], "done_details": "x", "created_at": {}}, "on_update_lead"),
            ({"hook_action": 7}, "on_update_lead"),
            ({"hook_action": " "}, "on_update_lead"),
        ],
    )
    def test_is_derived_where_nobody_names_it(self, more: dict[str, Any], derived: str) -> None:
        assert event(lead(**more)).hook_action == derived

    @pytest.mark.parametrize(
        "field",
        [
            b'"created_at":1e999',
            b'"archive_details":{"archived":1e999}',
            b'"done_details":{"done":1e999}',
        ],
    )
    def test_is_derived_next_to_numbers_beyond_all_numbers(self, field: bytes) -> None:
        assert event(b'{"id":1,' + field + b"," + TIME + b"}").hook_action == "on_update_lead"

    def test_has_a_longest_length(self) -> None:
        assert reasons(lead(hook_action="x" * 101)) == [(None, "hook_action_too_long")]

    def test_of_a_batch_may_hold_no_nul(self) -> None:
        assert reasons(b'{"hook_action":"a\\u0000","data":[' + GOOD + b"]}") == [
            (0, "nul_character")
        ]


class TestABatch:
    def test_gives_each_bad_element_its_index_and_keeps_the_good_ones(self) -> None:
        delivery = read([lead(id=1), 7, lead(id=2), {}, None, lead(id=3)])

        assert [(found.index, found.lead_id) for found in delivery.events] == [
            (0, "1"),
            (2, "2"),
            (5, "3"),
        ]
        assert [(r.index, r.reason, r.raw) for r in delivery.rejections] == [
            (1, "not_an_object", b"7"),
            (3, "id_missing", b"{}"),
            (4, "not_an_object", b"null"),
        ]

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (b'{"id":1,"x":NaN,' + TIME + b"}", "not_json"),
            (b'{"id":1,"x":"\\ud800",' + TIME + b"}", "lone_surrogate"),
            (b'{"id":1,"x":"\\u0000",' + TIME + b"}", "nul_character"),
            (b'{"id":1,,}', "not_json"),
            (b"", "not_json"),
            (b"[" * 2000 + b"]" * 2000, "too_deep"),
        ],
    )
    @pytest.mark.parametrize("frame", [(b"[", b"]"), (b'{"data": [', b'], "x": 1}')])
    def test_is_not_taken_down_by_one_unreadable_element(
        self, bad: bytes, reason: str, frame: tuple[bytes, bytes]
    ) -> None:
        body = frame[0] + GOOD + b"," + bad + b"," + GOOD + frame[1]

        delivery = read(body)

        assert [found.index for found in delivery.events] == [0, 2]
        assert [(r.index, r.reason, r.raw) for r in delivery.rejections] == [(1, reason, bad)]

    def test_has_a_largest_number_of_events(self) -> None:
        assert len(read(b"[" + b",".join([GOOD] * 3) + b"]", most_events=3).events) == 3
        assert reasons(b"[" + b",".join([GOOD] * 4) + b"]", 3) == [(None, "too_many_events")]

    def test_that_is_empty_is_refused(self) -> None:
        assert reasons(b"[]") == reasons(b'{"data": []}') == [(None, "empty_array")]


class TestABodyThatIsNoEvent:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", "empty_body"),
            (b" \r\n\t", "empty_body"),
            (b"null", "not_an_object"),
            (b"7", "not_an_object"),
            (b'"x"', "not_an_object"),
            (b"{", "not_json"),
            (GOOD + b"x", "not_json"),
            (GOOD + GOOD, "not_json"),
            (b"\xef\xbb\xbf", "empty_body"),
            (GOOD.decode().encode("utf-16"), "not_utf8"),
            (b'{"id":"Jo\xe3o",' + TIME + b"}", "not_utf8"),
            (b"[" * 100_000, "too_deep"),
            (b'{"a":' * 300 + b"1" + b"}" * 300, "too_deep"),
            (b'{"id":1,"x":"a\x00",' + TIME + b"}", "not_json"),
            (b'{"id":1,"x":"\\u0000",' + TIME + b"}", "nul_character"),
            (b'{"id":1,"\\u0000":1,' + TIME + b"}", "nul_character"),
            (b'{"id":"\\udc00\\ud800",' + TIME + b"}", "lone_surrogate"),
            (b"id=1&updated_at=2", "not_json"),
        ],
    )
    def test_is_told_why_and_kept_whole(self, body: bytes, reason: str) -> None:
        [rejection] = read(body).rejections

        assert (rejection.index, rejection.reason, rejection.raw) == (None, reason, body)
        assert rejection.reason in SENTENCES

    @pytest.mark.parametrize(
        ("body", "lead_id"),
        [
            (b'{"id":7,"x":"\\u0000",' + TIME + b"}", "7"),
            (b'{"id":7,"x":"\\ud800",' + TIME + b"}", "7"),
            (b'{"id":7,"x":' + b"[" * 300 + b"]" * 300 + b"," + TIME + b"}", "7"),
            (b'{"data":{"attributes":{"id":"in \\ud83d\\ude00","x":"\\ude00"}}}', "in \U0001f600"),
            (b'{"id":"\\u0000","x":1,' + TIME + b"}", None),
            (b'{"id":"' + b"x" * 201 + b'","x":"\\u0000",' + TIME + b"}", None),
            (b'{"id":"7\\ud800",' + TIME + b"}", None),
            (b'{"x":"\\u0000",' + TIME + b"}", None),
            (b'{"id":7,"x":"\\ud800",' + TIME, None),
        ],
    )
    def test_names_its_lead_where_that_can_be_read(self, body: bytes, lead_id: str | None) -> None:
        [rejection] = read(body).rejections

        assert (rejection.raw, rejection.lead_id) == (body, lead_id)

    @pytest.mark.parametrize(
        "text",
        [
            b"\\\\u0000",
            b"\\\\\\\\u0000",
            b"\\ud83d\\ude00",
            b"\\\\ud800",
            b"\xf0\x9f\x98\x80",
            b"\x7f",
        ],
    )
    def test_is_not_one_that_only_looks_like_it(self, text: bytes) -> None:
        assert event(b'{"id":1,"x":"' + text + b'",' + TIME + b"}").lead_id == "1"

    def test_may_hold_brackets_in_its_texts(self) -> None:
        assert event(b'{"id":1,"x":"' + b"[{" * 500 + b'",' + TIME + b"}").lead_id == "1"

    @pytest.mark.parametrize(
        "body",
        [
            # Each of these once took, or could take, time with the square of its length: this test
            # would not end.
            b'{"data":["' + b'\\"' * 500_000,
            b'["' + b'\\"' * 500_000,
            b'{"data":[' + b'"' * 1_000_000,
            b"[" + b"\\" * 1_000_000,
            b'["' + b"\\" * 1_000_001,
            b'{"id":1,"x":"' + b"\\\\" * 400_000 + b'\\u0000"',
            b'{"data":' * 120_000,
            b"[" + b'"data":[' * 120_000,
        ],
        ids=[
            "escaped quotes",
            "escaped quotes in an array",
            "quotes",
            "backslashes",
            "a text of backslashes",
            "a NUL",
            "data",
            "data [",
        ],
    )
    def test_costs_time_in_proportion_to_its_length(self, body: bytes) -> None:
        assert read(body).received == 1


NAMES = st.sampled_from(
    [
        *("id", "lead_id", "data", "lead", "attributes", "updated_at", "customer", "name"),
        *("archive_details", "archived", "done_details", "done", "hook_action"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([AT, "x", "", " ", "sim", "1", "on_close_lead", "lead.closed", 1748782800]),
    lambda inner: (
        st.dictionaries(NAMES, inner, max_size=5) | st.lists(inner, min_size=1, max_size=2)
    ),
    max_leaves=25,
)


class TestBothReaders:
    """Intake and the pipeline read one body."""

    @given(st.dictionaries(NAMES, VALUES).map(lambda body: lead() | body))
    def test_agree_on_whose_event_it_is_when_it_happened_and_whether_the_lead_is_closed(
        self, body: Any
    ) -> None:
        for found in read(body).events:
            facts = LeadFacts.from_json(json.loads(found.payload))

            assert facts is not None
            assert (facts.lead_id, facts.updated_at) == (found.lead_id, found.updated_at)
            if "hook_action" not in json.dumps(body):
                assert facts.closed == is_closing(found.hook_action)

    @given(st.dictionaries(NAMES, VALUES))
    def test_agree_that_nobodys_lead_is_in_it(self, body: Any) -> None:
        for rejection in read(body).rejections:
            if rejection.reason in ("id_missing", "id_unreadable"):
                assert LeadFacts.from_json(json.loads(rejection.raw)) is None
