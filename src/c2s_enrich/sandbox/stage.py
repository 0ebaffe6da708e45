"""The stage: real processes on this machine's loopback, around one database. The demo and the drill
play on it.

It starts and ends processes and knows how to reach them. It sends no traffic and judges nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from c2s_enrich.errors import EnrichError
from c2s_enrich.sandbox import warm
from c2s_enrich.sandbox.ports import free_port

# Values of the simulated world: nothing real accepts them.
WEBHOOK_TOKEN = "demo-webhook-token"  # noqa: S105
ADMIN_TOKEN = "demo-admin-token"  # noqa: S105
# Settings under which a lost lease, an outage or an unclear send is over within seconds; the rules
# between the numbers are the real ones.
QUICK = {
    "LEASE_SECONDS": "4",
    "C2S_TIMEOUT": "2",
    "SETTLE_SECONDS": "3",
    "SECOND_LOOK_SECONDS": "1",
    "BACKOFF_BASE": "0.5",
    "BACKOFF_CAP": "2",
    "PAUSE_BASE": "0.5",
    "PAUSE_CAP": "2",
    "IDLE_POLL": "1",
    "GRACE_SECONDS": "3",
}
_READY_SECONDS = 30.0


def end_in_order() -> None:
    """SIGTERM ends a run as Ctrl-C does, so that its server is stopped in order. SIGINT is ignored
    by what a script starts in the background.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


class StageError(EnrichError):
    """A process of the stage did not come up, or ended by itself."""


