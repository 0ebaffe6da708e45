"""Phones and e-mails: one form for each, and a reason for each that nobody is asked about."""

from __future__ import annotations

import re

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st
from tests.cast import KEYS

from c2s_enrich.hashing import HashKeys
from c2s_enrich.options import Secret
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import (
    MOST_OF_A_KIND,
    Contacts,
    Email,
    Phone,
    Skipped,
    fingerprints,
    format_national,
    read_contacts,
    read_email,
    read_phone,
)


def contacts(phone: str | None = None, email: str | None = None) -> Contacts:
    return read_contacts(LeadFacts("a-lead", phone=phone, email=email))


def nationals(text: str) -> list[str | None]:
    return [phone.national for phone in contacts(text).phones]


def skipped_emails(written: str) -> list[str]:
    skipped = contacts(email=written).skipped
    assert {each.kind for each in skipped} == {"email"}
    return [each.reason for each in skipped]


class TestABrazilianPhone:
    @pytest.mark.parametrize(
        "written",
        [
            "11987650001",
            "5511987650001",
            "+5511987650001",
            "+55 (11) 98765-0001",
            "(11) 98765-0001",
            "011 98765-0001",
            "0xx11 98765-0001",
            "0 15 11 98765-0001",
            "0055 11 98765-0001",
            "+55 011 98765-0001",
            "55 011 98765 0001",
            "+55 0 15 11 98765-0001",
            "55 0 15 11 98765-0001",
            "tel: 11 9.8765.0001 (Ana)",
            "１１９８７６５０００１",
            *("1.1987650001E10", "1,1987650001E+10", "5.511987650001e12", "5,511987650001E+12"),
            *("11987650001.0", "11987650001,00", "Tel.: 5511987650001.00 (Ana)"),
        ],
    )
    def test_has_one_form_however_it_is_written(self, written: str) -> None:
        assert read_phone(written) == Phone("+5511987650001", "11987650001")
        phones = read_contacts(LeadFacts("lead", phone=f"{written}; 11 3365-0001")).phones
        assert [phone.e164 for phone in phones] == ["+5511987650001", "+551133650001"]

    @pytest.mark.parametrize("written", ["1.19877E+10", "1.198765E10", "1.19876500015E10"])
    def test_that_a_spreadsheet_has_rounded_is_nobodys(self, written: str) -> None:
        assert isinstance(read_phone(written), Skipped)

    @pytest.mark.parametrize("written", ["1187650001", "551187650001", "+55 11 8765-0001"])
    def test_gets_the_ninth_digit_that_it_had_before_2016_not(self, written: str) -> None:
        # Without it one person's phone was two contacts.
        assert read_phone(written) == Phone("+5511987650001", "11987650001")

    def test_keeps_eight_digits_that_begin_with_seven_because_radio_numbers_never_got_a_ninth(
        self,
    ) -> None:
        assert read_phone("11 7765-0001") == Phone("+551177650001", "1177650001")

    @pytest.mark.parametrize(
        "written",
        ["1133650001", "551133650001", "+55 11 3365-0001", "11 3365-0001 ramal 204", "1133650001.0",
         "0 15 11 3365-0001"],
    )  # fmt: skip
    def test_may_be_a_landline(self, written: str) -> None:
        assert read_phone(written) == Phone("+551133650001", "1133650001")

    @pytest.mark.parametrize(
        "written",
        [
            "55987650004",
            "5555987650004",
            "+5555987650004",
            "+55 55 98765-0004",
            "(55) 98765-0004",
            "055 98765-0004",
        ],
    )
    def test_of_santa_maria_keeps_its_ddd_55(self, written: str) -> None:
        # Both earlier programs cut this 55 off, and one put 11 in its place: another person's
        # phone.
        assert read_phone(written) == Phone("+5555987650004", "55987650004")

    @pytest.mark.parametrize("written", ["5532230004", "555532230004", "+55 55 3223-0004"])
    def test_of_santa_maria_keeps_its_ddd_as_a_landline_too(self, written: str) -> None:
        assert read_phone(written) == Phone("+555532230004", "5532230004")

    def test_is_given_to_sources_without_country_and_plus(self) -> None:
        # With "+55…" in the address every lookup failed, and looked like an unknown person.
        phone = read_phone("+5511987650001")

        assert isinstance(phone, Phone)
        assert phone.national is not None
        assert phone.national.isdigit()
        assert not phone.national.startswith("55")

    @pytest.mark.parametrize(
        "written", ["98765-0001", "3365-0001", "+55 98765-0001", "+55 3365-0001"]
    )
    def test_without_its_ddd_is_not_guessed_at(self, written: str) -> None:
        assert read_phone(written) == Skipped("phone", "no_ddd")

    @pytest.mark.parametrize(
        "ddd",
        [
            "10",
            "20",
            "23",
            "26",
            "29",
            "30",
            "36",
            "39",
            "50",
            "52",
            "56",
            "60",
            "70",
            "72",
            "76",
            "78",
            "80",
            "90",
        ],
    )
    def test_of_an_area_that_does_not_exist_is_refused(self, ddd: str) -> None:
        assert read_phone(ddd + "987650001") == Skipped("phone", "bad_ddd")
        assert read_phone(ddd + "43650001") == Skipped("phone", "bad_ddd")

    @pytest.mark.parametrize(
        "written",
        ["123", "119876500011234567", "11 187650001", "não tem", "+55", "+", "11 0987-6500",
         "55 90 15 11 98765-0001"],
    )  # fmt: skip
    def test_that_cannot_be_one_is_malformed(self, written: str) -> None:
        # The last is a collect call's, which is dialled and not written down.
        assert read_phone(written) == Skipped("phone", "malformed")

    def test_of_a_service_is_nobodys(self) -> None:
        assert read_phone("0800 123 4567") == Skipped("phone", "service")

    @pytest.mark.parametrize("prefix", ["0800", "0300", "0303", "0500", "0900"])
    @pytest.mark.parametrize(
        "written",
        ["{0} 591 2345", "({0}) 591-2345", "+55 {0} 591 2345", "+55 {1} 591 2345", "55{0}5912345",
         "{1} 591 2345", "{0}591234", "0 {1} 591 2345"],
    )  # fmt: skip
    def test_of_a_service_is_not_a_landline_in_an_area_that_does_not_exist(
        self, written: str, prefix: str
    ) -> None:
        # Asked about and paid for as (80) 0591-2345.
        number = written.format(prefix, prefix[1:])

        assert read_phone(number) == Skipped("phone", "service")

    @pytest.mark.parametrize(
        "written",
        ["11900000000", "11 90000-0000", "(11) 91111-1111", "+5511988888888",
         "11 90000-0001", "1130000000", "11 4111-1111", "5511900000000"],
    )  # fmt: skip
    def test_of_one_digit_behind_the_first_is_made_up(self, written: str) -> None:
        assert read_phone(written) == Skipped("phone", "fake")

    @pytest.mark.parametrize("invisible", ["\u200b", "\u200e", "\ufeff", "\u00ad", "\u2060"])
    def test_survives_characters_that_nobody_sees(self, invisible: str) -> None:
        assert nationals(f"{invisible}1198765{invisible}0001 / １１９８７６５０００２") == [
            "11987650001", "11987650002",
        ]  # fmt: skip


