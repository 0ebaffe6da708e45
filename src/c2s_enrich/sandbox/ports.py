"""Ports of this machine for the processes that a test, a demo or a benchmark starts."""

import socket
import sys


def free_port() -> int:
    """A TCP port of 127.0.0.1 for a server that is started later.

    The port stays bound here until this process ends, and the kernel gives it to nobody else: not
    to another run that asks for one, nor to a connection. A server that sets SO_REUSEADDR, as they
    all do, can listen on it. Only Linux allows that.
    """
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port.bind(("127.0.0.1", 0))
    number: int = port.getsockname()[1]
    if sys.platform == "linux":
        # The bare descriptor: nobody closes it.
        port.detach()
    else:
        port.close()
    return number
