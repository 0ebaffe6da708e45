"""What plays on the stage ends in order."""

import os
import signal
import socket

import pytest

from c2s_enrich.sandbox.ports import free_port
from c2s_enrich.sandbox.stage import end_in_order


class TestARunInTheBackgroundOfAScript:
    def test_ends_on_sigterm_although_such_a_run_ignores_ctrl_c(self) -> None:
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            end_in_order()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class TestAPort:
    def test_that_was_given_out_is_nobody_elses_and_a_server_can_listen_on_it(self) -> None:
        port = free_port()

        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)):
            socket.create_connection(("127.0.0.1", port)).close()
