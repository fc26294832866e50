"""Free TCP ports on the loopback interface for servers that tests start."""

import socket
import time


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago; whoever binds it must be ready to ask for another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_greeting(port: int, expected: bytes, seconds: float) -> bool:
    """Whether a server on 127.0.0.1:port greets with `expected` within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                if connection.recv(len(expected)) == expected:
                    return True
        except OSError:
            pass
        time.sleep(0.02)
    return False
