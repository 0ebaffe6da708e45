"""Settings come from the environment, all problems at once, secrets masked."""

import pytest

from c2s_enrich.errors import SettingsError
from c2s_enrich.settings import Settings, described, misspelt

GOOD = {
    "DATABASE_URL": "postgresql://u@127.0.0.1/x",
    "WEBHOOK_SECRET": "a-secret",
    "HASH_KEY": "a-hash-key-of-at-least-32-characters",
    "C2S_TOKEN": "a-token",
    "WORK_API_TOKEN": "another",
    "DIRETRIX_USER": "user",
    "DIRETRIX_PASS": "pass",
}


class TestLoading:
    def test_reports_all_problems_at_once(self) -> None:
        with pytest.raises(SettingsError) as caught:
            Settings.load(
                {"PORT": "many", "C2S_BASE_URL": "ftp://x", "LEASE_SECONDS": "-1"}, "poller"
            )

        text = str(caught.value)
        for name in (
            "PORT",
            "C2S_BASE_URL",
            "LEASE_SECONDS",
            "DATABASE_URL",
            "C2S_TOKEN",
            "WORK_API_TOKEN",
            "DIRETRIX_USER",
        ):
            assert name in text

    @pytest.mark.parametrize(
        ("name", "value", "sentence"),
        [
            ("PORT", "80808", "PORT must be a whole number from 0 to 65535, got '80808'"),
            ("PORT", "-1", "PORT must be a whole number from 0 to 65535, got '-1'"),
            ("DATABASE_POOL_SIZE", "abc", "DATABASE_POOL_SIZE must be a whole number"),
            ("CONCURRENCY", "0", "CONCURRENCY must be a whole number from 1 to 1000, got '0'"),
            ("CONCURRENCY", "\u0664", "CONCURRENCY must be a whole number"),
            ("IDLE_POLL", "nan", "IDLE_POLL must be a number of seconds, got 'nan'"),
            ("IDLE_POLL", "1e9", "IDLE_POLL must be a number of seconds"),
            ("INCOME_MULTIPLIER", "1,5", "INCOME_MULTIPLIER must be a number"),
            ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of debug, info, warning, error"),
            ("INSECURE", "maybe", "INSECURE must be true or false, got 'maybe'"),
            ("CPF_SOURCES", "diretrix,oracle", "CPF_SOURCES must name one or more of"),
            ("C2S_BASE_URL", "http://[::1", "C2S_BASE_URL cannot be read, got 'http://[::1'"),
            ("OPERATOR_TIMEZONE", "Sampa", "OPERATOR_TIMEZONE must be a time zone"),
        ],
    )
    def test_refuses_a_value_out_of_range_and_quotes_it(
        self, name: str, value: str, sentence: str
    ) -> None:
        with pytest.raises(SettingsError) as caught:
            Settings.load(GOOD | {name: value}, "web")

        [problem] = caught.value.problems
        assert problem.startswith(sentence)

    def test_never_repeats_a_long_value_which_may_be_a_misplaced_secret(self) -> None:
        with pytest.raises(SettingsError) as caught:
            Settings.load(GOOD | {"PORT": "s3cr3t-in-the-wrong-place"}, "web")

        assert "s3cr3t" not in str(caught.value)

    @pytest.mark.parametrize("name", sorted(each.env for each in described() if each.secret))
    def test_never_repeats_a_secret_that_cannot_be_read(self, name: str) -> None:
        for value in ("s3c\u200br3t-value", "mysql://ana:s3c@h/x?a=b", "https://[s3c]/x"):
            _, problems = Settings.read(GOOD | {name: value})

            assert "s3c" not in " ".join(problems)

    @pytest.mark.parametrize(
        "address",
        [
            "postgresql+psycopg://ana:hunter22@h/x",
            "postgresql+psycopg://ana:hunter22@h/x?sslmode=require",
            "mysql://ana:hunter22@h/x?a=b",
            "ana:hunter22@h/x?a=b",
            "host=h password='hunter22",
            "postgres://ana:hunter22@[::1/x",
            "hunter22",
        ],
    )
    def test_refuses_what_is_not_an_address_of_postgres_without_its_password(
        self, address: str
    ) -> None:
        with pytest.raises(SettingsError, match=r"DATABASE_URL (must be|cannot)") as caught:
            Settings.load(GOOD | {"DATABASE_URL": address}, "web")

        assert "hunter22" not in str(caught.value)

    @pytest.mark.parametrize(
        "address",
        ["postgres://u@h/x?sslmode=require", "host=h user=u password='a b\\'c' dbname=x"],
    )
    def test_takes_both_forms_of_a_postgres_address(self, address: str) -> None:
        assert Settings.load(GOOD | {"DATABASE_URL": address}, "web").database_url

    def test_wants_the_direct_address_next_to_neons_pooler(self) -> None:
        pooler = "postgresql://u@ep-x-123-pooler.sa-east-1.aws.neon.tech/x"

        with pytest.raises(SettingsError, match="DATABASE_URL_DIRECT is not set"):
            Settings.load(GOOD | {"DATABASE_URL": pooler}, "poller")

    def test_gives_the_process_that_faces_the_internet_no_hash_key(self) -> None:
        assert Settings.load(GOOD, "poller").hash_key
        assert not Settings.load(GOOD, "web").hash_key

    def test_takes_the_pool_size_from_the_concurrency(self) -> None:
        sizes = [
            Settings.load(GOOD | more, "poller").database_pool_size
            for more in (
                {},
                {"CONCURRENCY": "1"},
                {"CONCURRENCY": "500"},
                {"DATABASE_POOL_SIZE": "9"},
            )
        ]

        assert sizes == [17, 5, 30, 9]

    @pytest.mark.parametrize(
        "pasted",
        [" a-secret\r", "a-secret\r\n", "\ufeffa-secret", "\u200ba-secret\u00a0", "\ta-secret"],
    )
    def test_trims_what_a_paste_leaves_around_a_secret(self, pasted: str) -> None:
        settings = Settings.load(GOOD | {"WEBHOOK_SECRET": pasted}, "web")

        assert settings.webhook_secret.reveal() == "a-secret"

    @pytest.mark.parametrize(
        ("inside", "named"),
        [
            ("\u200b", "ZERO WIDTH SPACE"),
            ("\r", "U\\+000D"),
            ("\ufeff", "ZERO WIDTH NO-BREAK SPACE"),
        ],
    )
    def test_refuses_what_cannot_be_seen_inside_a_value_and_names_it(
        self, inside: str, named: str
    ) -> None:
        with pytest.raises(SettingsError, match=f"C2S_TOKEN must not .*{named} at position 2"):
            Settings.load(GOOD | {"C2S_TOKEN": f"a{inside}-token"}, "web")

    def test_refuses_a_secret_that_is_too_short_to_be_kept_out_of_logs(self) -> None:
        with pytest.raises(SettingsError, match="ADMIN_TOKEN must have at least 6 characters"):
            Settings.load(GOOD | {"ADMIN_TOKEN": "short"}, "web")

    def test_masks_secrets_in_every_repr(self) -> None:
        assert "a-secret" not in repr(Settings.load(GOOD, "web"))
        assert "u@127" not in repr(Settings.load(GOOD, "web"))

    def test_needs_no_upstream_credentials_for_web(self) -> None:
        Settings.load({"DATABASE_URL": GOOD["DATABASE_URL"], "WEBHOOK_SECRET": "a-secret"}, "web")

    def test_refuses_a_web_process_without_a_secret(self) -> None:
        with pytest.raises(SettingsError, match="WEBHOOK_SECRET"):
            Settings.load({"DATABASE_URL": GOOD["DATABASE_URL"]}, "web")

    def test_allows_no_secret_on_loopback_only_and_only_when_asked(self) -> None:
        insecure = {"DATABASE_URL": GOOD["DATABASE_URL"], "INSECURE": "true"}

        Settings.load(insecure | {"HOST": "127.0.0.1"}, "web")
        with pytest.raises(SettingsError, match="loopback"):
            Settings.load(insecure, "web")

    def test_refuses_a_lease_that_cannot_outlast_a_send(self) -> None:
        with pytest.raises(SettingsError, match="LEASE_SECONDS"):
            Settings.load(GOOD | {"LEASE_SECONDS": "20", "C2S_TIMEOUT": "15"}, "poller")

    def test_refuses_a_settle_time_shorter_than_a_request(self) -> None:
        with pytest.raises(SettingsError, match="SETTLE_SECONDS"):
            Settings.load(GOOD | {"SETTLE_SECONDS": "5"}, "poller")


