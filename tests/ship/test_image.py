"""The container image, built and run with whatever this machine has. `make test-image` runs it.

Docker, podman or buildah builds. Where the base image cannot be pulled, a stand-in is made from
Debian's packages (debootstrap), so that the build itself is still the real one.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import Database
from tests.promises.test_an_accepted_webhook_is_never_lost import _deliver_until, _until_all_ended

from c2s_enrich.sandbox.ports import free_port
from c2s_enrich.sandbox.postgres import start_throwaway
from c2s_enrich.sandbox.simulators.world import World
from c2s_enrich.sandbox.stage import QUICK, Stage

ROOT = Path(__file__).parents[2]
STAND_IN = "localhost/c2s-enrich-stand-in:bookworm"
REVISION = "0123abc"
IMAGE = f"c2s-enrich:{REVISION}"

pytestmark = pytest.mark.skipif(
    "TEST_IMAGE" not in os.environ, reason="builds a container image: make test-image"
)


@dataclass(frozen=True)
class Builder:
    """One of the three programs, and how it is called here."""

    name: str
    base: str

    def run(self, *arguments: str, seconds: float = 900) -> str:
        command = [self.name, *self._storage(), *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    def _storage(self) -> list[str]:
        # Overlays on overlays are refused in most sandboxes; plain folders work everywhere.
        return ["--storage-driver", "vfs"] if self.name == "buildah" else []

    def build(self) -> None:
        how = ["bud", "--isolation", "chroot"] if self.name == "buildah" else ["build"]
        certificates = os.environ.get("PIP_CERT")
        # A machine with an index of its own hands its settings on; nothing of them stays.
        mounts = [
            f"--volume={path}:{path}:ro"
            for path in ("/etc/pip.conf", certificates)
            if path and Path(path).exists() and self.name != "docker"
        ]
        arguments = ["--build-arg", f"BASE={self.base}", "--build-arg", f"REVISION={REVISION}"]
        self.run(*how, "--network", "host", *mounts, *arguments, "-t", IMAGE, ".")

    def start(self, name: str, env: dict[str, str], *command: str) -> list[str]:
        """The command that runs the image in the foreground on this machine's own network."""
        given = [f"--env={key}={value}" for key, value in env.items()]
        if self.name == "buildah":
            self.run("from", "--name", name, IMAGE)
            options = ["run", "--isolation", "chroot", "--user", "10001:10001", *given, name, "--"]
        else:
            options = ["run", "--rm", "--name", name, "--read-only", "--network", "host", *given]
            options.append(IMAGE)
        return [self.name, *self._storage(), *options, *command]

    def megabytes(self, image: str) -> float:
        if self.name == "buildah":
            listed = json.loads(self.run("images", "--json", image))
            number, unit = listed[0]["size"].split()
            return float(number) * {"MB": 1, "GB": 1000, "KB": 0.001}[unit]
        return int(self.run("image", "inspect", "--format", "{{.Size}}", image)) / 1e6

    def remove(self, name: str) -> None:
        words = ["rm", name] if self.name == "buildah" else ["rm", "--force", name]
        subprocess.run([self.name, *self._storage(), *words], capture_output=True, check=False)


def works(name: str) -> bool:
    if shutil.which(name) is None:
        return False
    words = ["images"] if name == "buildah" else ["info"]
    ended = subprocess.run([name, *words], capture_output=True, timeout=30, check=False)
    return ended.returncode == 0


