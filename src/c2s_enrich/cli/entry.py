"""The console script: a process that stays begins at once, any other command by its library."""

import os
import sys


def main() -> None:
    keep_standard_files_taken()
    from c2s_enrich.cli.stay import PROCESSES, poller

    match sys.argv[1:]:
        case [name] if name in PROCESSES:
            PROCESSES[name]()
        case ["poller", "--suspects", name]:
            poller(suspects=name)
        case _:
            from c2s_enrich.cli.main import main as command

            command()


def keep_standard_files_taken() -> None:
    """Else a socket may get a missing one's number, and libuv aborts when it closes it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