class TestANameThatIsAlmostRight:
    def test_is_said_when_the_setting_itself_is_missing(self) -> None:
        env = {**GOOD, "WEBHOOK_SECRET": "", "WEBHOOK_SECRETS": "a-secret"}

        with pytest.raises(SettingsError, match=r"WEBHOOK_SECRETS .* did you mean WEBHOOK_SECRET"):
            Settings.load(env, "web")

    def test_is_said_of_a_setting_that_may_be_missing(self) -> None:
        assert misspelt(GOOD | {"WORK_API_DAILY_BUDGETS": "500", "LOG_LEVLE": "debug"}) == [
            "LOG_LEVLE is not a setting: did you mean LOG_LEVEL?",
            "WORK_API_DAILY_BUDGETS is not a setting: did you mean WORK_API_DAILY_BUDGET?",
        ]

    def test_is_left_alone_where_the_setting_is_there_too(self) -> None:
        assert misspelt(GOOD | {"WEBHOOK_SECRETS": "another"}) == []

    def test_is_not_seen_in_the_names_of_others(self) -> None:
        others = (
            "PATH HOME HOSTNAME PGHOST PGPORT TEST_DATABASE_URL HTTP_PORT SUPPORT LEASES LOGNAME"
        )

        assert misspelt(dict.fromkeys(others.split(), "x")) == []
