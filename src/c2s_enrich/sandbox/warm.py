"""Python processes that begin at once: forks of one interpreter that has imported the product.

An interpreter's start and the product's imports cost 0.9 s of CPU, a fork 0.02 s. Each process is a
real one all the same: a child of the caller, with its own number, environment, folder and output,
and `__main__` run from the top.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import platform
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

_PDEATHSIG, _SUBREAPER = 1, 36  # from linux/prctl.h
# What web, poller, commands and simulators import; none of it runs anything.
_IMPORTED = (
    "c2s_enrich.cli.main",
    "c2s_enrich.wiring.web",
    "c2s_enrich.wiring.operators",
    "c2s_enrich.sandbox.simulators.app",
    "c2s_enrich.sandbox.drill.plan",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "rich.console",
    # What the command line and a lead's first phone number import when they are needed.
    "typer._adapters",
    "phonenumbers.data.region_BR",
)


def start(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, output: IO[bytes]
) -> Child | subprocess.Popen[bytes]:
    """Starts `python *arguments` in `folder`, with nothing on stdin and `output` as stdout and
    stderr.

    It leads a session of its own: a Ctrl-C in the terminal is for the caller. On Linux, kill -9 of
    the caller takes it along.
    """
    if platform.system() == "Linux":
        return _template().fork(arguments, environment, folder, output)
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


class Child:
    """A forked process, with what Popen has of it."""

    def __init__(self, pid: int, arguments: Sequence[str]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._arguments = arguments

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended. Raises subprocess.TimeoutExpired."""
        until = time.monotonic() + (timeout or 0)
        while (status := self.poll()) is None:
            if timeout is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired(self._arguments, timeout)
            time.sleep(0.01)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Template:
    """The interpreter that is forked. It ends with its caller: their socket does."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def fork(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, out: IO[bytes]
    ) -> Child:
        order = json.dumps([list(arguments), dict(environment), str(folder)]).encode()
        _prctl(_SUBREAPER, 1)
        try:
            socket.send_fds(self._socket, [order], [out.fileno()])
            pid = self._socket.recv(32)
        finally:
            _prctl(_SUBREAPER, 0)
        if not pid:
            raise ChildProcessError("the interpreter that is forked has ended")
        return Child(int(pid), arguments)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def _template() -> _Template:
    template = _Template()
    atexit.register(template.close)
    return template


def _take_orders(line: socket.socket) -> tuple[list[str], dict[str, str], str]:
    """Returns in each forked process, with what it is to be."""
    caller = os.getppid()
    while True:
        order, files, _, _ = socket.recv_fds(line, 1 << 18, 1)
        if not order:
            os._exit(0)
        reading, writing = os.pipe()
        # The middle one ends at once, and its child goes to the caller, who then is its parent.
        if middle := os.fork():
            os.waitpid(middle, 0)
            os.close(writing)
            line.send(os.read(reading, 32))
            for file in (reading, *files):
                os.close(file)
            continue
        middle = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == middle:
            time.sleep(0.001)
        _prctl(_PDEATHSIG, signal.SIGKILL)
        # A caller that was killed before this line sends no signal any more.
        if os.getppid() != caller:
            os._exit(1)
        os.setsid()
        # From here on it is all that its caller may rely on.
        os.write(writing, b"%d" % os.getpid())
        os.dup2(files[0], 1)
        os.dup2(files[0], 2)
        for file in (reading, writing, *files):
            os.close(file)
        line.close()
        arguments, environment, folder = json.loads(order)
        return arguments, environment, folder


def _run(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    if arguments[0] == "-m":
        sys.argv, sys.path[0] = arguments[1:], folder
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main() -> None:
    """The interpreter that is forked; the argument is its end of the socket."""
    for name in _IMPORTED:
        __import__(name)
    gc.collect()
    gc.freeze()
    order: Any = _take_orders(socket.socket(fileno=int(sys.argv[1])))
    _run(*order)


if __name__ == "__main__":
    main()
