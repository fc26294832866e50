"""moto's S3 server on the loopback interface, for machines that cannot have Ceph's: it keeps to what S3 says of objects
and conditions, but lets everybody in.
"""

import importlib.util
import subprocess
import sys
import time
import urllib.request

from .buckets import BucketServer
from .ports import free_port

_START_SECONDS = 60.0
# As the program `moto_server`; it ends when our end of the pipe does.
_PROGRAM = """\
import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""


def missing() -> str | None:
    """What is not there; None where it is."""
    return None if importlib.util.find_spec("moto") else "moto is not installed (pip install '.[moto]')"


class Moto(BucketServer):
    """One process that keeps everything in memory."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers; RuntimeError where it does not."""
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.endpoint, timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        self.close()
        raise RuntimeError("moto did not start")

    def close(self) -> None:
        """Stops it at once, for good; what it held was in its memory."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=30)
            self._process = None
