"""Alert rules and dashboard: they parse, ask for metrics that exist, and say what /health says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.conftest import ENVIRONMENT

from c2s_enrich.cli.main import app
from c2s_enrich.ops.gauges import gauges
from c2s_enrich.ops.health import AWAY
from c2s_enrich.ops.problems import Problem, problems_of
from c2s_enrich.ops.store import Facts, HitRate, LastHour, LastWebhook, QueueHealth, UpstreamHealth
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring.web import build_web

OPS = Path(__file__).parents[2] / "ops"
RULES = yaml.safe_load((OPS / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((OPS / "dashboard.json").read_text())

EVERYTHING = Facts(
    QueueHealth(
        oldest_due_seconds=100.0,
        waiting=7,
        leases_over=2,
        pollers_beating=0,
        pollers_silent=1,
        messages_unclear=3,
        messages_to_look_up=2,
        read_back_unproven=True,
        rejects_waiting=4,
        read_only=True,
        guards_off="inserted",
    ),
    [
        UpstreamHealth("c2s", 50.0, "HTTP 503"),
        UpstreamHealth("diretrix", 50.0, "credential refused: 401", 80, 100),
        UpstreamHealth("work_api", None, None, 100, 100, put_off=3),
    ],
    LastHour(100, 30, "30 bug", 3, 0.9, "2 diretrix", 2),
    LastWebhook(18000.0, 4, 9.0, 5.0),
    [HitRate("diretrix", "phone", 50, 1, 200, 120, True)],
)
# Those that the process itself knows; their sentences are made where they are found.
OTHERS = [AWAY, Problem("schema_behind", "The database is at migration 1, 2 is needed")]
OF_METRICS_ALONE = {"stuck", "own", "slow"}
# Whoever muted an error wants no alert about it.
OF_NO_RULE = {"errors_muted"}


def metrics_that_exist() -> set[str]:
    """Names of samples, as a scrape of web and poller shows them."""
    names: set[str] = set()
    metrics = Metrics()
    build_web(Settings.load(ENVIRONMENT | {"DATABASE_URL": "postgresql://h/x"}, "web"), metrics)
    for name in ("in_flight", "claim_loop_age_seconds", "event_loop_lag_seconds"):
        metrics.watch(name, "as wiring and monitor do", lambda: 0.0)
    for family in [*metrics.registry.collect(), *gauges(EVERYTHING, [])]:
        suffixes = {
            "counter": ("_total",),
            "histogram": ("_bucket", "_sum", "_count"),
        }.get(family.type, ("",))
        names |= {family.name + suffix for suffix in suffixes}
    return names


def asked_for(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:c2s|process)_[a-z_0-9]+", expression))


def plain(text: str) -> str:
    """A sentence with every number as N and every name that a label gives as X."""
    text = re.sub(r"\{\{ \$labels\.\w+ \}\}|\b(?:c2s|diretrix|work_api)\b(?: by phone)?", "X", text)
    text = re.sub(r"\{\{ with .*?end \}\}|\{\{.*?\}\}", "N", text)
    return re.sub(r"\d+(\.\d+)?%?", "N", text)


@pytest.fixture(scope="module")
def command_line() -> Any:
    return typer.main.get_command(app)


class TestTheRules:
    def test_cover_every_problem_that_health_knows(self) -> None:
        codes = {each.code for each in [*problems_of(EVERYTHING), *OTHERS]}

        assert {rule["labels"]["code"] for rule in RULES} == codes - OF_NO_RULE | OF_METRICS_ALONE

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_ask_for_metrics_that_exist(self, rule: dict[str, Any]) -> None:
        known = metrics_that_exist()

        assert asked_for(rule["expr"]) <= known
        assert asked_for(rule["annotations"]["summary"]) <= known

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_say_what_health_says(self, rule: dict[str, Any]) -> None:
        code = rule["labels"]["code"]
        if code in OF_METRICS_ALONE:
            return
        [problem] = [p for p in [*problems_of(EVERYTHING), *OTHERS] if p.code == code]

        assert plain(problem.sentence).startswith(plain(rule["annotations"]["summary"]))
        assert (
            plain(rule["annotations"]["runbook"]) == plain(problem.command) or not problem.command
        )

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_name_a_command_that_exists(self, rule: dict[str, Any], command_line: Any) -> None:
        _, *words = rule["annotations"]["runbook"].split()
        found = command_line
        for word in words:
            if not hasattr(found, "commands") or word.startswith(("-", "{")):
                break
            found = found.commands[word]

    @pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
    def test_are_accepted_by_promtool(self) -> None:
        subprocess.run(["promtool", "check", "rules", OPS / "alerts.yml"], check=True)


class TestTheMetrics:
    def test_are_the_ones_that_operators_know(self) -> None:
        queue = "queue_oldest_due_seconds queue_events pollers outbox_messages"
        upstreams = "upstream_paused upstream_budget_calls upstream_budget_limit lookup_hit_ratio"
        intake = (
            "intake_last_delivery_timestamp_seconds intake_request_duration_seconds_bucket"
            " intake_requests_total rejected_deliveries_waiting"
        )
        work = (
            "events_total event_outcomes_total event_duration_seconds_bucket"
            " event_wait_seconds_bucket step_duration_seconds_bucket"
            " upstream_request_duration_seconds_bucket in_flight event_loop_lag_seconds"
            " claim_loop_age_seconds db_pool_connections build_info"
        )

        told = {f"c2s_{name}" for name in f"{queue} {upstreams} {intake} {work}".split()}
        assert told <= metrics_that_exist()


class TestTheDashboard:
    @pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
    def test_asks_for_metrics_that_exist(self, panel: dict[str, Any]) -> None:
        for target in panel["targets"]:
            assert asked_for(target["expr"]) <= metrics_that_exist()

    def test_places_no_panel_upon_another(self) -> None:
        places = [(each["gridPos"]["x"], each["gridPos"]["y"]) for each in DASHBOARD["panels"]]

        assert len(set(places)) == len(places)
