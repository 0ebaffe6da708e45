"""Nothing personal and no credential gets through the redactor, and what operators need does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg import errors
from validate_docbr import CPF

from c2s_enrich.errors import LeadNotFound, MissingCustomer, Unavailable
from c2s_enrich.redaction import is_sensitive, redact, redact_error

_HOLDER = "529.982.247-25"  # the example number of the check digits' definition


def _valid(nine: int) -> str:
    base = f"{nine:09d}"
    for _ in range(2):
        total = sum(
            int(digit) * weight
            for digit, weight in zip(base, range(len(base) + 1, 1, -1), strict=True)
        )
        base += str(total * 10 % 11 % 10)
    return base


cpfs = st.integers(0, 999_999_999).filter(lambda nine: len(set(_valid(nine))) > 1).map(_valid)
forms = st.sampled_from(
    [
        "{0}{1}{2}{3}", "{0}.{1}.{2}-{3}", "{0}.{1}.{2}/{3}", "{0} {1} {2} {3}", "{0}-{1}-{2}-{3}",
        "{0}{1}{2}-{3}", "{0}.{1}.{2}–{3}",
        "{0}%2E{1}%2E{2}%2D{3}", "{0}%20{1}%20{2}%20{3}", "000{0}{1}{2}{3}",
        "{0}\u00a0{1}\u00a0{2}-{3}",
    ]
)  # fmt: skip
no_digit = st.characters(exclude_categories=["Nd", "Cs"])


def _write(cpf: str, form: str) -> str:
    return form.format(cpf[:3], cpf[3:6], cpf[6:9], cpf[9:])


class TestCpf:
    def test_the_generator_of_this_file_makes_valid_ones(self) -> None:
        assert CPF().validate(_valid(529_982_247))
        assert _valid(529_982_247) == "52998224725"

    @given(cpf=cpfs, form=forms, before=st.text(), after=st.text(), left=no_digit, right=no_digit)
    @example(cpf="52998224725", form="{0}{1}{2}{3}", before="nome", after="", left="%", right="%")
    def test_is_found_in_any_text_and_any_form(
        self, cpf: str, form: str, before: str, after: str, left: str, right: str
    ) -> None:
        written = _write(cpf, form)

        cleaned = redact(before + left + written + right + after)

        assert written not in cleaned
        assert cpf not in cleaned

    @given(cpf=cpfs, form=forms)
    def test_is_found_in_json_urls_and_reprs(self, cpf: str, form: str) -> None:
        written = _write(cpf, form)
        texts = [
            json.dumps({"consulta_de": [written, {"x": written}]}),
            json.dumps(json.dumps({"x": written})),
            f"https://127.0.0.1/api?modulo=x&q={quote(written)}&fim=1",
            f"https://127.0.0.1/pessoas/{quote(written)}",
            repr({"x": written.encode()}),
            f"a%3A%20{written}%20b",
            f"a\\x20{written}",
            f"a\\u0020{written}",
        ]

        for text in texts:
            cleaned = redact(text)
            assert written not in cleaned
            assert quote(written) not in cleaned
            assert json.dumps(written).strip('"') not in cleaned
            assert cpf not in cleaned

    @given(cpf=cpfs)
    def test_is_found_next_to_other_numbers(self, cpf: str) -> None:
        for text in (
            f"111 {cpf} 222",
            f"1.{_write(cpf, '{0}.{1}.{2}-{3}')}.2",
            f"{cpf},{cpf};{cpf}",
        ):
            assert cpf not in redact(text)
            assert _write(cpf, "{0}.{1}.{2}-{3}") not in redact(text)

    def test_a_value_named_cpf_is_hidden_even_without_its_leading_zeros(self) -> None:
        assert redact('{"cpf": 1234567, "x": 1}') == '{"cpf": ***, "x": 1}'

    def test_is_found_in_wide_digits(self) -> None:
        assert redact("５２９.９８２.２４７-２５") == "[cpf]"

    def test_a_number_with_wrong_check_digits_that_is_not_a_phone_stays(self) -> None:
        assert redact("order 70012345678") == "order 70012345678"


class TestCredentials:
    @pytest.mark.parametrize(
        ("text", "cleaned"),
        [
            (
                "GET https://h.example/api?modulo=cpf&token=s3cr3t&x=1",
                "GET https://h.example/api?modulo=cpf&token=***&x=1",
            ),
            (
                "GET https://h.example/api?access_token=s3cr3t",
                "GET https://h.example/api?access_token=***",
            ),
            ("redirect=%2Fx%3Ftoken%3Ds3cr3t", "redirect=%2Fx%3Ftoken%3D***"),
            ("postgresql://ana:s3cr3t@db.example/x", "postgresql://***@db.example/x"),
            ("postgresql://ana:s3/cr3t@db.example/x", "postgresql://***@db.example/x"),
            ("host=db password='s3 cr3t' user=ana", "host=db password='***' user=ana"),
            ("Authorization: Bearer s3cr3t", "Authorization: ***"),
            ("Authorization: s3cr3t", "Authorization: ***"),
            ("Authentication: Bearer s3cr3t\nAccept: */*", "Authentication: ***\nAccept: */*"),
            ("X-Webhook-Token: s3cr3t", "X-Webhook-Token: ***"),
            ("{'authorization': 'Basic czNjcjN0', 'a': 1}", "{'authorization': '***', 'a': 1}"),
            (
                "[(b'x-webhook-token', b's3cr3t'), (b'a', b'1')]",
                "[(b'x-webhook-token', b'***'), (b'a', b'1')]",
            ),
            ('{"senha": "s3cr3t\\" x"}', '{"senha": "***"}'),
            ('"{\\"token\\": \\"s3cr3t\\"}"', '"{\\"token\\": \\"***\\"}"'),
            ("used Bearer s3cr3t-abc today", "used Bearer *** today"),
            ("POST /api/v1/webhooks/c2s/s3cr3t HTTP/1.1", "POST /api/v1/webhooks/c2s/*** HTTP/1.1"),
            (
                "hook_url=https://h.example/api/v1/webhooks/c2s/s3cr3t?x=1",
                "hook_url=https://h.example/api/v1/webhooks/c2s/***?x=1",
            ),
        ],
    )
    def test_are_hidden_and_the_rest_stays(self, text: str, cleaned: str) -> None:
        assert redact(text) == cleaned
        assert "s3cr3t" not in cleaned

    @given(
        secret=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8),
        before=st.text(),
        after=st.text(),
    )
    def test_known_secrets_are_hidden_wherever_they_stand(
        self, secret: str, before: str, after: str
    ) -> None:
        assert secret not in redact(f"{before}{secret}{after}", [secret]).replace("***", "")

    def test_known_secrets_are_hidden_in_a_url_too(self) -> None:
        assert redact("q=p%40ss%20w0rd", ["p@ss w0rd"]) == "q=***"

    @pytest.mark.parametrize(
        "name",
        [
            "authorization",
            "X-Webhook-Token",
            "token",
            "C2S_TOKEN",
            "DIRETRIX_PASS",
            "senha",
            "cpf",
            "set-cookie",
        ],
    )
    def test_names_of_secrets_are_known(self, name: str) -> None:
        assert is_sensitive(name)

    @pytest.mark.parametrize(
        "name",
        ["lease_token", "lead_id", "passed", "author", "content_key", "cpf_sources", "status"],
    )
    def test_other_names_are_not_taken_for_secrets(self, name: str) -> None:
        assert not is_sensitive(name)


class TestContacts:
    @pytest.mark.parametrize(
        "text",
        [
            "+55 (11) 98765-4321", "+5511987654321", "5511987654321", "11987654321",
            "(11) 98765-4321", "11 98765 4321", "(11) 3456-7890",
            "1134567890", "011 98765-4321", "+1 415 555 2671", "98765-4321", "%2B5511987654321",
        ],
    )  # fmt: skip
    def test_phones_are_hidden(self, text: str) -> None:
        assert redact(f"phone {text}, then") == "phone [phone], then"
        assert redact(f'{{"phone":"{text}"}}') == '{"phone":"[phone]"}'

    @given(
        user=st.text(
            st.characters(codec="ascii", categories=["L", "N"], include_characters=".-_+"),
            min_size=1,
        )
    )
    def test_addresses_are_hidden_in_texts_and_urls(self, user: str) -> None:
        assert redact(f"<{user}@mail.example.com>") == "<***@mail.example.com>"
        assert redact(f"?q={quote(user)}%40mail.example.com&x") == "?q=***%40mail.example.com&x"


class TestWhatStays:
    @pytest.mark.parametrize(
        "text",
        [
            "lead 4f1e29982247250a4f1e52998224725a not found",
            "event 52998224-7250-4321-8765-529982247250 claimed",
            "lease_token=12 lead_id=42 status=received attempts=3",
            "2026-11-24T20:42:00.529982-03:00 retried in 5.25 s",
            "127.0.0.1:54321 → 200 in 12 ms",
            "https://127.0.0.1:8080/health",
            "Lead not found",
        ],
    )
    def test_ids_times_and_plain_sentences(self, text: str) -> None:
        assert redact(text) == text

    @given(st.text())
    def test_cleaning_twice_changes_nothing_more(self, text: str) -> None:
        assert redact(redact(text)) == redact(text)

    @pytest.mark.parametrize(
        "unit", ["a", "1", "a.", "token", "1 ", '"', "(", "\\", "%40", "@", "://", "55", "+1"]
    )
    def test_a_long_text_takes_no_long_time(self, unit: str) -> None:
        text = unit * (20_000 // len(unit))

        started = time.perf_counter()
        redact(text)

        assert time.perf_counter() - started < 2


class TestErrors:
    def test_our_own_speak_for_themselves(self) -> None:
        assert redact_error(LeadNotFound()) == "Lead not found"
        assert redact_error(MissingCustomer()) == "Missing customer data"
        assert redact_error(Unavailable("c2s", "no answer in 20 s")) == "c2s: no answer in 20 s"

    def test_our_own_speak_also_where_python_drops_docstrings(self) -> None:
        line = "from c2s_enrich.errors import *; print(LeadNotFound(), MissingCustomer())"
        said = subprocess.run([sys.executable, "-OO", "-c", line], capture_output=True, check=True)
        assert said.stdout == b"Lead not found Missing customer data\n"

    def test_others_are_named(self) -> None:
        assert redact_error(ValueError("bad")) == "ValueError: bad"
        assert redact_error(TimeoutError()) == "TimeoutError"

    def test_all_errors_of_a_group_are_told(self) -> None:
        assert (
            redact_error(ExceptionGroup("unhandled", [ValueError("a"), KeyError("b")]))
            == "ValueError: a; KeyError: 'b'"
        )

    def test_one_line_of_at_most_500_characters(self) -> None:
        text = redact_error(ValueError("two\nlines " * 200))

        assert len(text) == 500
        assert text.startswith("ValueError: two lines two lines")
        assert text.endswith("…")

    def test_what_no_database_or_terminal_takes_is_escaped(self) -> None:
        assert redact_error(ValueError("a\0b\ud800\x1b[2J")) == r"ValueError: a\x00b\ud800\x1b[2J"

    def test_values_in_database_messages_are_hidden(self) -> None:
        for text in (
            f"Key (cpf)=({_HOLDER}) already exists.",
            "Key (lead_id, name)=(1, Ana (mãe)) already exists.",
            "Chave (name)=(Ana) já existe.",
            "Failing row contains (1, Ana, {}).",
            "unnamed portal parameter $1 = 'Ana'",
        ):
            assert "Ana" not in redact(text)
            assert "982" not in redact(text)

    async def test_a_real_database_error_tells_what_and_not_who(self, db: object) -> None:
        async with await psycopg.AsyncConnection.connect(db.url) as connection:  # type: ignore[attr-defined]
            with pytest.raises(errors.CheckViolation) as caught:
                await connection.execute(
                    "insert into people (cpf, profile, expires_at) values ('52998224725x',"
                    ' \'{"name": "Ana"}\', now())'
                )

        text = redact_error(caught.value)

        assert "Ana" in str(caught.value)
        assert (
            text == 'CheckViolation: new row for relation "people" violates check constraint'
            ' "people_cpf_check"'
        )


class TestALongTextFromOutside:
    """Read once, whoever sends it. With a search that looks to the end from each place, these sizes
    would take hours.
    """

    @pytest.mark.parametrize(
        "piece",
        ["://a:b", "://a:b@x ", "(a)=(", "token=", 'token="', "a@", "%40a", "0 ", "Bearer ",
         "token   ", "\\", "cpf"],
    )  # fmt: skip
    def test_is_redacted_in_one_pass(self, piece: str) -> None:
        size = 60_000

        assert len(redact(piece * (size // len(piece)))) <= 2 * size

    def test_hides_every_cpf_among_many_ids(self) -> None:
        text = f"{'0123456789abcdef' * 2} {_HOLDER} " * 1000

        assert redact(text).count("[cpf]") == 1000
