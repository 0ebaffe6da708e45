"""Who may deliver: verdicts on what a request shows, never exceptions; and a process without a
secret does not start.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import ENVIRONMENT, Database
from tests.intake.conftest import PATH, Kept, an_event, kept

from c2s_enrich.errors import SettingsError
from c2s_enrich.intake.auth import ACCEPTED, Gate
from c2s_enrich.options import Secret
from c2s_enrich.sandbox.stage import Stage, StageError
from c2s_enrich.settings import Settings

NEW, OLD = b"the-new-secret", b"the-old-secret"
WEB = {**ENVIRONMENT, "DATABASE_URL": "postgresql://localhost/none"}
SETTINGS = Settings.load(WEB, "web")
GATE = Gate(
    replace(
        SETTINGS,
        webhook_secret=Secret(NEW.decode()),
        webhook_secret_previous=Secret(OLD.decode()),
    )
)


def judge(*headers: tuple[bytes, bytes], path: str = "", gate: Gate = GATE) -> str:
    return gate.judge(headers, path)


class TestTheToken:
    def test_is_taken_from_its_header(self) -> None:
        assert judge((b"x-webhook-token", NEW)) == "current"

    @pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"Bearer   "])
    def test_is_taken_as_a_bearer_in_any_spelling(self, scheme: bytes) -> None:
        assert judge((b"authorization", scheme + NEW)) == "current"

    def test_is_taken_from_the_end_of_the_path(self) -> None:
        assert judge(path=NEW.decode()) == "current"
        assert judge(path=f"{NEW.decode()}/") == "current"

    def test_that_ends_with_a_slash_is_known_in_the_path_too(self) -> None:
        gate = Gate(replace(SETTINGS, webhook_secret=Secret("ends/with/")))

        assert judge(path="ends/with/", gate=gate) == "current"

    @pytest.mark.parametrize("scheme", [b"", b"Basic ", b"Bearer", b"Token "])
    def test_does_not_count_under_another_scheme(self, scheme: bytes) -> None:
        assert judge((b"authorization", scheme + NEW)) == "missing"

    def test_is_missing_where_nothing_is_shown(self) -> None:
        assert judge((b"user-agent", NEW), (b"cookie", NEW)) == "missing"

    @pytest.mark.parametrize(
        "shown", [b"", b" ", NEW[:-1], NEW + b"x", NEW.upper(), b"\xff\xfe", b"\x00", NEW + b"\x00"]
    )
    def test_is_wrong_where_it_is_anything_else(self, shown: bytes) -> None:
        assert judge((b"x-webhook-token", shown)) == "wrong"
        assert judge((b"authorization", b"Bearer " + shown)) == "wrong"

    @pytest.mark.parametrize("tail", [b"\r", b"\r\n", b" ", b"\t"])
    def test_may_carry_the_invisible_end_of_a_pasted_line(self, tail: bytes) -> None:
        assert judge((b"x-webhook-token", NEW + tail)) == "current"
        assert judge((b"authorization", b"Bearer " + NEW + tail)) == "current"
        assert judge(path=(NEW + tail).decode()) == "current"

    def test_may_be_more_than_ascii(self) -> None:
        gate = Gate(replace(SETTINGS, webhook_secret=Secret("chave-de-integração")))

        assert judge((b"x-webhook-token", "chave-de-integração".encode()), gate=gate) == "current"
        assert judge(path="chave-de-integração", gate=gate) == "current"
        assert (
            judge((b"x-webhook-token", "chave-de-integração".encode("latin-1")), gate=gate)
            == "wrong"
        )

    def test_is_compared_with_every_secret_in_constant_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compared: list[tuple[bytes, bytes]] = []
        right = hmac.compare_digest

        def compare(a: bytes, b: bytes) -> bool:
            compared.append((a, b))
            return right(a, b)

        monkeypatch.setattr(hmac, "compare_digest", compare)

        judge((b"x-webhook-token", NEW))

        assert compared == [(NEW, NEW), (NEW, OLD)]


class TestSeveralTokens:
    def test_one_right_one_is_enough_wherever_it_stands(self) -> None:
        stale = (b"x-webhook-token", b"from-last-year")

        assert judge(stale, path=NEW.decode()) == "current"
        assert judge(stale, (b"authorization", b"Bearer " + NEW)) == "current"
        assert judge((b"x-webhook-token", NEW), path="from-last-year") == "current"
        assert judge(stale, (b"x-webhook-token", NEW)) == "current"

    def test_all_wrong_are_wrong(self) -> None:
        assert (
            judge((b"x-webhook-token", b"a"), (b"authorization", b"Bearer b"), path="c") == "wrong"
        )


class TestRotation:
    def test_takes_both_secrets_and_says_which(self) -> None:
        assert judge((b"x-webhook-token", NEW)) == "current"
        assert judge((b"x-webhook-token", OLD)) == "previous"

    def test_says_current_where_both_are_shown(self) -> None:
        for first, second in ((NEW, OLD), (OLD, NEW)):
            assert (
                judge((b"x-webhook-token", first), (b"authorization", b"Bearer " + second))
                == "current"
            )

    def test_an_absent_previous_secret_does_not_let_an_empty_token_in(self) -> None:
        gate = Gate(replace(SETTINGS, webhook_secret=Secret(NEW.decode())))

        assert (
            judge((b"x-webhook-token", b""), (b"authorization", b"Bearer "), path=" ", gate=gate)
            == "wrong"
        )
        assert judge(path="", gate=gate) == "missing"


class TestAnyRequest:
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([b"x-webhook-token", b"authorization", b"x"]),
                st.binary(max_size=40),
            ),
            max_size=5,
        ),
        st.text(st.characters(), max_size=40),
    )
    def test_gets_a_verdict_and_never_an_accepting_one(
        self, headers: list[tuple[bytes, bytes]], path: str
    ) -> None:
        assert GATE.judge(headers, path) in ("missing", "wrong")

    def test_half_a_surrogate_in_the_path_is_only_wrong(self) -> None:
        assert judge(path="\ud800") == "wrong"


class TestNoSecret:
    def test_web_does_not_start(self) -> None:
        for secret in ("", "  ", "\r\n"):
            with pytest.raises(SettingsError, match=r"WEBHOOK_SECRET is not set .*--insecure"):
                Settings.load(WEB | {"WEBHOOK_SECRET": secret}, "web")

    def test_the_previous_secret_alone_is_not_enough(self) -> None:
        with pytest.raises(SettingsError, match="WEBHOOK_SECRET is not set"):
            Settings.load(WEB | {"WEBHOOK_SECRET": "", "WEBHOOK_SECRET_PREVIOUS": "old"}, "web")

    @pytest.mark.parametrize(
        "host", ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.com", "example.com"]
    )
    def test_insecure_is_refused_beyond_loopback_even_with_a_secret(self, host: str) -> None:
        for secret in ("", "a-secret"):
            with pytest.raises(
                SettingsError, match="INSECURE, is allowed on the loopback address only"
            ):
                Settings.load(
                    WEB | {"WEBHOOK_SECRET": secret, "INSECURE": "1", "HOST": host}, "web"
                )

    def test_insecure_on_loopback_lets_everybody_in_and_says_so(self) -> None:
        for host in ("127.0.0.1", "::1", "localhost"):
            gate = Gate(
                Settings.load(WEB | {"WEBHOOK_SECRET": "", "INSECURE": "1", "HOST": host}, "web")
            )

            assert judge((b"x-webhook-token", b"whatever"), gate=gate) == "open"
            assert "open" in ACCEPTED

    def test_insecure_with_a_secret_still_asks_for_it(self) -> None:
        gate = Gate(Settings.load(WEB | {"INSECURE": "1"}, "web"))

        assert judge(gate=gate) == "missing"
        assert (
            judge((b"x-webhook-token", ENVIRONMENT["WEBHOOK_SECRET"].encode()), gate=gate)
            == "current"
        )

    async def test_the_process_ends_and_names_the_flag(self, db: Database, tmp_path: Path) -> None:
        async with Stage(tmp_path, db.url, settings={"WEBHOOK_SECRET": ""}) as stage:
            with pytest.raises(
                StageError,
                match=r"error: WEBHOOK_SECRET is not set .*HOST=127\.0\.0\.1 c2s-enrich web"
                r" --insecure",
            ):
                await stage.start_web()

            assert stage.processes["web"].wait() == 2

    async def test_the_process_with_the_flag_on_loopback_takes_a_delivery(
        self, db: Database, tmp_path: Path
    ) -> None:
        async with Stage(tmp_path, db.url, settings={"WEBHOOK_SECRET": ""}) as stage:
            await stage.start_web("--insecure")

            answer = await stage.client.post(f"{stage.web_url}{PATH}", json=an_event())

        assert answer.status_code == 200
        assert await kept(db) == Kept(1, 0)

    async def test_the_process_with_the_flag_ends_where_others_could_reach_it(
        self, db: Database, tmp_path: Path
    ) -> None:
        async with Stage(
            tmp_path, db.url, settings={"WEBHOOK_SECRET": "", "HOST": "0.0.0.0"}
        ) as stage:
            with pytest.raises(
                StageError,
                match="error: --insecure, or INSECURE, is allowed on the loopback address only",
            ):
                await stage.start_web("--insecure")

            assert stage.processes["web"].wait() == 2

    def test_a_secret_pasted_with_its_line_end_is_the_secret(self) -> None:
        gate = Gate(Settings.load(WEB | {"WEBHOOK_SECRET": "a-secret\r\n"}, "web"))

        assert judge((b"x-webhook-token", b"a-secret"), gate=gate) == "current"
