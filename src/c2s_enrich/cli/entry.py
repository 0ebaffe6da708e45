"""The console script: a process that stays begins at once, any other command by its library."""

from __future__ import annotations

import sys


def main() -> None:
    from c2s_enrich.cli.stay import PROCESSES, poller

    match sys.argv[1:]:
        case [name] if name in PROCESSES:
            PROCESSES[name]()
        case ["poller", "--suspects", name]:
            poller(suspects=name)
        case _:
            from c2s_enrich.cli.main import main as command

            command()
