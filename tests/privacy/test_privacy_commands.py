"""The commands around people: erase, reconcile, and a reprocess that asks the sources again."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.brokerage import Brokerage
from tests.conftest import ENVIRONMENT, Database
from typer.testing import CliRunner, Result

from c2s_enrich.cli.main import app
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.sandbox.stage import Stage
from c2s_enrich.telemetry.lines import Logger


@pytest.fixture
def environment(brokerage: Brokerage, monkeypatch: pytest.MonkeyPatch) -> Brokerage:
    for name, value in (ENVIRONMENT | {"DATABASE_URL": brokerage.db.url}).items():
        monkeypatch.setenv(name, value)
    return brokerage


async def invoke(*arguments: str, given: str | None = None) -> Result:
    """Commands run their own event loop, so they get a thread of their own here."""
    done = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), given)
    # The command's log goes to a stream that is closed by now; what follows here logs elsewhere.
    Logger.write = None
    return done


class TestErase:
    async def test_reads_the_cpf_from_standard_input_and_prints_a_receipt_that_names_nobody(
        self, environment: Brokerage
    ) -> None:
        person = environment.people[0]
        await environment.accept("lead-ana", person)
        await environment.work()
        cpf = Cpf.parse(person.cpf)
        assert cpf is not None

        done = await invoke("erase", "--cpf-stdin", "--yes", given=f"{cpf.formatted}\n")

        assert done.exit_code == 0
        assert "webhook_events  1" in done.output
        for mark in (
            person.cpf,
            cpf.formatted,
            person.name,
            person.email,
            person.phone,
            "lead-ana",
        ):
            assert mark not in done.stdout
        assert person.cpf not in await environment.everything_stored()

    async def test_takes_a_lead_by_its_id(self, environment: Brokerage) -> None:
        await environment.accept("lead", environment.people[0])

        done = await invoke("erase", "--lead", "lead", "--yes")

        assert done.exit_code == 0
        assert await environment.outcomes() == {"lead": "erased"}

    async def test_shows_which_rows_would_go_and_changes_nothing(
        self, environment: Brokerage
    ) -> None:
        await environment.accept("lead", environment.people[0])
        await environment.work()
        before = await environment.everything_stored()

        planned = await invoke("erase", "--lead", "lead", "--dry-run")
        unknown = await invoke("erase", "--lead", "laed", "--dry-run")

        assert "To erase: 1 lead (lead). Rows removed or emptied: " in planned.stderr
        assert "webhook_events 1" in planned.stderr
        assert "lead_messages 1" in planned.stderr
        assert "webhook_events" not in unknown.stderr
        assert await environment.everything_stored() == before

    @pytest.mark.parametrize("arguments", [("erase",), ("erase", "--lead", "lead", "--cpf-stdin")])
    async def test_wants_to_know_whom(
        self, environment: Brokerage, arguments: tuple[str, ...]
    ) -> None:
        done = await invoke(*arguments, given="")

        assert done.exit_code == 2
        assert "say who" in done.output

    async def test_refuses_what_is_not_a_cpf_without_repeating_it(
        self, environment: Brokerage
    ) -> None:
        done = await invoke("erase", "--cpf-stdin", "--yes", given="123.456.789-00\n")

        assert done.exit_code == 2
        assert "123.456.789-00" not in done.output
        assert await environment.db.value("select count(*) from erasures") == 0


REPROCESS = ("events", "reprocess", "--lead", "lead", "--status", "completed", "--yes")


class TestReprocessFresh:
    async def test_asks_the_sources_again(self, environment: Brokerage) -> None:
        await environment.accept("lead", environment.people[0])
        await environment.work()

        done = await invoke(*REPROCESS, "--fresh")
        await environment.work()

        assert "1 of 1 events queued" in done.output
        assert len(environment.world.asked("work_api", "record")) == 2
        assert len(environment.messages("lead")) == 1

    async def test_is_not_what_a_plain_reprocess_does(self, environment: Brokerage) -> None:
        await environment.accept("lead", environment.people[0])
        await environment.work()

        done = await invoke(*REPROCESS)
        await environment.work()

        assert "1 of 1 events queued" in done.output

        assert len(environment.world.asked("work_api", "record")) == 1


class TestReconcile:
    """A process of its own, because it calls C2S."""

    async def run(self, stage: Stage, *arguments: str) -> tuple[int, str, str]:
        command = (sys.executable, "-m", "c2s_enrich", "reconcile", *arguments)
        process = await asyncio.create_subprocess_exec(
            *command, env=stage.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def test_names_what_was_missing_and_puts_it_into_the_queue(
        self, db: Database, tmp_path: Path
    ) -> None:
        async with Stage(tmp_path, db.url, size=5) as stage:
            await stage.start_simulators()
            (
                await stage.client.put(
                    f"{stage.simulators_url}/_sim/leads/missed",
                    json={"name": "Ana", "phone": "11987654321"},
                )
            ).raise_for_status()

            status, named, planned = await self.run(stage, "--since", "24h", "--dry-run")
            assert (status, await db.value("select count(*) from webhook_events")) == (0, 0)
            status, _, told = await self.run(stage, "--since", "24h")

        assert "missing: lead missed" in named
        assert "0 put into the queue" in planned
        assert "1 put into the queue" in told
        assert await db.fetch("select lead_id, hook_action from webhook_events") == [
            ("missed", "reconcile")
        ]

    async def test_says_in_one_line_that_c2s_does_not_answer(
        self, db: Database, tmp_path: Path
    ) -> None:
        async with Stage(tmp_path, db.url) as stage:
            status, out, err = await self.run(stage)

        assert (status, out) == (1, "")
        assert len([line for line in err.splitlines() if line.startswith("error: c2s: ")]) == 1

    async def test_refuses_a_span_that_it_cannot_read(self, environment: Brokerage) -> None:
        done = await invoke("reconcile", "--since", "yesterday")

        assert done.exit_code == 2
