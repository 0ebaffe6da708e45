"""The Procfile's processes, as a runner such as honcho starts them, take a webhook to a message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import Database
from tests.promises.test_an_accepted_webhook_is_never_lost import _deliver_until, _until_all_ended

from c2s_enrich.sandbox.ports import free_port
from c2s_enrich.sandbox.simulators.world import World
from c2s_enrich.sandbox.stage import QUICK, Stage

PROCFILE = Path(__file__).parents[2] / "Procfile"


class TestTheProcessesOfTheProcfile:
    async def test_take_a_webhook_to_one_message(self, db: Database, tmp_path: Path) -> None:
        ops = free_port()
        more = {"ADMIN_TOKEN": "an-admin-token-of-a-stage", "OPS_PORT": str(ops)}
        async with Stage(tmp_path, db.url, size=60, settings=QUICK | more) as stage:
            await stage.start_simulators()
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            for line in PROCFILE.read_text().splitlines():
                name, command = line.split(": ", 1)
                # Its fixed ports may be somebody else's here.
                command = command.replace("METRICS_PORT=909", "METRICS_PORT=0 LEFT=")
                with stage.log_of(name).open("wb") as log:
                    stage.processes[name] = subprocess.Popen(  # noqa: ASYNC220 returns at once
                        ["sh", "-c", f"exec env {command}"],
                        env=stage.environment | {"PATH": path},
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
            await stage._answers("web", f"{stage.web_url}/livez")
            await stage._answers("ops", f"http://127.0.0.1:{ops}/livez")
            with World(1, size=60) as world:
                person = next(each for each in world.people if each.has_record)

            [lead] = await _deliver_until(stage, [person], f"{9:016x}")
            await _until_all_ended(db.url)

            told = (await stage.client.get(f"{stage.simulators_url}/_sim/messages")).json()["leads"]
            running = {name for name in stage.processes if stage.alive(name)}
        assert len(told[lead]) == 1
        assert running == {"simulators", "web", "poller", "ops"}
