"""How many mails a second leave: a sender's round beside bare smtplib over one kept connection, to the same server.

make bench-send COUNT=5000; what is measured and how is in docs/benchmarks.md.
"""

import argparse
import itertools
import json
import shutil
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from archive.front import now
from archive.outgoing import composing, identities, outbox
from archive.outgoing.composing import Person, Written
from archive.people import processes
from archive.post import bindings
from archive.reading import Reading
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from archive.store.schema import outgoing
from gateway.mailbox import Connecting
from gateway.sender import Sender
from tests import full_outbox

from . import filling
from .ingest import WORK, say
from .measure import FailedError
from .search import letters

DATA = WORK / "send" / "postroom-data"
OFFICE = "office@office.example"
TOGETHER = 250  # mails that are queued in one transaction
WANTED = 0.5
PASSWORD = "correct horse"


def main() -> int:
    """Measure and print; exit status 1 where it is slower than it may be, or a mail did not go out exactly once."""
    parser = argparse.ArgumentParser(prog="python -m bench.send", description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="how many mails")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up mail")
    parser.add_argument("--rounds", type=int, default=3, help="how often both are measured, in turn")
    given = parser.parse_args()
    raws = list(made(given.count, given.seed))
    try:
        rows = [row for _ in range(given.rounds) for row in (bare(raws), *ours(given.count, given.seed))]
    except FailedError as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(DATA.parent, ignore_errors=True)
    best: dict[str, float] = {}
    for one in rows:
        print(f"{one.name:<32} {one.seconds:7.2f} s  {given.count / one.seconds:7,.0f} mails/s")
        best[one.name] = max(best.get(one.name, 0.0), given.count / one.seconds)
    ratio = best[SENT] / best[BARE]
    print(f"ratio: {ratio:.2f} of bare smtplib, the best round of each", flush=True)
    return 0 if ratio >= WANTED else 1


BARE, SENT, FILED = "smtplib, one kept connection", "sent, and written down", "and messages of the archive"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    seconds: float


def made(count: int, seed: int) -> Iterator[bytes]:
    """Mails as the office writes them: text and HTML."""
    me = Person("Office", OFFICE)
    for number, one in enumerate(itertools.islice(letters(count, seed), count)):
        to = Person(one.name, f"{number}@outside.example")
        yield composing.compose(
            Written(me, [to], [], one.subject, one.text, f"<{seed}.{number}@office.example>", now())
        )


@contextmanager
def sink(count: int) -> Iterator[int]:
    """A server that takes everything, in a process of its own; FailedError unless it got each of so many mails once."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            told = json.loads(server.communicate()[0])
    if len(told["got"]) != count or max(told["got"].values()) != 1:
        raise FailedError(f"{count} mails were sent, {len(told['got'])} came, one {max(told['got'].values())} times")


def bare(raws: Sequence[bytes]) -> Row:
    """The limit: smtplib and nothing else, nothing written down."""
    with sink(len(raws)) as port, smtplib.SMTP("127.0.0.1", port) as client:
        started = time.perf_counter()
        for number, raw in enumerate(raws):
            client.sendmail(OFFICE, [f"{number}@outside.example"], raw)
        seconds = time.perf_counter() - started
    return Row(BARE, seconds)


def ours(count: int, seed: int) -> tuple[Row, Row]:
    """A round of the sender over a full outbox."""
    filling.new(DATA)
    archive = Archive(DATA, InstallationKey.read(Path(f"{DATA}.key")))
    reading = Reading()
    try:
        with sink(count) as port:
            fill(archive, port, count, seed)
            sender = Sender(archive, Connecting(), now, threading.Event(), reading)
            watch = _Watch(archive)
            started = time.perf_counter()
            watch.start()
            done = sender.round()
            filed = time.perf_counter() - started
            sent = watch.join_for(started)
        if done.sent != count:
            raise FailedError(f"{done.sent} of {count} mails were sent: {done.troubles}")
    finally:
        reading.close()
        archive.close()
    return Row(SENT, sent), Row(FILED, filed)


class _Watch(threading.Thread):
    """Looks until nothing is left to send."""

    def __init__(self, archive: Archive) -> None:
        super().__init__(daemon=True)
        self._archive, self._at = archive, 0.0

    def run(self) -> None:
        query = select(func.count()).select_from(outgoing).where(outgoing.c.state.in_(outbox.WAITS))
        while True:
            with self._archive.reading() as session:
                if session.scalar(query) == 0:
                    self._at = time.perf_counter()
                    return
            time.sleep(0.2)  # it takes from what is measured

    def join_for(self, started: float) -> float:
        """Seconds from then until nothing was left."""
        self.join()
        return self._at - started


def fill(archive: Archive, port: int, count: int, seed: int) -> None:
    """Queue so many mails of the office."""
    with archive.transaction() as session:
        bindings.add_mailbox(
            session, archive, "office", "imap+plain://x@127.0.0.1:1", f"smtp+plain://127.0.0.1:{port}", PASSWORD, now()
        )
        box, process = bindings.mailbox_by_name(session, "office"), processes.by_slug(session, "office")
        assert box is not None
        assert process is not None
        made = identities.add(session, OFFICE, box, now(), name="Office", process=process.id)
        identity = identities.get(session, made)
    texts = enumerate(itertools.islice(letters(count, seed), count))
    full_outbox.queue(
        archive, identity, (([f"{number}@outside.example"], one.subject, one.text) for number, one in texts)
    )
    say(f"{count:,} mails are queued")


if __name__ == "__main__":
    sys.exit(main())
