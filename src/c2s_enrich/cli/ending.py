"""How a command and a process run and end, without typer: `entry.py` says why."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from c2s_enrich.cli.lazy import errors, redaction, settings, telemetry

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

T = TypeVar("T")

NOT_DONE, WRONG_CALL, NOT_FOUND, INTERRUPTED = 1, 2, 3, 130


def fail(sentence: str, status: int = WRONG_CALL) -> NoReturn:
    note(f"error: {sentence}")
    raise SystemExit(status)


def note(sentence: str) -> None:
    """Words for the person at the terminal; never data."""
    print(sentence, file=sys.stderr, flush=True)


def load_settings(
    process: settings.Process, said: Mapping[str, str] | None = None
) -> settings.Settings:
    """The environment's settings; what was `said` on the command line counts more."""
    try:
        return settings.Settings.load({**os.environ, **(said or {})}, process)
    except errors.SettingsError as error:
        for problem in error.problems:
            note(f"error: {problem}")
        raise SystemExit(WRONG_CALL) from None


def run(
    work: Coroutine[Any, Any, T], loop_factory: Callable[[], AbstractEventLoop] | None = None
) -> T:
    """The coroutine's answer; see `guarded`. A process that stays brings its own loop, and has
    nothing to say after it.
    """
    import asyncio

    from c2s_enrich.clock import leave_soon

    async def answer() -> T:
        try:
            with _told():
                answered = await work
        except SystemExit as end:
            print(end="", flush=True)
            left.callback(leave_soon(int(end.code or 0)).cancel)
            raise
        if loop_factory is not None:
            left.callback(leave_soon(0).cancel)
        return answered

    def looped() -> T:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(answer())

    with ExitStack() as left:
        return guarded(looped)


def guarded(work: Callable[[], T]) -> T:
    """Does it. An error that the user can do something about becomes one line and exit status 1."""
    try:
        with _told():
            return work()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


@contextmanager
def _told() -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        fail(f"{in_words(error)}. Commands need a login in c2s_ops, migrate the owner", NOT_DONE)
    except psycopg.errors.UndefinedTable as error:
        fail(f"{in_words(error)}: has c2s-enrich migrate run in this database?", NOT_DONE)
    except (errors.EnrichError, psycopg.Error, OSError) as error:
        unknown = isinstance(error, errors.LeadNotFound)
        fail(in_words(error), NOT_FOUND if unknown else NOT_DONE)


def in_words(error: BaseException) -> str:
    """The error in one line, without the environment's secrets, as in the logs of a process."""
    secrets = telemetry.logs.secrets_of(settings.Settings.read(os.environ)[0])
    return redaction.redact(redaction.redact_error(error), secrets)