def make_stand_in(builder: str, folder: Path) -> str:
    """A base with Debian's Python. Raises AssertionError with the program's last words."""
    root = folder / "root"
    packages = "--include=python3,python3-venv,ca-certificates"
    command = ["debootstrap", "--variant=minbase", packages, "bookworm", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout[-1500:]
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY root /\n")
    storage = ["--storage-driver", "vfs"] if builder == "buildah" else []
    how = ["bud", "--isolation", "chroot"] if builder == "buildah" else ["build"]
    command = [builder, *storage, *how, "-t", STAND_IN, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-1500:]
    return STAND_IN


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    name = next(filter(works, ("docker", "podman", "buildah")), None)
    if name is None:
        pytest.fail("no Docker, podman or buildah answers: apt-get install buildah debootstrap")
    wanted = re.search(r"^ARG BASE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert wanted is not None
    storage = ["--storage-driver", "vfs"] if name == "buildah" else []
    for base, pull in ((STAND_IN, False), (wanted[1], True)):
        if pull:
            command = [name, *storage, "pull", "--quiet", base]
            found = subprocess.run(command, capture_output=True, timeout=300, check=False)
        else:
            words = ["inspect", "--type", "image"] if name == "buildah" else ["image", "inspect"]
            command = [name, *storage, *words, base]
            found = subprocess.run(command, capture_output=True, timeout=60, check=False)
        if found.returncode == 0:
            return Builder(name, base)
    return Builder(name, make_stand_in(name, tmp_path_factory.mktemp("stand-in")))


@pytest.fixture(scope="module")
def built(builder: Builder) -> Builder:
    builder.build()
    return builder


class TestTheImage:
    def test_adds_at_most_60_megabytes_to_its_base(self, built: Builder) -> None:
        added = built.megabytes(IMAGE) - built.megabytes(built.base)

        print(f"{built.name}: {added:.0f} MB on top of {built.base}")
        assert added <= 60

    def test_says_which_revision_it_is(self, built: Builder) -> None:
        command = built.start("c2s-version", {}, "c2s-enrich", "--version")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        finally:
            built.remove("c2s-version")

        assert REVISION in done.stdout, done.stderr

    def test_starts_web_as_nobody_in_particular(
        self, built: Builder, db: Database, tmp_path: Path
    ) -> None:
        env = {
            "DATABASE_URL": db.url,
            "WEBHOOK_SECRET": "a-webhook-secret",
            "HOST": "127.0.0.1",
            "PORT": "18099",
            "METRICS_PORT": "0",
        }
        command = built.start("c2s-web", env, "c2s-enrich", "web")
        began = time.monotonic()
        log = tmp_path / "web.log"
        with log.open("w") as sink:
            web = subprocess.Popen(command, stdout=sink, stderr=sink)
        try:
            while True:
                try:
                    urllib.request.urlopen("http://127.0.0.1:18099/livez", timeout=1).close()
                    break
                except OSError:
                    assert web.poll() is None, log.read_text()
                    assert time.monotonic() - began < 60
                    time.sleep(0.05)
            print(f"web answered after {time.monotonic() - began:.1f} s, its container included")
        finally:
            web.terminate()
            web.wait(40)
            built.remove("c2s-web")


class TestWhatComposeStarts:
    async def test_takes_a_webhook_to_one_message(self, built: Builder, tmp_path: Path) -> None:
        """Its commands and its environment, out of the image, in its order; where no daemon brings
        compose along they share this machine's network, so each gets ports of its own.
        """
        services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
        port = str(free_port())
        listening = {"listen_addresses": "127.0.0.1", "port": port}
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        with start_throwaway(settings=listening):
            await self._take_a_webhook_to_a_message(built, services, url, tmp_path)

    async def _take_a_webhook_to_a_message(
        self, built: Builder, services: dict[str, Any], url: str, folder: Path
    ) -> None:
        async with Stage(folder, url, size=60, settings=QUICK) as stage:
            await stage.start_simulators()
            own = stage.environment | {"METRICS_PORT": "0", "OPS_PORT": str(stage.ops_port)}
            own = {key: own[key] for key in own.keys() - os.environ.keys()}
            calls = {
                name: built.start(
                    f"c2s-{name}", service["environment"] | own, *service["command"].split()
                )
                for name, service in services.items()
                if name != "postgres"
            }
            try:
                await asyncio.to_thread(subprocess.run, calls.pop("migrate"), check=True)
                for name, call in calls.items():
                    with stage.log_of(name).open("wb") as log:
                        stage.processes[name] = subprocess.Popen(  # noqa: ASYNC220 at once
                            call, stdout=log, stderr=log, start_new_session=True
                        )
                await stage._answers("web", f"{stage.web_url}/livez")
                await stage._answers("ops", f"http://127.0.0.1:{stage.ops_port}/livez")
                with World(1, size=60) as world:
                    person = next(each for each in world.people if each.has_record)
                [lead] = await _deliver_until(stage, [person], f"{9:016x}")
                await _until_all_ended(url)
                answer = await stage.client.get(f"{stage.simulators_url}/_sim/messages")
            finally:
                stage.end_all()
                for name in services:
                    built.remove(f"c2s-{name}")
        assert len(answer.json()["leads"][lead]) == 1