class TestAFakePhone:
    @pytest.mark.parametrize(
        "written",
        [
            "11999999999",
            "(11) 99999-9999",
            "+5511999999999",
            "00000000000",
            "11111111111",
            "1122222222",
            "12345678901",
            "1234567890",
            "123456789",
            "9876543210",
            "+1 000 000 0000",
        ],
    )
    def test_is_not_looked_up(self, written: str) -> None:
        assert read_phone(written) == Skipped("phone", "fake")

    @pytest.mark.parametrize(
        ("written", "whose"),
        [
            ("99999991234", "a mobile of Maranhão, DDD 99"),
            ("99 99912-3499", "another one"),
            ("12 3456-1234", "a landline in São José dos Campos"),
            ("11 98888-8877", "a number that is easy to remember"),
        ],
    )
    def test_is_not_seen_in_how_a_real_number_begins(self, written: str, whose: str) -> None:
        assert isinstance(read_phone(written), Phone), whose


class TestAForeignPhone:
    @pytest.mark.parametrize("written", ["+351 912 345 678", "00351912345678", "351912345678"])
    def test_is_kept_but_not_looked_up(self, written: str) -> None:
        read = contacts(written)

        assert read.phones == (Phone("+351912345678", None),)
        assert read.national_phones == ()
        assert read.skipped == (Skipped("phone", "foreign"),)

    @pytest.mark.parametrize("written", ["+1 202 555 0123", "001 202 555 0123"])
    def test_is_never_taken_for_a_brazilian_number_that_it_looks_like(self, written: str) -> None:
        assert nationals(written) == [None]

    def test_that_cannot_be_one_holds_no_brazilian_number(self) -> None:
        assert contacts("+44 11 98765 4321 0000").phones == ()

    def test_is_shown_as_it_is_dialled_from_abroad(self) -> None:
        assert Phone("+12025550123", None).formatted == "+12025550123"
        assert Phone("+5511987650001", "11987650001").formatted == "(11) 98765-0001"

    def test_is_not_given_to_sources_that_know_brazil_only(self) -> None:
        with pytest.raises(ValueError, match=r"^the sources know Brazilian numbers only$"):
            _ = Phone("+12025550123", None).in_brazil


