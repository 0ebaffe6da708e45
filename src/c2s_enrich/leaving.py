"""The end of a process that has nothing left to do, whatever its libraries wait for: a name server
that says nothing keeps a loop from closing, and the interpreter from ending, for half a minute.
"""

import os
import threading

_SECONDS = 1.0


def leave_soon(status: int) -> threading.Timer:
    """Ends this process with `status` a second from now, unless it is cancelled before."""
    timer = threading.Timer(_SECONDS, os._exit, [status])
    timer.daemon = True
    timer.start()
    return timer
