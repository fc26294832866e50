"""strace beside one thread of a running program: counts its system calls, or lets one of them kill it or fail."""

import ctypes
import re
import shutil
import subprocess
import time
from collections import Counter
from functools import cache
from pathlib import Path

# All by which a pass leaves anything behind, on the disk or at a server; `?`: where the machine has no such call.
CALLS = (
    *("write", "pwrite64", "writev", "ftruncate", "fsync", "fdatasync"),
    *("?rename", "renameat", "renameat2", "?unlink", "unlinkat"),
    *("connect", "sendto", "sendmsg"),
)
_PR_SET_PTRACER = 0x59616D61
_SECONDS = 60.0  # to begin, on a busy machine
_CALL = re.compile(r"(\w+)\(")


@cache
def missing() -> str | None:
    """Why it cannot be used here; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    done = subprocess.run(
        ["strace", "-o", "/dev/null", "-e", "inject=write:error=EIO", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()[-200:]}"


def attach(thread: int, log: Path, inject: str = "") -> None:
    """Traces a thread by its kernel's id from here on into a file; returns when it does.

    `inject` is in strace's own words, such as `fsync:signal=SIGKILL:when=3`. The thread counts its calls from now on.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)  # where only parents may trace
    options = ["-e", f"trace={','.join(CALLS)}", "-y", *(["-e", f"inject={inject}"] if inject else [])]
    tracer = subprocess.Popen(
        ["strace", "-p", str(thread), "-o", str(log), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + _SECONDS
    while not _is_traced(thread):
        if tracer.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"strace did not begin: {tracer.stderr.read() if tracer.stderr else ''}")
        time.sleep(0.005)


def _is_traced(thread: int) -> bool:
    status = Path(f"/proc/{thread}/status").read_text()
    return re.search(r"^TracerPid:\s+[1-9]", status, re.MULTILINE) is not None


def counted(log: Path) -> Counter[str]:
    """How often each call stands in a log."""
    return Counter(found[1] for line in log.read_text(errors="replace").splitlines() if (found := _CALL.match(line)))
