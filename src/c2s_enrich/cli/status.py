"""How the service does: `status`, `pollers`, `doctor`, and the questions of `sql/runbook/`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from typer import Argument, Exit, Option, echo

from c2s_enrich.cli import frame
from c2s_enrich.cli.ending import NOT_DONE, fail, guarded, note, run
from c2s_enrich.cli.lazy import database, ops, people, settings, telemetry, upstreams, wiring
from c2s_enrich.cli.printing import print_json, print_table, visible

_WATCH_SECONDS = 2.0
# Nobody's: the exchange 0000 is not given out.
_NOBODYS_PHONE = "+5511900000000"


def status(
    watch: Annotated[bool, Option("--watch", help="Again every 2 s, until Ctrl-C.")] = False,
    as_json: frame.AsJson = False,
) -> None:
    """What a person should know, and what waits. Exit status 1: something is wrong."""
    while True:
        said = frame.with_pool(look)
        if watch and sys.stdout.isatty():
            echo("\033[H\033[2J", nl=False)
        if as_json:
            print_json(said)
        else:
            for problem in said["problems"]:
                echo(f"! {problem.sentence}  {problem.command}".rstrip())
            if not said["problems"]:
                echo("All is well.")
            print_table(said["queue"], empty="Nothing waits and nothing failed.")
        if not watch:
            raise Exit(NOT_DONE if said["problems"] else 0)
        guarded(lambda: time.sleep(_WATCH_SECONDS))


async def look(pool: database.Pool) -> dict[str, Any]:
    facts = await ops.store.OpsStore(pool).facts()
    queue = await ops.runbook.answer(pool, "queue")
    return {"problems": ops.problems.problems_of(facts), "queue": queue}


def pollers(as_json: frame.AsJson = False) -> None:
    """Pollers by their last sign of life."""
    show("pollers", "No poller runs: start one with `c2s-enrich poller`.", as_json=as_json)


def runbook(
    name: Annotated[str | None, Argument(help="none: list the questions")] = None,
    as_csv: frame.AsCsv = False,
    as_json: frame.AsJson = False,
) -> None:
    """Answer one of the questions of sql/runbook, read-only.

    c2s-enrich runbook leads_by_seller --csv
    """
    known = ops.runbook.questions()
    if name is None:
        rows = [{"name": each, "question": text} for each, text in known.items()]
        return print_table(rows, as_json=as_json, as_csv=as_csv)
    if name not in known:
        fail(f"there is no question `{name}`{ops.filters.nearest(name, known)}")
    return show(name, f"No rows: {known[name]}", as_json=as_json, as_csv=as_csv)


def show(
    name: str, empty: str, *, as_json: bool, as_csv: bool = False, limit: int | None = None
) -> None:
    """The rows of one question, at most `limit`."""
    rows = frame.with_pool(lambda pool: ops.runbook.answer(pool, name))[:limit]
    print_table(rows, as_json=as_json, as_csv=as_csv, empty=empty)


def doctor(
    online: Annotated[bool, Option("--online", help="Ask C2S who our token belongs to.")] = False,
    paid: Annotated[
        bool, Option("--paid", help="Ask Diretrix and Work API too: one paid call each.")
    ] = False,
    production: Annotated[
        bool, Option("--production", help="Check what a production needs as well.")
    ] = False,
    as_json: frame.AsJson = False,
) -> None:
    """Check settings, database, schema and service. Exit status 1 where something is wrong.

    \b
    c2s-enrich doctor
    c2s-enrich doctor --production --online
    """
    if paid:
        note("--paid calls Diretrix and the Work API once each; both may be charged.")
    checks = run(_checks(online or paid, paid, production))
    if as_json:
        print_json(checks)
    else:
        for check in checks:
            sign = {True: "ok  ", False: "BAD ", None: "    "}[check.good]
            echo(f"{sign}{check.area}: {visible(check.sentence)}")
    raise Exit(NOT_DONE if any(check.good is False for check in checks) else 0)


async def _checks(online: bool, paid: bool, production: bool) -> list[ops.doctor.Check]:
    given, _ = settings.Settings.read(os.environ)
    telemetry.logs.configure_logging(given, "command")
    checks = list(ops.doctor.check_settings(os.environ))
    if production:
        checks += ops.doctor.check_production(given, os.environ)
    if not given.database_url:
        return checks
    found = [check async for check in ops.doctor.check_database(given)]
    checks += [check for check in found if production or check.area != "production"]
    if all(check.good for check in found if check.area == "database"):
        async with database.open_pool(given, name="doctor") as pool:
            store = ops.store.OpsStore(pool)
            checks += [check async for check in ops.doctor.check_service(store)]
            if production:
                set_up = ops.doctor.check_set_up(store, online=online)
                checks += [check async for check in set_up]
            if online:
                checks += await _online_checks(given, pool, paid)
    return checks


async def _online_checks(
    given: settings.Settings, pool: database.Pool, paid: bool
) -> list[ops.doctor.Check]:
    unlimited = upstreams.limits.NoLimits
    async with wiring.open_upstreams(given, pool, limited_by=unlimited) as services:
        phone = people.contact.Phone(_NOBODYS_PHONE, _NOBODYS_PHONE.removeprefix("+55"))
        calls: dict[str, Callable[[], Awaitable[object]]] = {"c2s": services.c2s.me}
        if paid:
            calls["diretrix"] = lambda: services.diretrix.by_phone(phone)
            calls["work_api"] = lambda: services.work_api.by_phone(phone)
        return [check async for check in ops.doctor.check_calls(calls)]
