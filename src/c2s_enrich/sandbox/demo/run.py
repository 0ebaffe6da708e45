"""`c2s-enrich demo`: builds the stage, plays the scenarios, shows what happens, and says whether
all of it was right.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex

import msgspec
import psycopg
from psycopg import sql
from rich.console import Console
from rich.live import Live

from c2s_enrich.migrations import migrate
from c2s_enrich.sandbox import postgres
from c2s_enrich.sandbox.demo.show import live_view, print_addresses, print_message, print_verdict
from c2s_enrich.sandbox.demo.story import Story, Verdict
from c2s_enrich.sandbox.simulators.scenarios import scenarios
from c2s_enrich.sandbox.simulators.world import World
from c2s_enrich.sandbox.stage import Stage, end_in_order

_DATABASES = "c2s_demo_"
# An outage of seconds must be over within seconds here; a real one is met with patience.
_PACE = {"BACKOFF_BASE": "1", "PAUSE_BASE": "1", "LOG_LEVEL": "info"}
_PEOPLE = 100


def run_demo(*, once: bool, as_json: bool) -> int:
    """Returns the exit status: 0 only when every event reached the status that it should."""
    console = Console(stderr=as_json)
    watched = console.is_terminal and not once
    end_in_order()
    with suppress(KeyboardInterrupt):
        with postgres.start() as server:
            verdict = asyncio.run(_demo(server, console, watched))
        if as_json:
            figures = {name: value for name, value in asdict(verdict).items() if name != "problems"}
            sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
        return 1 if verdict.problems else 0
    return 0 if watched else 130


async def _demo(server: postgres.EmbeddedServer, console: Console, watched: bool) -> Verdict:
    began = time.perf_counter()
    url = await _fresh_database(server)
    await migrate(url)
    folder = _fresh_folder(Path(server.base) / "demo", url)
    async with (
        Stage(folder, url, size=_PEOPLE, settings=_PACE) as stage,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        await stage.start_simulators()
        await stage.start_web()
        stage.start_poller()
        if watched:
            await stage.start_ops()
        with World(1, size=_PEOPLE) as world:
            story = Story(stage, connection, scenarios(world))
            person = next(each for each in reversed(world.people) if each.has_record)
        if watched:
            await _play_live(story, console)
        else:
            await story.play(0.02)
        verdict = await story.judge()
        verdict.seconds = round(time.perf_counter() - began, 2)
        print_message(console, await story.a_message())
        print_verdict(console, verdict)
        if watched:
            customer = {"name": person.name, "phone": person.phone, "email": person.email}
            print_addresses(console, stage, await story.a_failed_lead(customer))
            console.print("\nStill running. Press Ctrl-C to stop.")
            await asyncio.Event().wait()
    return verdict


async def _play_live(story: Story, console: Console) -> None:
    with Live(console=console, refresh_per_second=10) as live:
        playing = asyncio.create_task(story.play(0.7))
        # The story has a connection of its own for one statement at a time, so both take turns on
        # it.
        while not playing.done():
            live.update(live_view(await story.progress(), story, console.width, console.height))
            await asyncio.wait([playing], timeout=0.15)
        live.update(live_view(await story.progress(), story, console.width, console.height))
        await playing


def _fresh_folder(demos: Path, url: str) -> Path:
    """Where this demo's logs go. Those of demos that have ended are removed: a running one holds
    its folder's lock.
    """
    for old in demos.glob("*/lock"):
        with old.open("a") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old.parent, ignore_errors=True)
    folder = demos / url.partition(_DATABASES)[2].partition("?")[0]
    folder.mkdir(parents=True)
    # Held until this process ends, however it ends.
    held = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    return folder


async def _fresh_database(server: postgres.EmbeddedServer) -> str:
    """A database of this demo's own. Those of earlier demos are dropped, unless somebody is still
    looking at them.
    """
    name = _DATABASES + token_hex(4)
    async with await psycopg.AsyncConnection.connect(server.url, autocommit=True) as connection:
        rows = await connection.execute(
            "select datname from pg_database where starts_with(datname, %s)", (_DATABASES,)
        )
        for (old,) in await rows.fetchall():
            with suppress(psycopg.errors.ObjectInUse):
                await connection.execute(
                    sql.SQL("drop database if exists {}").format(sql.Identifier(old))
                )
        await connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return server.url_of(name)
