"""The processes that stay, as commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ENVIRONMENT


class TestAProcessForSuspects:
    def test_whose_parent_has_ended_does_not_wait_for_the_database(self, tmp_path: Path) -> None:
        away = {"DATABASE_URL": f"postgresql://ana@/x?host={tmp_path}", "METRICS_PORT": "0"}
        command = [sys.executable, "-m", "c2s_enrich", "poller", "--suspects", "a-name"]

        ended = subprocess.run(
            command,
            input="",
            capture_output=True,
            env={"PATH": os.environ["PATH"], **ENVIRONMENT, **away},
            text=True,
            timeout=30,
            check=False,
        )

        assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
        assert '"stopped"' in ended.stderr
