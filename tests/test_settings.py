"""Settings come from the environment, all problems at once, secrets masked."""

import pytest

from c2s_enrich.errors import SettingsError
from c2s_enrich.settings import Settings

GOOD = {
    "DATABASE_URL": "postgresql://u@127.0.0.1/x",
    "WEBHOOK_SECRET": "a-secret",
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

    def test_never_repeats_a_value_which_may_be_a_misplaced_secret(self) -> None:
        with pytest.raises(SettingsError) as caught:
            Settings.load(GOOD | {"PORT": "s3cr3t-in-the-wrong-place"}, "web")

        assert "s3cr3t" not in str(caught.value)

    def test_trims_secrets(self) -> None:
        assert (
            Settings.load(GOOD | {"WEBHOOK_SECRET": " a-secret\r"}, "web").webhook_secret.reveal()
            == "a-secret"
        )

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