class TestSeveralPhonesInOneField:
    @pytest.mark.parametrize(
        "written",
        [
            "(11) 98765-0001 / (11) 3365-0001",
            "11987650001, 1133650001",
            "11987650001;1133650001",
            "11987650001 1133650001",
            "(11) 98765-0001 (11) 3365-0001",
            "11 98765-0001 11 3365-0001",
            "11 98765-0001 + 11 3365-0001",
            "11 9 8765 0001 11 3365 0001 204",
            "(11)987650001(11)33650001",
            "+55 0 15 11 98765-0001 +55 0 15 11 3365-0001",
            "cel 11 98765-0001 casa 11 3365-0001 ramal 204",
            "11 98765-0001 ou 11 3365-0001",
            "11 98765-0001 e 11 3365-0001",
            "+5511987650001\n+551133650001",
        ],
    )
    def test_are_all_read(self, written: str) -> None:
        assert nationals(written) == ["11987650001", "1133650001"]

    @pytest.mark.parametrize("few", [" ou 204", " 204", " / 204"])
    def test_may_stand_with_digits_that_are_none(self, few: str) -> None:
        assert nationals("11 3365-0001" + few) == ["1133650001"] * (few != " 204")
        assert nationals("11 98765-0001" + few) == ["11987650001"]
        assert nationals("11 98765-0001 11 3365-0001" + few) == ["11987650001", "1133650001"]

    def test_are_not_seen_in_one_that_is_malformed(self) -> None:
        assert contacts("44 11 98765-0001").skipped == (Skipped("phone", "malformed"),)
        assert contacts("123456 / 11 98765-0001").skipped == (Skipped("phone", "malformed"),)
        assert contacts("111111 11 98765-0001 204").skipped == ()

    def test_are_abroad_only_with_a_plus_or_two_zeros(self) -> None:
        assert nationals("11 98765-0001 +351 912 345 678") == ["11987650001", None]
        assert nationals("11 98765-0001 (+351) 912 345 678") == ["11987650001", None]
        assert nationals("11 98765-0001 00351 912 345 678") == ["11987650001", None]

    def test_are_read_once_each(self) -> None:
        assert nationals("5511987650001 / +55 (11) 98765-0001") == ["11987650001"]

    @pytest.mark.parametrize("between", [" / ", " "])
    def test_may_share_nothing_so_the_second_without_ddd_is_skipped(self, between: str) -> None:
        read = contacts(f"11 98765-0001{between}3365-0001")

        assert [phone.national for phone in read.phones] == ["11987650001"]
        assert read.skipped == (Skipped("phone", "no_ddd"),)

    def test_are_not_seen_in_a_ddd_before_a_slash(self) -> None:
        assert nationals("11/98765-0001") == ["11987650001"]
        assert nationals("0 15 11 / 98765-0001") == ["11987650001"]
        assert nationals("11/3365-0001 11 98765-0001") == ["11987650001", "1133650001"]

    def test_come_mobiles_first_and_foreign_last(self) -> None:
        assert nationals("+351912345678 / 1133650001 / 11987650001") == [
            "11987650001",
            "1133650001",
            None,
        ]

    def test_are_looked_up_to_a_limit(self) -> None:
        read = contacts(" / ".join(f"1198765{n:04}" for n in range(1, 9)))

        assert len(read.phones) == MOST_OF_A_KIND
        assert read.skipped == (Skipped("phone", "too_many"),)
        assert contacts(" / ".join(f"1198765{n:04}" for n in range(1, 4))).skipped == ()

    def test_are_not_joined_to_other_digits_before_them(self) -> None:
        read = contacts("123456 / 11 98765-0001")

        assert [phone.e164 for phone in read.phones] == ["+5511987650001"]
        assert read.skipped == (Skipped("phone", "malformed"),)


