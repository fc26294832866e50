"""What an archive takes on disk for each byte of mail, where those bytes go, and how quick a mail comes back.

make bench-disk MAILS=folder COUNT=20000; what is measured and how is in docs/benchmarks.md.
"""

import argparse
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from archive.people.scopes import MACHINE
from archive.post import messages
from archive.store.archive import Archive
from archive.store.keys import InstallationKey

from . import ingest
from .ingest import POSTROOM
from .measure import FailedError, disk, run

WORK = ingest.WORK / "disk"
CONTENDERS = ("maildir", "mbox", "git", "postroom")
RAW = 2000  # mails given back
_LARGE_TABLE = 2 << 20  # bytes
WANTED_MS = 2.0  # of the processor, for the 95th of 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.disk", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="how many mails")
    parser.add_argument("--mails", type=Path, help="a folder of .eml files instead of made-up mail")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up mail")
    parser.add_argument("--only", default=",".join(CONTENDERS), help=f"some of {','.join(CONTENDERS)}")
    parser.add_argument("--keep", action="store_true", help="leave bench/work as it is at the end")
    given = parser.parse_args()
    wanted = given.only.split(",")
    if not set(wanted) <= set(CONTENDERS):
        parser.error(f"--only knows {', '.join(CONTENDERS)}")
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    os.environ.pop("POSTROOM_CONFIG", None)
    try:
        files = ingest.prepare(given.mails, given.count, given.seed, WORK)
        size = sum(file.stat().st_size for file in files)
        say(f"{len(files)} mails, {size / 1e6:.0f} MB")
        measures: dict[str, Callable[[list[Path]], tuple[str, int] | None]] = {
            "maildir": maildir,
            "mbox": mbox,
            "git": git,
            "postroom": postroom,
        }
        for name in wanted:
            if (found := measures[name](files)) is not None:
                say(f"{found[0]:44}{found[1] / 1e6:10.1f} MB   {found[1] / size:.3f} of the mail")
        return where_and_how_quick(size) if "postroom" in wanted else 0
    except FailedError as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        if not given.keep:
            shutil.rmtree(WORK, ignore_errors=True)


def say(text: str) -> None:
    print(text, flush=True)


def maildir(files: list[Path]) -> tuple[str, int]:
    """A file a mail, in whole blocks."""
    return "Maildir", disk(files[0].parent)


def mbox(files: list[Path]) -> tuple[str, int] | None:
    if shutil.which("zstd") is None:
        left_out("zstd")
        return None
    to = WORK / "mbox.zst"
    with subprocess.Popen(["zstd", "-19", "-T0", "-q", "-f", "-o", str(to)], stdin=subprocess.PIPE) as process:
        assert process.stdin
        for file in files:
            process.stdin.write(b"From nobody Thu Jan  1 00:00:00 1970\n" + file.read_bytes() + b"\n")
        process.stdin.close()
    return "mbox | zstd -19 (no index)", to.stat().st_size


def git(files: list[Path]) -> tuple[str, int] | None:
    """As public-inbox keeps mail (version 2): a commit for each, with the mail as the file `m`; packed by git gc."""
    if shutil.which("git") is None:
        left_out("git")
        return None
    to = WORK / "all.git"
    run(["git", "init", "--quiet", "--bare", str(to)])
    with subprocess.Popen(["git", "-C", str(to), "fast-import", "--quiet"], stdin=subprocess.PIPE) as process:
        assert process.stdin
        for number, file in enumerate(files):
            raw = file.read_bytes()
            process.stdin.write(b"commit refs/heads/master\ncommitter a <a> %d +0000\ndata 0\n" % number)
            process.stdin.write(b"M 100644 inline m\ndata %d\n" % len(raw) + raw + b"\n")
    if process.returncode:
        raise FailedError("git fast-import failed")
    run(["git", "-C", str(to), "gc", "--quiet"])
    return "git, as public-inbox has it (no index)", disk(to)


