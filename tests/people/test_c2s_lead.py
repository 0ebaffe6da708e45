"""A lead is read out of any envelope that was seen, and what is absent stays absent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cast import ANA, DAVI_PAYLOAD, lead_json

from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.c2s_time import parse_time

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
ID = "0123456789abcdef0123456789abcdef"


def read(data: object) -> LeadFacts:
    facts = LeadFacts.from_json(data)
    assert facts is not None
    return facts


def flat(**customer: Any) -> dict[str, Any]:
    return {"id": ID, "attributes": {"customer": customer}}


class TestTheEnvelope:
    inner = lead_json(ANA)["data"]

    @pytest.mark.parametrize(
        "envelope",
        [
            inner,
            {**inner, "hook_action": "on_create_lead"},
            {"data": inner},
            {"lead": inner, "hook_action": "on_update_lead"},
            [inner],
            {"data": [inner]},
            [{"data": inner}],
            {
                "hook_action": "on_create_lead",
                "timestamp": "x",
                "data": {"id": ID, **inner["attributes"]},
            },
            {"id": "the envelope's own id", "data": inner},
        ],
    )
    def test_does_not_matter(self, envelope: object) -> None:
        facts = read(envelope)

        assert (facts.lead_id, facts.name, facts.email) == (
            ID,
            "Ana Clara De Souza Lima",
            ANA.email,
        )
        assert facts.phone == f"55{ANA.phone} / +55{ANA.phone}"
        assert not facts.closed

    @pytest.mark.parametrize(
        "data",
        [
            None,
            [],
            {},
            "text",
            7,
            [{}],
            {"data": None},
            {"data": {"attributes": {}}},
            {"id": None},
            {"id": True},
            {"id": " "},
        ],
    )
    def test_without_a_lead_in_it_gives_none(self, data: object) -> None:
        assert LeadFacts.from_json(data) is None

    def test_with_several_leads_gives_none_because_picking_one_would_lose_the_others(self) -> None:
        assert LeadFacts.from_json([self.inner, self.inner]) is None

    def test_may_hold_the_id_as_a_number(self) -> None:
        assert read({"data": {"id": 90210, "attributes": {}}}).lead_id == "90210"


class TestTheCustomer:
    @pytest.mark.parametrize("customer", [None, {}, [], "Ana", 5])
    def test_may_be_missing_null_or_of_another_type(self, customer: object) -> None:
        facts = read({"id": ID, "attributes": {"customer": customer}})

        assert (facts.name, facts.phone, facts.email, facts.has_contact) == (
            None,
            None,
            None,
            False,
        )

    def test_may_lack_any_field_without_the_lead_being_lost(self) -> None:
        assert read(flat(name="Ana", email=None)).name == "Ana"
        assert read(flat(phone="11987650001")).has_contact

    @pytest.mark.parametrize(
        ("phone", "read_as"),
        [
            (5511987650001, "5511987650001"),
            (5511987650001.0, "5511987650001"),
            ("", None),
            ("  ", None),
            (True, None),
            ([], None),
        ],
    )
    def test_may_have_its_phone_as_a_number_or_empty(
        self, phone: object, read_as: str | None
    ) -> None:
        assert read(flat(phone=phone)).phone == read_as

    def test_may_have_its_only_phone_in_phone_global_or_phone2(self) -> None:
        assert read(flat(phone=None, phone_global="+5511987650001")).phone == "+5511987650001"
        assert read(flat(phone2="11987650001")).phone == "11987650001"

    def test_has_all_its_phones_read(self) -> None:
        assert (
            read(flat(phone="11987650001", phone2="1133650001", phone_global="11987650001")).phone
            == "11987650001 / 1133650001"
        )

    def test_may_stand_next_to_the_attributes_or_be_spread_over_the_lead(self) -> None:
        assert read({"id": ID, "customer": {"name": "Ana"}}).name == "Ana"
        assert read({"id": ID, "name": "Ana", "phone": 11987650001}).phone == "11987650001"

    def test_loses_what_postgres_cannot_store_and_what_no_field_needs(self) -> None:
        facts = read(flat(name="A\x00n\ud800a", email="x" * 10_000))

        assert facts.name == "Ana"
        assert len(facts.email or "") == 500


class TestAbsentIsUnchanged:
    earlier = LeadFacts(
        ID, name="Ana", phone="11987650001", email="ana@example.com", closed=True, messages=("old",)
    )

    def test_a_partial_payload_keeps_what_it_does_not_name(self) -> None:
        # An update with only a name and a price once wiped phone and e-mail.
        now = read(
            {"id": ID, "attributes": {"customer": {"name": "Ana Lima"}, "product": {"price": "1"}}}
        ).filled_from(self.earlier)

        assert (now.name, now.phone, now.email) == ("Ana Lima", "11987650001", "ana@example.com")

    def test_null_and_empty_clear_nothing(self) -> None:
        now = read(flat(name=None, phone="", email=None)).filled_from(self.earlier)

        assert (now.name, now.phone, now.email) == ("Ana", "11987650001", "ana@example.com")

    def test_being_closed_and_messages_are_of_the_moment(self) -> None:
        now = read(flat(name="Ana")).filled_from(self.earlier)

        assert not now.closed
        assert now.messages == ()


class TestClosed:
    @pytest.mark.parametrize(
        "details",
        [
            {"archive_details": {"archived": True}},
            {"done_details": {"done": True}},
            {"archive_details": {"archived": "true"}},
            {"done_details": {"done": 1}},
        ],
    )
    def test_is_archived_or_done(self, details: dict[str, Any]) -> None:
        assert read({"id": ID, "attributes": details}).closed

    @pytest.mark.parametrize(
        "details",
        [
            {},
            {"archive_details": None},
            {"done_details": {"done": "false"}},
            {"archive_details": [], "done_details": {"done": 0}},
        ],
    )
    def test_is_nothing_else(self, details: dict[str, Any]) -> None:
        assert not read({"id": ID, "attributes": details}).closed


class TestMessages:
    def test_are_found_outside_and_inside_the_attributes_under_every_name(self) -> None:
        lead = {
            "id": ID,
            "messages": [
                {"body": "one"},
                {"external_id": "7F3K29QD"},
                {"id": 1, "attributes": {"body": "nested"}},
            ],
            "attributes": {"messages": [{"message": "two"}, "three", None, 4, {"body": None}]},
        }

        assert read(lead).messages == ("one", "7F3K29QD", "nested", "two", "three")


class TestDavisOddPayload:
    def test_is_read_all_the_same(self) -> None:
        facts = read(DAVI_PAYLOAD)

        assert (facts.lead_id, facts.name, facts.phone, facts.email) == (
            "90210",
            "Davi Nunes",
            None,
            "DAVI.BARBOSA@EXAMPLE.COM",
        )
        assert facts.messages == ("oi", "texto solto")
        assert facts.updated_at == datetime(2026, 3, 9, 13, 5, tzinfo=UTC)


class TestPrivacy:
    def test_a_repr_shows_the_id_and_nothing_of_the_person(self) -> None:
        shown = repr(read(lead_json(ANA)))

        assert ID in shown
        assert not any(part in shown for part in ("Ana", ANA.phone, ANA.email, "interesse"))


class TestATime:
    @pytest.mark.parametrize(
        "written",
        [
            "2026-03-09T10:05:00-03:00",
            "2026-03-09T10:05:00.000-03:00",
            "2026-03-09T13:05:00Z",
            "2026-03-09t13:05:00z",
            "2026-03-09 13:05:00 +0000",
            "2026-03-09 10:05:00.0 -0300",
            "2026-03-09T10:05:00-03",
            " 2026-03-09T10:05:00 ",
            "2026-03-09 10:05:00",
            "2026-03-09 10:05",
            1773061500,
            1773061500.0,
            1773061500000,
            "1773061500",
            "1773061500000",
        ],
    )
    def test_is_read_in_every_form_that_was_seen(self, written: object) -> None:
        assert parse_time(written) == datetime(2026, 3, 9, 13, 5, tzinfo=UTC)

    def test_without_offset_is_sao_paulos_also_while_it_had_summer_time(self) -> None:
        # Taken for UTC, as an earlier program did, it is three hours off.
        assert parse_time("2026-03-09T10:05:00") == datetime(2026, 3, 9, 13, 5, tzinfo=UTC)
        assert parse_time("2018-12-09T10:05:00") == datetime(2018, 12, 9, 12, 5, tzinfo=UTC)

    def test_keeps_fractions_to_the_microsecond(self) -> None:
        assert parse_time("2026-03-09T13:05:00.123456789Z") == datetime(
            2026, 3, 9, 13, 5, 0, 123456, tzinfo=UTC
        )
        assert parse_time("2026-03-09T13:05:00.5Z") == datetime(
            2026, 3, 9, 13, 5, 0, 500000, tzinfo=UTC
        )

    @pytest.mark.parametrize(
        "written",
        [
            "9999-12-31T23:59:59-03:00",
            "9999-12-31",
            "0001-01-01T00:00:00+03:00",
            "1999-12-31T23:59:59Z",
            "2100-01-01T03:00:00Z",
        ],
    )
    def test_that_cannot_order_a_lead_is_refused(self, written: str) -> None:
        # Year 9999 would make every later event of its lead look old.
        assert parse_time(written) is None

    @pytest.mark.parametrize(
        "written",
        [None, "", "soon", True, [], {}, "2026-02-30T10:00:00Z", "2026-03-09",
         "2026-03-09T25:00:00Z", "2026-03-09T10:00:00+99:00",
         0, -1, 1e300, float("nan"), float("inf"), "２０２６-03-09T10:00:00Z", 12345],
    )  # fmt: skip
    def test_that_is_none_is_none(self, written: object) -> None:
        assert parse_time(written) is None

    @given(
        st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)), st.integers(-14 * 60, 14 * 60)
    )
    def test_with_an_offset_is_read_back_exactly(self, wall: datetime, minutes: int) -> None:
        moment = wall.replace(tzinfo=timezone(timedelta(minutes=minutes)))

        assert parse_time(moment.isoformat()) == moment

    @given(JSON)
    def test_nothing_makes_it_raise(self, value: object) -> None:
        moment = parse_time(value)

        assert moment is None or moment.tzinfo is UTC


class TestOddJson:
    @given(JSON, JSON, JSON)
    def test_never_makes_it_raise(
        self, customer: object, attributes: object, messages: object
    ) -> None:
        for data in (
            customer,
            {
                "id": ID,
                "attributes": {
                    "customer": customer,
                    "messages": messages,
                    "updated_at": attributes,
                    "archive_details": customer,
                },
            },
            {"data": {"id": ID, "attributes": attributes, "messages": messages}},
        ):
            facts = LeadFacts.from_json(data)
            assert facts is None or facts.lead_id

    def test_nested_beyond_reason_gives_none(self) -> None:
        data: object = {"id": ID}
        for _ in range(500):
            data = {"data": data}

        assert LeadFacts.from_json(data) is None
