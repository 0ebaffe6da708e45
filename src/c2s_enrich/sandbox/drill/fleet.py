"""The processes under fire, a supervisor that starts again what ended, and one method for each way
to hurt them.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

import httpx
import psycopg

from c2s_enrich.sandbox.drill.paid import Restore, Trouble
from c2s_enrich.sandbox.drill.plan import CUTS_OFF, FROZEN_SECONDS, ODD_CUTS_OFF, POLLERS, Strike
from c2s_enrich.sandbox.drill.proxy import Proxy
from c2s_enrich.sandbox.drill.servers import Servers
from c2s_enrich.sandbox.drill.store import DrillStore
from c2s_enrich.sandbox.postgres import EmbeddedServer
from c2s_enrich.sandbox.stage import QUICK, Stage

_ODD_AT_ONCE = 2
# It has to come up, to get an event, and to settle it after it woke.
_TO_FALL_ASLEEP_SECONDS = 5.0
_SUPERVISOR_SECONDS = 0.1
_OPERATOR_SECONDS = 0.5
_RESET_AT_ONCE, _RESET_AGAIN_SECONDS = 50, 0.3
# SIGTERM cuts off after the grace time; a lease that ran out, when its event is taken over.
_FELT_SECONDS = float(QUICK["LEASE_SECONDS"]) + 2.0
# Earlier than all that the traffic invents, and C2S lists its leads by those times.
_BEFORE_THE_TRAFFIC = "2020-01-01T00:00Z"


class Fleet:
    """`kills` counts processes that ended by a signal of ours or of their own, `restarts` what was
    started again, Postgres too.

    `resets` are the rows that were sent through again by hand, `held` those that a transaction kept
    locked, `resumed` the pauses that a refused credential began and a person ended. `troubles` are
    the strikes that can have cut off a paid call, `restores` what the database has forgotten.
    """

    def __init__(
        self, stage: Stage, server: EmbeddedServer, store: DrillStore, proxy: Proxy
    ) -> None:
        self.kills = self.restarts = self.resets = self.held = self.resumed = 0
        self.troubles: list[Trouble] = []
        self.restores: list[Restore] = []
        self._stage = stage
        self._servers = Servers(server, store, proxy)
        self._store = store
        self._proxy = proxy
        self._odd: deque[str] = deque()
        self._odd_started = 0
        self._refusing: set[str] = set()
        self._restoring = False
        self._may_poll = asyncio.Event()
        self._may_poll.set()

    async def start(self) -> None:
        """Everything up, in the order in which an operator would start it."""
        await self._stage.start_simulators()
        await self._stage.start_web()
        for name in POLLERS:
            self._stage.start_poller(name)

    async def supervise(self) -> None:
        """Starts again whatever has ended, for as long as it runs."""
        while True:
            for name in ("web", *(POLLERS if self._may_poll.is_set() else ())):
                if not self._stage.alive(name):
                    self._stage.start_again(name)
                    self.restarts += 1
            self._bury_the_odd()
            await asyncio.sleep(_SUPERVISOR_SECONDS)

    async def mend_credentials(self) -> None:
        """What an operator does, for as long as it runs: ends the pause of an upstream that takes
        our credential again.
        """
        while True:
            with suppress(psycopg.OperationalError):
                for upstream in set(await self._store.refused_credentials()) - self._refusing:
                    self.resumed += await self._stage.command("upstreams", "resume", upstream)
            await asyncio.sleep(_OPERATOR_SECONDS)

    async def strike(self, strike: Strike) -> None:
        """Does it and, where it lasts, undoes it."""
        began = time.monotonic()
        try:
            await self._strike(strike)
        finally:
            if most := CUTS_OFF.get(strike.fault):
                self.troubles.append(Trouble(began, time.monotonic() + _FELT_SECONDS, most))

    async def _strike(self, strike: Strike) -> None:
        match strike.fault:
            case "kill_poller" | "kill_web":
                self.kills += self._stage.kill(strike.target)
            case "terminate_poller" | "terminate_web":
                self.kills += self._stage.signal(strike.target, signal.SIGTERM)
            case "die_at" | "clock":
                await self._may_poll.wait()
                while len(self._odd) >= _ODD_AT_ONCE:
                    self._end_odd(self._odd.popleft())
                self._odd.append(self._start_odd(strike.fault, strike.target))
            case "sleep_at":
                await self._may_poll.wait()
                sleeper = self._start_odd(strike.fault, strike.target)
                until = time.monotonic() + _TO_FALL_ASLEEP_SECONDS + FROZEN_SECONDS
                while self._stage.alive(sleeper) and time.monotonic() < until:
                    await asyncio.sleep(_SUPERVISOR_SECONDS)
                self._end_odd(sleeper)
            case "zombie" | "freeze_web":
                await self._freeze(strike.target)
            case "postgres_fast":
                await self._servers.stop_for("fast", strike.seconds)
                self.restarts += 1
            case "postgres_immediate":
                await self._servers.stop_for("immediate", strike.seconds)
                self.restarts += 1
            # To their end, even where the drill's time is over: half of it leaves no server.
            case "promotion":
                await asyncio.shield(self._servers.promote_a_standby())
                self.restarts += 1
            case "restore":
                # One at a time: a copy that waits for its turn grows too old.
                if not self._restoring:
                    await asyncio.shield(self._restore(strike.seconds))
            case "disk_full":
                with suppress(psycopg.OperationalError):
                    await self._store.fill_disk(strike.seconds)
            case "commit_lost":
                await self._proxy.swallow(strike.seconds)
            case "silence":
                await self._proxy.be_silent(FROZEN_SECONDS)
            case "connections_cut":
                # Where the server is just down, there is nothing left to cut.
                with suppress(psycopg.OperationalError):
                    await self._store.cut_connections()
            case "notify_lost":
                with suppress(psycopg.OperationalError):
                    await self._store.cut_listeners()
            case "transaction_held":
                self.held += await _once_it_answers(
                    lambda: self._store.hold(strike.target, strike.seconds)
                )
            case "operator_resets":
                await self._reset(
                    None if strike.target == "all" else _RESET_AT_ONCE, strike.seconds
                )
            case "refuse_credential":
                await self._refuse_credential(strike.target, strike.seconds)
            case "accept_then_lose":
                await self._lose_answers(
                    strike.seconds, with_hook=strike.target == "answer_and_hook"
                )
            case _:
                await self._spoil(strike)

    async def heal(self) -> None:
        """Ends every fault: what comes after it is only the product's own doing."""
        async with self._servers.busy:
            pass  # whoever was just stopping or replacing the server has come to an end
        for upstream in ("c2s", "diretrix", "work_api"):
            await self._dial(upstream)
        await self._hook("subscribe")
        while self._odd:
            self._end_odd(self._odd.popleft())

    def close(self) -> None:
        """Stops the server that took the first one's place."""
        self._servers.close()

    async def _reset(self, most: int | None, seconds: float) -> None:
        """Again and again: what one reset has brought, the next one finds in flight."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.resets += await _once_it_answers(lambda: self._store.reset(most))
            await asyncio.sleep(_RESET_AGAIN_SECONDS)

    async def _freeze(self, name: str) -> None:
        process = self._stage.processes[name]
        if not self._stage.signal(name, signal.SIGSTOP):
            return
        try:
            await asyncio.sleep(FROZEN_SECONDS)
        finally:
            # This very process: its name may belong to a successor by now.
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)

    async def _restore(self, age: float) -> None:
        """As docs/operations.md says: no poller runs until `restored` has gone well."""
        self._restoring, began = True, time.monotonic()
        told: frozenset[tuple[str, str]] = frozenset()

        async def stop_polling() -> None:
            nonlocal told
            self._may_poll.clear()
            for name in set(self._stage.processes) - {"web", "simulators"}:
                self.kills += self._stage.kill(name)
            told = frozenset(
                (lead, text) for lead, texts in (await self._stage.told()).items() for text in texts
            )

        async def say_so() -> None:
            while not await self._stage.command("restored", "--since", _BEFORE_THE_TRAFFIC):
                await asyncio.sleep(_OPERATOR_SECONDS)

        await self._servers.put_back_a_copy(age, stop_polling, say_so)
        self.restores.append(Restore(began, time.monotonic(), told))
        self.restarts += 1
        self._may_poll.set()
        self._restoring = False

    async def _spoil(self, strike: Strike) -> None:
        fault: dict[str, object] = {"kind": strike.fault, "probability": 0.7}
        match strike.fault:
            case "slow":
                fault["seconds"] = 1.0
            case "hang":
                fault["seconds"] = 10.0
            case "throttle":
                fault["retry_after"] = "1"
        await self._dial(strike.target, fault)
        await asyncio.sleep(strike.seconds)
        await self._dial(strike.target)

    async def _refuse_credential(self, upstream: str, seconds: float) -> None:
        self._refusing.add(upstream)
        await self._dial(upstream, {"kind": "unauthorised"})
        await asyncio.sleep(seconds)
        await self._dial(upstream)
        self._refusing.discard(upstream)

    async def _lose_answers(self, seconds: float, *, with_hook: bool) -> None:
        """C2S takes each message and cuts the line; where its hook is lost too, nothing but the
        lead itself shows the message.
        """
        if with_hook:
            await self._hook("unsubscribe")
        await self._dial("c2s", {"kind": "accept_then_lose", "call": "message"})
        await asyncio.sleep(seconds)
        await self._dial("c2s")
        if with_hook:
            await self._hook("subscribe")

    async def _hook(self, verb: Literal["subscribe", "unsubscribe"]) -> None:
        # Another fault of C2S may spoil this very call; `heal` comes when there is none.
        with suppress(httpx.TransportError):
            await self._stage.client.post(
                f"{self._stage.simulators_url}/c2s/api/{verb}",
                json={
                    "hook_action": "on_update_lead",
                    "hook_url": f"{self._stage.web_url}/api/v1/webhooks/c2s",
                },
                headers={"Authorization": f"Bearer {self._stage.environment['C2S_TOKEN']}"},
            )

    async def _dial(self, upstream: str, *faults: dict[str, object]) -> None:
        await self._stage.ask_simulators("PUT", f"/_sim/faults/{upstream}", faults)

    def _start_odd(self, kind: str, value: str) -> str:
        self._odd_started += 1
        name = f"odd-{self._odd_started}-{kind}-{value.replace(':', '-')}"
        # One event at once: each death is at one point of one event, and no other send is on its
        # way while it sleeps.
        self._stage.start_poller(
            name, ("-m", "c2s_enrich.sandbox.drill.odd_poller", kind, value), CONCURRENCY="1"
        )
        return name

    def _end_odd(self, name: str) -> None:
        self.kills += self._stage.kill(name)
        self._odd_ended()

    def _odd_ended(self) -> None:
        now = time.monotonic()
        self.troubles.append(Trouble(now - _FELT_SECONDS, now, ODD_CUTS_OFF))

    def _bury_the_odd(self) -> None:
        for name in [name for name in self._odd if not self._stage.alive(name)]:
            self._odd.remove(name)
            self.kills += 1
            self._odd_ended()


async def _once_it_answers(ask: Callable[[], Awaitable[int]]) -> int:
    """What a person does whom no server or only a standby answered: the same again."""
    while True:
        with suppress(psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction):
            return await ask()
        await asyncio.sleep(_OPERATOR_SECONDS)
