"""What taking in many mails needs of memory, and whether that grows: python -m bench.memory, as `make bench-memory`.

A pass over so many mails, and all its processes looked at while it runs. What is measured is in docs/benchmarks.md.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers.dovecot import Dovecot

from . import filling
from .ingest import POSTROOM, WORK, Ground, prepare, say
from .measure import FailedError, tree

DATA = WORK / "memory" / "postroom-data"
LARGEST = 200_000_000  # bytes a process may take
GROWTH = 1.1  # the last third of the run against the middle one
_EVERY = 0.25  # seconds


@dataclass(frozen=True)
class Look:
    """All processes at a moment, in bytes: the largest one's resident memory, and what they take together."""

    at: float
    largest: int
    together: int  # what they share counted once


def main() -> int:
    """Measure and print; exit status 1 where a process takes too much, or more and more."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many mails")
    parser.add_argument("--mails", type=Path, help="a folder of .eml files instead of made-up mail")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up mail")
    given = parser.parse_args()
    try:
        filling.new(DATA)
        files = prepare(given.mails, given.count, given.seed, DATA.parent)
        with Dovecot() as server:
            filling.watch(DATA, Ground(server, files), "memory")
            say(f"a pass over {len(files):,} mails …")
            looks = watched_pass(len(files))
    except FailedError as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(DATA.parent, ignore_errors=True)
    return told(looks)


def watched_pass(mails: int) -> list[Look]:
    """What the processes of a pass take while it runs."""
    looks: list[Look] = []
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [POSTROOM, "poll", "--json"], stdout=out, env={**os.environ, "POSTROOM_DATA": str(DATA)}
        )
        while process.poll() is None:
            looks.append(_look(process.pid))
            time.sleep(_EVERY)
        out.seek(0)
        output = out.read()
    if process.returncode or sum(json.loads(output)[each] for each in ("archived", "copies")) != mails:
        raise FailedError(f"postroom poll ended with {process.returncode}: {output.decode()}")
    return looks


def _look(pid: int) -> Look:
    largest = together = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):  # it has ended in between
            sizes = dict(line.split()[:2] for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:])
            largest = max(largest, int(sizes["Rss:"]) * 1024)
            together += int(sizes["Pss:"]) * 1024
    return Look(time.monotonic(), largest, together)


def told(looks: list[Look]) -> int:
    """Print the maxima of each third of the run; the exit status."""
    third = len(looks) // 3 or 1
    parts = {"start": looks[:third], "middle": looks[third : 2 * third], "end": looks[2 * third :]}
    highest = {name: max((one.largest for one in some), default=0) for name, some in parts.items()}
    for name, some in parts.items():
        together = max((one.together for one in some), default=0)
        print(f"{name:8} largest process {highest[name] / 1e6:4.0f} MB, all together {together / 1e6:4.0f} MB")
    print(f"{looks[-1].at - looks[0].at:.0f} s, looked at {len(looks)} times", flush=True)
    return 0 if max(highest.values()) <= LARGEST and highest["end"] <= GROWTH * highest["middle"] else 1


if __name__ == "__main__":
    sys.exit(main())
