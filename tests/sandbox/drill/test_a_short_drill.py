"""The whole drill, short: every kind of fault once, real processes, nothing lost or told twice."""

import json
import os
import subprocess
import sys

ZERO = (
    "lost",
    "messages_missing",
    "messages_duplicated",
    "messages_wrong",
    "stuck",
    "paid_twice",
)
COUNTED = (
    *("seed", "accepted", "messages_expected", "asked_again", "sent_through_again_by_hand"),
    *("rows_reset_by_hand", "pauses_ended_by_hand", "faults", "kills", "restarts", "seconds"),
)


class TestAShortDrill:
    def test_ends_with_zeros(self) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}

        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "c2s_enrich",
                "drill",
                "--seed",
                "53",
                "--minutes",
                "0.1",
                "--events",
                "60",
                "--json",
            ],
            capture_output=True,
            text=True,
            timeout=400,  # some 15 s where the machine has nothing else to do
            env=env,
            check=False,
        )

        assert ended.returncode == 0, ended.stderr[-4000:]
        told = json.loads(ended.stdout.splitlines()[-1])
        for count in ZERO:
            assert told[count] == 0, count
        assert told["accepted"] == 60
        assert told["messages_expected"] > 0
        assert told["kills"] > 0
        assert set(told) == {*ZERO, *COUNTED}