class Stage:
    """Processes by name. `settings` are environment variables for web and pollers, over the stage's
    own.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        seed: int = 1,
        size: int = 500,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.database_url = database_url
        self._seed = seed
        self._size = size
        self._settings = dict(settings or {})
        self.simulators_port = free_port()
        self.web_port = free_port()
        self.ops_port = free_port()
        self.processes: dict[str, warm.Child | subprocess.Popen[bytes]] = {}
        self._calls: dict[str, tuple[Sequence[str], Mapping[str, str] | None]] = {}
        # The simulators close a connection after five idle seconds, so it is not used that long.
        kept = httpx.Limits(keepalive_expiry=2.0)
        self.client = httpx.AsyncClient(timeout=10.0, trust_env=False, limits=kept)

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end_all()
        await self.client.aclose()

    @property
    def simulators_url(self) -> str:
        return f"http://127.0.0.1:{self.simulators_port}"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def ops_url(self) -> str:
        return f"http://127.0.0.1:{self.ops_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What web and pollers run with: the machine's environment without anybody's settings, and
        the stage's.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV")
        }
        return (
            kept
            | {
                "DATABASE_URL": self.database_url,
                "HOST": "127.0.0.1",
                "PORT": str(self.web_port),
                "OPS_PORT": str(self.ops_port),
                "METRICS_PORT": "0",
                "ADMIN_TOKEN": ADMIN_TOKEN,
                "WEBHOOK_SECRET": WEBHOOK_TOKEN,
                "HASH_KEY": "the-hash-key-of-a-stage-and-no-secret",
                "C2S_BASE_URL": f"{self.simulators_url}/c2s",
                "C2S_TOKEN": "a-c2s-token",
                "C2S_MIN_INTERVAL": "0",
                "DIRETRIX_BASE_URL": f"{self.simulators_url}/diretrix",
                "DIRETRIX_USER": "a-user",
                "DIRETRIX_PASS": "a-password",
                "WORK_API_BASE_URL": f"{self.simulators_url}/work_api",
                "WORK_API_TOKEN": "a-work-token",
                "WORK_API_MIN_INTERVAL": "0",
            }
            | self._settings
        )

    async def start_simulators(self) -> None:
        """The three upstreams, with a journal: killed and started again they know what they
        knew.
        """
        self._start(
            "simulators",
            [
                *(
                    "-m",
                    "c2s_enrich.sandbox.simulators",
                    "--port",
                    str(self.simulators_port),
                    "--seed",
                    str(self._seed),
                    "--size",
                    str(self._size),
                ),
                *("--journal", str(self.folder / "simulators.jsonl")),
                *(
                    "--hook-url",
                    f"{self.web_url}/api/v1/webhooks/c2s",
                    "--hook-token",
                    WEBHOOK_TOKEN,
                ),
            ],
        )
        await self._answers("simulators", f"{self.simulators_url}/_sim/faults")

    async def start_web(self, *options: str) -> None:
        self._start("web", ["-m", "c2s_enrich", "web", *options])
        await self._answers("web", f"{self.web_url}/livez")

    async def start_ops(self) -> None:
        self._start("ops", ["-m", "c2s_enrich", "ops"])
        await self._answers("ops", f"{self.ops_url}/livez")

    def start_poller(
        self,
        name: str = "poller",
        arguments: Sequence[str] = ("-m", "c2s_enrich", "poller"),
        **settings: str,
    ) -> None:
        self._start(name, arguments, settings)

    def start_again(self, name: str) -> None:
        """Starts a process that has ended with the call that it was started with, as a supervisor
        does: nobody waits until it is up.
        """
        arguments, settings = self._calls[name]
        self._start(name, arguments, settings)

    async def command(self, *words: str) -> bool:
        """What an operator types after `c2s-enrich`; whether it went well."""
        status, _ = await self.ask(*words)
        return status == 0

    async def ask(self, *words: str) -> tuple[int, str]:
        """The same; its exit status, and what it said."""
        with tempfile.TemporaryFile() as said:
            process = warm.start(["-m", "c2s_enrich", *words], self.environment, self.folder, said)
            status = await asyncio.to_thread(process.wait)
            said.seek(0)
            return status, said.read().decode()

    async def ask_simulators(self, method: str, path: str, json: object = None) -> httpx.Response:
        """Over a connection of its own: one that rests may be closed under the next request.
        Raises httpx.TransportError, HTTPStatusError.
        """
        url, alone = self.simulators_url + path, {"Connection": "close"}
        answer = await self.client.request(method, url, json=json, headers=alone)
        return answer.raise_for_status()

    async def told(self) -> dict[str, list[str]]:
        """What C2S has received, by lead, in the order of arrival."""
        answer = await self.ask_simulators("GET", "/_sim/messages")
        return {
            lead: [message["body"] for message in messages]
            for lead, messages in answer.json()["leads"].items()
        }

    def alive(self, name: str) -> bool:
        process = self.processes.get(name)
        return process is not None and process.poll() is None

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Sends a signal; False when the process is gone already."""
        if not self.alive(name):
            return False
        self.processes[name].send_signal(number)
        return True

    def kill(self, name: str) -> bool:
        """kill -9, and waits until it is gone."""
        sent = self.signal(name, signal.SIGKILL)
        if sent:
            self.processes[name].wait()
        return sent

    def end_all(self, patience: float = 0.6) -> None:
        """SIGTERM to all, SIGKILL to what is still there after `patience` seconds."""
        running = [process for process in self.processes.values() if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        until = time.monotonic() + patience
        for process in running:
            try:
                process.wait(max(0.01, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log_of(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _start(
        self, name: str, arguments: Sequence[str], settings: Mapping[str, str] | None = None
    ) -> None:
        self._calls[name] = (arguments, settings)
        with self.log_of(name).open("ab") as log:
            self.processes[name] = warm.start(
                arguments, self.environment | dict(settings or {}), self.folder, log
            )

    async def _answers(self, name: str, url: str) -> None:
        until = time.monotonic() + _READY_SECONDS
        while time.monotonic() < until:
            if not self.alive(name):
                break
            try:
                await self.client.get(url)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
        tail = self.log_of(name).read_text(errors="replace")[-2000:]
        raise StageError(f"{name} did not come up; the end of its log:\n{tail}")