def left_out(program: str) -> None:
    say(f"{program} is not installed; left out")


def data() -> Path:
    return WORK / "data"


def postroom(files: list[Path]) -> tuple[str, int]:
    env = {"POSTROOM_DATA": str(data())}
    run([POSTROOM, "init", "--admin", "anna@example.org", "--no-input"], env=env)
    added = ["--name", "Help", "--address", "help@example.org", "--owner", "anna@example.org"]
    run([POSTROOM, "process", "add", "help", *added], env=env)
    taken = run([POSTROOM, "import", files[0].parent, "--process", "help", "--json"], env=env)
    followed = run([POSTROOM, "reindex"], env=env)
    say(f"taken in within {taken.seconds:.0f} s, stems and attachments within {followed.seconds:.0f} s more")
    return "Postroom, everything in it", disk(data())


def where_and_how_quick(size: int) -> int:
    for name, taken in sorted(parts(), key=lambda part: -part[1]):
        say(f"  {name:42}{taken / 1e6:10.1f} MB   {taken / size:.3f}")
    (p50, p95), (cpu50, cpu95) = given_back()
    say(f"a mail given back: p50 {p50:.2f} ms, p95 {p95:.2f} ms; processor time {cpu50:.2f} and {cpu95:.2f} ms")
    return 0 if cpu95 < WANTED_MS else 1


def parts() -> Iterator[tuple[str, int]]:
    """What takes how many bytes."""
    packs = sum(path.stat().st_size for path in (data() / "blobs").glob("*.pack"))
    with sqlite3.connect(f"file:{data() / 'archive.sqlite'}?mode=ro", uri=True) as database:
        recorded = 0
        for name, ids in (
            ("packs: attachments", "SELECT blob FROM leaf"),
            ("packs: skeletons", "SELECT blob FROM message"),
            ("packs: transport headers", "SELECT trace FROM receipt"),
        ):
            (taken,) = database.execute(f"SELECT coalesce(sum(stored), 0) FROM blob WHERE id IN ({ids})").fetchone()
            recorded += taken
            yield name, taken
        yield "packs: record headers, kept twice by chance", packs - recorded
        tables = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name"
        found = [taken for name, taken in database.execute(tables) if name.startswith("search")]
        yield "search index", sum(found)
        others = [(name, taken) for name, taken in database.execute(tables) if not name.startswith("search")]
        yield from ((f"table {name}", taken) for name, taken in others if taken >= _LARGE_TABLE)
        yield "smaller tables, and indexes of tables", sum(taken for _, taken in others if taken < _LARGE_TABLE)
        ((free,), (page,)) = (database.execute(f"PRAGMA {each}").fetchone() for each in ("freelist_count", "page_size"))
        yield "free pages, to be used again", free * page
    yield "keys", (data() / "keys.sqlite").stat().st_size


def given_back() -> list[tuple[float, float]]:
    """Milliseconds for the 50th and the 95th of 100 mails, chosen at random, each asked for by itself.

    By the clock, and of the processor, which what else the machine does changes less.
    """
    archive = Archive(data(), InstallationKey.read(WORK / "data.key"))
    try:
        with archive.reading() as session:
            copies = list(messages.every_copy(session, MACHINE, limit=1_000_000))
        times: list[tuple[float, float]] = []
        for copy in random.Random(1).choices(copies, k=RAW):
            start, busy = time.perf_counter(), time.process_time()
            with archive.reading() as session:
                found = messages.copy(session, copy.receipt, MACHINE)
                assert found is not None
                for _ in messages.raw(archive, session, found):
                    pass
            times.append(((time.perf_counter() - start) * 1000, (time.process_time() - busy) * 1000))
    finally:
        archive.close()
    both = [sorted(some) for some in zip(*times, strict=True)]
    return [(some[len(some) // 2], some[len(some) * 95 // 100]) for some in both]


if __name__ == "__main__":
    sys.exit(main())