class TestAnEmail:
    @pytest.mark.parametrize("blank", [" ", "\t", "\n", " @"])
    def test_of_any_length_is_read_once(self, blank: str) -> None:
        # With the blanks behind each blank looked at again it takes minutes.
        assert isinstance(read_email("a" + blank * 100_000), Skipped)

    @pytest.mark.parametrize(
        ("written", "address"),
        [
            (" Ana.Lima@Example.COM ", "ana.lima@example.com"),
            ("ana+imovel@example.com", "ana+imovel@example.com"),
            ("a/b@example.com", "a/b@example.com"),
            ("ana%b@example.com", "ana%b@example.com"),
            ("ana#b@example.com", "ana#b@example.com"),
            ("joão@example.com", "joão@example.com"),
            ("mailto:ana@example.com", "ana@example.com"),
            ("<ana@example.com>;", "ana@example.com"),
            ("ana @ example.com", "ana@example.com"),
        ],
    )
    def test_is_trimmed_and_lower_case(self, written: str, address: str) -> None:
        assert contacts(email=written).emails == (Email(address),)

    @pytest.mark.parametrize(
        "written",
        [
            "ana@",
            "@example.com",
            "ana.example.com",
            "ana@example",
            "ana..b@example.com",
            "não tem",
            "ab" * 40 + "@example.com",
        ],
    )
    def test_that_cannot_be_one_is_malformed(self, written: str) -> None:
        assert skipped_emails(written) == ["malformed"]

    @pytest.mark.parametrize(
        "written",
        ["teste@example.com", "teste123@example.com", "111111@example.com", "123456@example.com",
         "aaaa@example.com", "naotem@example.com",
         "sememail@example.com", "ana@teste.com", "asdfgh@example.com"],
    )  # fmt: skip
    def test_that_is_made_up_is_not_looked_up(self, written: str) -> None:
        assert skipped_emails(written) == ["fake"]

    @pytest.mark.parametrize(
        "written",
        [
            "ana@111111.com.br",
            "ana@123456789.com",
            "maria111111@example.com",
            "joao123456789@example.com",
            "testemunha@example.com",
        ],
    )
    def test_of_a_real_person_may_hold_such_digits(self, written: str) -> None:
        # Searching the whole address for 111111 lost people whose domain has it.
        assert contacts(email=written).emails == (Email(written),)

    @pytest.mark.parametrize("invisible", ["\u200b", "\u200e", "\ufeff", "\u00ad", "\u2060"])
    @pytest.mark.parametrize("at", ["@", "＠", "﹫", " @ "])
    def test_survives_a_wide_at_and_characters_that_nobody_sees(
        self, invisible: str, at: str
    ) -> None:
        written = f"{invisible}ana{at}exam{invisible}ple.com{invisible}"

        assert contacts(email=written).emails == (Email("ana@example.com"),)

    @pytest.mark.parametrize(
        "domain",
        [
            *("gmail.com", "uol.com.br", "a-.com", "localhost", "x.test", "xn--exmple-cua.com"),
            # With the longest local part 254 and 255 characters.
            *(f"{'a' * size}.{'b' * 62}.{'c' * 62}.com" for size in (59, 60)),
        ],
    )
    @pytest.mark.parametrize(
        "local", ["maria", "m.s+x_y-z", "a..b", "a.", "ab" * 32, "ab" * 33, "m!s"]
    )
    def test_is_valid_where_the_validator_says_so(self, local: str, domain: str) -> None:
        address = f"{local}@{domain}"
        try:
            expected = validate_email(address, check_deliverability=False, strict=True).normalized
        except EmailNotValidError:
            expected = None

        read = read_email(address)

        assert (read.address if isinstance(read, Email) else None) == expected

    @pytest.mark.parametrize("local", ["ana", "j!oao"])
    def test_of_a_mailbox_that_anyone_opens_is_not_looked_up(self, local: str) -> None:
        assert skipped_emails(f"{local}@mailinator.com") == ["throwaway"]

    def test_that_only_counts_is_nobodys(self) -> None:
        assert skipped_emails("123.456.789@gmail.com") == ["fake"]

    @pytest.mark.parametrize("written", ["XAVIER@EXAMPLE.COM", "Xavier @ example.com"])
    def test_is_read_as_a_person_types_it(self, written: str) -> None:
        assert read_email(written) == Email("xavier@example.com")

    def test_is_found_among_words(self) -> None:
        assert contacts(email="o email é ana@example.com").emails == (Email("ana@example.com"),)

    def test_that_is_only_half_written_behind_a_slash_belongs_to_the_one_before(self) -> None:
        assert skipped_emails("ana@example.com/bia") == ["malformed"]

    def test_is_looked_up_only_so_often(self) -> None:
        read = contacts(email=" ".join(f"ana{n}@example.com" for n in range(5)))

        assert len(read.emails) == MOST_OF_A_KIND
        assert read.skipped == (Skipped("email", "too_many"),)
        few = " ".join(f"ana{n}@example.com" for n in range(MOST_OF_A_KIND))
        assert contacts(email=few).skipped == ()

    def test_may_share_its_field_with_others(self) -> None:
        assert contacts(email="ana@example.com/bia@example.com; cris@example.com").emails == (
            Email("ana@example.com"), Email("bia@example.com"), Email("cris@example.com"),
        )  # fmt: skip


