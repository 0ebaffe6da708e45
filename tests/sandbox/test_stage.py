"""What plays on the stage ends in order."""

import os
import signal

import pytest

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
