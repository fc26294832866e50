"""A server's program, kept running until it is closed or the program that started it ends, however that happens."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_STOP_SECONDS = 15.0


class Keeper:
    """One running program and everything it started."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str], **options: Any) -> None:
        """Starts it; what it prints goes to the end of `log`. `options` are those of Popen."""
        # The shell holds the other end of a pipe of ours: when we are gone, it ends the program.
        script = 'exec 3<&0; "$@" 3<&- & child=$!; (cat <&3 >/dev/null; kill $child 2>/dev/null) & wait $child'
        with log.open("ab") as output:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", script, "sh", *command],
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )

    def running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._shell.poll() is None

    def close(self) -> None:
        """Ends it, by force where it does not want to."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._shell.wait(_STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait(_STOP_SECONDS)