class TestTheFingerprint:
    def test_is_made_of_each_contact_and_the_name_a_line_each(self) -> None:
        lead = contacts("11987650001", "ana@example.com")
        text = "+5511987650001\nana@example.com\nANA LIMA"

        assert fingerprints(lead, "Ana Lima", KEYS) == KEYS.hashes("fingerprint", text)

    def test_stays_when_only_the_format_changes(self) -> None:
        one = told(contacts("+55 (11) 98765-0001", "Ana@Example.com"), "Ana Lima")

        assert one == told(contacts("5511987650001", " ana@example.com"), "ANA LIMA")
        assert one == told(contacts("1187650001", "ana@example.com"), "Sra. Anna de Lima")

    def test_stays_when_only_the_order_changes(self) -> None:
        assert told(contacts("1133650001 / 1133650002"), None) == told(
            contacts("1133650002 / 1133650001"), None
        )

    def test_changes_with_the_phone_and_with_the_email(self) -> None:
        one, other, ana, bia = "11987650001", "11987650002", "ana@example.com", "bia@example.com"
        pairs = [(one, ana), (other, ana), (one, bia), (one, None), (None, ana)]

        assert len({told(contacts(*pair), None) for pair in pairs}) == 5

    @pytest.mark.parametrize(
        "nobody", [None, "Cliente WhatsApp", "teste", "Lima Imóveis", "11987650001"]
    )
    def test_changes_when_a_lead_gets_its_real_name(self, nobody: str | None) -> None:
        lead = contacts("11987650001")

        assert told(lead, nobody) == told(lead, "")
        assert told(lead, nobody) != told(lead, "Ana Lima")
        assert told(lead, "Bruno Lima") != told(lead, "Ana Lima")

    def test_shows_no_contact(self) -> None:
        assert re.fullmatch("[0-9a-f]{8}:[0-9a-f]{64}", told(contacts("11987650001"), "Ana"))

    def test_can_be_guessed_by_nobody_without_the_key(self) -> None:
        other = HashKeys(Secret("another-key-of-at-least-32-characters"))
        lead = contacts("11987650001")

        assert fingerprints(lead, None, other)[0] != told(lead, None)

    def test_of_before_a_rotation_is_recognised(self) -> None:
        old, new = Secret("the-old-key"), Secret("the-new-key")
        before = fingerprints(contacts("11987650001"), "Ana", HashKeys(old))[0]

        assert before in fingerprints(contacts("11987650001"), "Ana", HashKeys(new, old))


def told(contacts: Contacts, lead_name: str | None) -> str:
    return fingerprints(contacts, lead_name, KEYS)[0]


class TestPrivacy:
    def test_neither_a_skip_nor_a_repr_shows_the_contact(self) -> None:
        read = contacts("11999999999 / 11987650001", "teste@example.com; ana.lima@example.com")

        shown = repr(read)

        assert "987650001" not in shown
        assert "ana.lima" not in shown
        assert {(skipped.kind, skipped.reason) for skipped in read.skipped} == {
            ("phone", "fake"),
            ("email", "fake"),
        }


class TestNormalising:
    @given(st.text("0123456789 +-()/,;eou\n", max_size=60))
    def test_a_phone_that_was_read_is_read_the_same_again(self, text: str) -> None:
        for phone in contacts(text).phones:
            assert read_phone(phone.e164) == phone
            if phone.national is not None:
                assert read_phone(phone.national) == phone
                assert read_phone(format_national(phone.national)) == phone

    @given(st.emails())
    def test_an_email_that_was_read_is_read_the_same_again(self, text: str) -> None:
        email = read_email(text)

        if isinstance(email, Email):
            assert read_email(email.address) == email

    @given(st.text(max_size=300), st.text(max_size=300))
    def test_no_text_makes_it_raise(self, phone: str, email: str) -> None:
        read = contacts(phone, email)

        assert len(read.phones) <= MOST_OF_A_KIND
        assert len(read.emails) <= MOST_OF_A_KIND

    @given(st.integers(10_000_000, 99_999_999))
    def test_with_or_without_55_a_mobile_of_ddd_55_is_one_number(self, subscriber: int) -> None:
        number = f"559{subscriber}"

        assert read_phone(number) == read_phone("55" + number) == read_phone("+55" + number)
