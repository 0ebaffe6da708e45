"""`doctor`: what can be checked from here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from c2s_enrich.cli import ending, frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from c2s_enrich.ops.doctor import Check

# Nobody's: the exchange 0000 is not given out.
_NOBODYS_PHONE = "+5511900000000"


def doctor(
    online: Annotated[
        bool, typer.Option("--online", help="Ask C2S who our token belongs to.")
    ] = False,
    paid: Annotated[
        bool, typer.Option("--paid", help="Ask Diretrix and Work API too: one paid call each.")
    ] = False,
    production: Annotated[
        bool, typer.Option("--production", help="Check what a production needs as well.")
    ] = False,
    as_json: frame.AsJson = False,
) -> None:
    """Check settings, database, schema and service. Exit status 1 where something is wrong.

    \b
    c2s-enrich doctor
    c2s-enrich doctor --production --online
    """
    if paid:
        ending.note("--paid calls Diretrix and the Work API once each; both may be charged.")
    checks = ending.run(_all(online or paid, paid, production))
    if as_json:
        frame.print_json(checks)
    else:
        for check in checks:
            sign = {True: "ok  ", False: "BAD ", None: "    "}[check.good]
            typer.echo(f"{sign}{check.area}: {frame.visible(check.sentence)}")
    raise typer.Exit(ending.NOT_DONE if any(check.good is False for check in checks) else 0)


async def _all(online: bool, paid: bool, production: bool) -> list[Check]:
    from c2s_enrich.database import open_pool
    from c2s_enrich.ops import doctor as ops
    from c2s_enrich.ops.store import OpsStore
    from c2s_enrich.settings import Settings

    settings, _ = Settings.read(os.environ)
    frame.log_to_stderr(settings)
    checks = list(ops.check_settings(os.environ))
    if production:
        checks += ops.check_production(settings, os.environ)
    if not settings.database_url:
        return checks
    found = [check async for check in ops.check_database(settings)]
    checks += [check for check in found if production or check.area != "production"]
    if all(check.good for check in found if check.area == "database"):
        async with open_pool(settings, name="doctor") as pool:
            checks += [check async for check in ops.check_service(OpsStore(pool))]
            if production:
                set_up = ops.check_set_up(OpsStore(pool), online=online)
                checks += [check async for check in set_up]
            if online:
                checks += await _online(settings, pool, paid)
    return checks


async def _online(settings: frame.Settings, pool: frame.Pool, paid: bool) -> list[Check]:
    from c2s_enrich.ops.doctor import check_calls
    from c2s_enrich.people.contact import Phone
    from c2s_enrich.upstreams.limits import NoLimits
    from c2s_enrich.wiring import open_upstreams

    async with open_upstreams(settings, pool, limited_by=NoLimits) as upstreams:
        phone = Phone(_NOBODYS_PHONE, _NOBODYS_PHONE.removeprefix("+55"))
        calls: dict[str, Callable[[], Awaitable[object]]] = {"c2s": upstreams.c2s.me}
        if paid:
            calls["diretrix"] = lambda: upstreams.diretrix.by_phone(phone)
            calls["work_api"] = lambda: upstreams.work_api.by_phone(phone)
        return [check async for check in check_calls(calls)]
