"""What searching costs: python -m bench.search [--count N …], as `make bench-search COUNT=N` calls it.

Text-only mails of the made-up office are put into a new archive's tables and search index by the archive's own
functions (no mail server, no blobs: the index does not look at them), then asked as the pages and commands ask.
What is measured, and how, is in docs/benchmarks.md.
"""

import argparse
import contextlib
import itertools
import math
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from archive.people import processes, users
from archive.people.scopes import MACHINE, Viewer, process_scope
from archive.post import messages
from archive.search import hits, index, marks, merging, query
from archive.search.words import Words
from archive.store import migrate, schema
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from bench import mail, measure

_BATCH = 500
_PROCESSES = 10
_SEEN = 2  # of ten processes: a fifth of all mail
_KEY = InstallationKey(bytes(range(32)))
_START = 1_609_459_200  # 2021-01-01
_APART = 90  # seconds between mails
_QUESTIONS = 20  # of each kind
_ROUNDS = 5
_SAMPLE = 20_000  # mails in which words to ask for are looked up
_SHARED = ("rare word", "word", "common word", "two words", "phrase", "prefix of 4")  # what all programs understand
_PLAIN = 20_000  # mails the rate for words alone is measured with


@dataclass(frozen=True)
class Letter:
    """A text-only mail."""

    at: int
    subject: str
    name: str
    address: str
    box: int
    text: str


def letters(count: int, seed: int) -> Iterator[Letter]:
    office = mail.Office(seed)
    for number in range(count):
        rng = random.Random(f"{seed}/letter/{number}")
        author = rng.choices(office._people, cum_weights=office._writes)[0]
        subject = " ".join(office._vocabularies[author.language].draw(rng, rng.randint(2, 7)))
        lines = office._text(rng, author.language, int(min(6000, max(8, rng.lognormvariate(5.25, 1.0)))))
        lines += ["", f"Ref. {mail._reference(seed, number)}", "", "-- ", author.name]
        yield Letter(_START + number * _APART, subject, author.name, author.address, number % 10, "\n".join(lines))


class Loaded:
    """An archive with nothing in it but what a search looks at."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        (folder / "locks").mkdir(parents=True)
        self.folder = folder
        self.archive = Archive(folder, _KEY, database)
        migrate.upgrade(self.archive)
        with self.archive.transaction() as session:
            users.add(session, "anna@office.example", "Anna", 0)
            for number in range(_PROCESSES):
                processes.add(session, f"p{number}", f"Process {number}", (f"p{number}@office.example",), (), 0)
            session.execute(insert(schema.pack).values(id=1, created_at=0))
            session.execute(insert(schema.blob).values(id=1 << 32, size=1, stored=1, position=0))
            session.execute(insert(schema.conversation).values(id=1, created_at=0))
        self.indexing = 0.0  # seconds of it so far
        self.working = 0.0  # processor seconds of it
        self.count = 0

    def add(self, some: Sequence[Letter], full: bool) -> None:
        rows, scopes, found = [], [], []
        for one in some:
            id_, size, scope = messages.new_id(one.at * 1000), len(one.text) + 600, process_scope(one.box + 1)
            rows.append(_row(id_, self.count, one, size))
            self.count += 1
            scopes.append({"message": id_, "scope": scope})
            box = f"p{one.box}@office.example"
            words = Words(id_, one.subject, f"{one.name} {one.address}", box, "", one.text, "", full=full)
            found.append((words, marks.of_new([scope], one.box + 1, size, 0)))
        with self.archive.intake() as session:
            session.execute(insert(schema.message), rows)
            session.execute(insert(schema.message_scope), scopes)
            start, worked = time.perf_counter(), time.process_time()
            index.add(session, found)
        # The commit of all rows is counted in.
        self.indexing += time.perf_counter() - start
        self.working += time.process_time() - worked

    def bring_together(self) -> str:
        """What `postroom serve` does with the index when nothing waits any more."""
        start, worked, more = time.perf_counter(), time.process_time(), True
        while more:
            with self.archive.intake() as session:
                more = merging.merge(session)
        with self.archive.reading() as session:
            parts = session.exec_driver_sql(_PARTS).scalar() if session.dialect.name == "sqlite" else 1
        return (
            f"{parts} parts, brought together in {time.perf_counter() - start:,.0f} s, "
            f"{time.process_time() - worked:,.0f} of a processor"
        )

    def multiply(self, times: int) -> str:
        """PostgreSQL alone: the mails once more and once more, each time earlier than all there are; by the server."""
        start, apart = time.perf_counter(), self.count * _APART
        with self.archive.intake() as session:
            made = session.scalar(text("SELECT pg_get_indexdef('ix_search_lexemes'::regclass)"))
            session.execute(text("DROP INDEX ix_search_lexemes"))
        for copy in range(1, times):
            with self.archive.intake() as session:
                for statement in _AGAIN:
                    session.execute(text(statement), {"earlier": copy * apart, "copy": str(copy), "first": _START})
        self.count *= times
        copied, start = time.perf_counter() - start, time.perf_counter()
        with self.archive.intake() as session:
            session.execute(text("SET LOCAL maintenance_work_mem = '2GB'"))
            session.execute(text(str(made)))
        with self.archive.intake() as session:
            session.execute(text("ANALYZE"))
        return f"{times} times as many in {copied:,.0f} s, the index built anew in {time.perf_counter() - start:,.0f} s"

    def rates(self) -> str:
        return (
            f"{self.count / self.indexing:,.0f} mails/s, {self.count / self.working:,.0f} a second of one processor; "
            f"{self.bytes_a_mail():,.0f} bytes a mail"
        )

    def bytes_a_mail(self) -> float:
        with self.archive.reading() as session:
            return float(session.exec_driver_sql(_SIZES[session.dialect.name]).scalar() or 0) / self.count


_OF = "WHERE {} >> 30 >= :first"  # those that were there first
_EARLIER = "(CAST(:earlier AS bigint) << 30)"
_WHEN = "ARRAY(SELECT '@' || level || 'x' || ({} >> 30 >> level) FROM generate_series(8, 32, 2) AS level)"
_KEPT = ", ".join(one.name for one in schema.message.c if one.name not in ("id", "content_key", "arrived_at"))
_WORDS = "subject, sender, recipients, copied, names, body, enclosed"
_AGAIN = (  # our own words, all of them
    f"INSERT INTO message (id, content_key, arrived_at, {_KEPT}) SELECT id - {_EARLIER}, "
    "sha256(content_key || convert_to(CAST(:copy AS text), 'UTF8')), arrived_at - CAST(:earlier AS bigint) * 1000, "
    f"{_KEPT} FROM message {_OF.format('id')}",
    f"INSERT INTO message_scope (message, scope) SELECT message - {_EARLIER}, scope "
    f"FROM message_scope {_OF.format('message')}",
    f'INSERT INTO indexed (message, version, marks, "full", waiting) SELECT message - {_EARLIER}, version, marks, '
    f'"full", waiting FROM indexed {_OF.format("message")}',
    f"INSERT INTO search (id, lexemes, {_WORDS}) SELECT id - {_EARLIER}, ts_delete(lexemes, "
    f"{_WHEN.format('id')}) || array_to_tsvector({_WHEN.format(f'(id - {_EARLIER})')}), {_WORDS} "
    f"FROM search {_OF.format('id')}",
)
_PARTS = "SELECT count(DISTINCT segid) FROM search_idx"
_SIZES = {
    "sqlite": "SELECT sum(length(block)) FROM search_data",
    "postgresql": "SELECT pg_total_relation_size('search')",
}


def _row(id_: int, number: int, one: Letter, size: int) -> dict[str, Any]:
    return {
        "id": id_,
        "content_key": number.to_bytes(32, "big"),
        "identity": 1,
        "blob": 1 << 32,
        "size": size,
        "conversation": 1,
        "joined_by": "first",
        "message_id": f"{number}@office.example",
        "subject": one.subject,
        "from_name": one.name,
        "from_address": one.address,
        "recipients": "{}",
        "arrived_at": one.at * 1000,
        "snippet": one.text[:200],
        "attachments": 0,
        "reader": 1,
    }


# --- questions --------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"[^\W\d_]{4,}")


def questions(sample: Sequence[Letter]) -> dict[str, list[str]]:
    """What is asked, by kind; drawn from what the mails say."""
    rng = random.Random(7)
    occurs: Counter[str] = Counter()
    for one in sample:
        occurs.update(set(_WORD.findall(one.text.lower())))
    share = {word: number / len(sample) for word, number in occurs.items()}

    def between(low: float, high: float) -> list[str]:
        return sorted(word for word, part in share.items() if low <= part < high)

    common, usual, rare = between(0.05, 1), between(0.005, 0.05), between(0, 0.0005)
    pairs: list[str] = []
    while len(pairs) < _QUESTIONS:
        some = [word for word in _WORD.findall(rng.choice(sample).text.lower()) if share[word] > 0.005]
        if len(set(some)) > 1:
            pairs.append(" ".join(rng.sample(sorted(set(some)), 2)))
    phrases: list[str] = []
    while len(phrases) < _QUESTIONS:
        line = rng.choice(rng.choice(sample).text.splitlines()).split()
        if len(line) > 3:
            at = rng.randrange(len(line) - 1)
            phrases.append(f'"{line[at]} {line[at + 1]}"'.replace(".", "").replace("?", "").replace("!", ""))

    def draw(some: list[str]) -> list[str]:
        return rng.sample(some, min(_QUESTIONS, len(some)))

    return {
        "rare word": draw(rare),
        "word": draw(usual),
        "common word": draw(common),
        "two words": pairs,
        "phrase": phrases,
        "prefix of 4": sorted({word[:4] + "*" for word in draw(usual)}),
        "prefix of 5": sorted({word[:5] + "*" for word in draw(usual)}),
        "prefix of 3": sorted({word[:3] + "*" for word in draw(usual)}),
        "field": [f"subject:{word}" for word in draw(usual)],
        "sender": [f"from:{one.address.partition('@')[0]}" for one in rng.sample(sample, _QUESTIONS)],
        "word OR word": [" OR ".join(rng.sample(usual, 2)) for _ in range(_QUESTIONS)],
        "word -word": [f"{rng.choice(usual)} -{rng.choice(common)}" for _ in range(_QUESTIONS)],
        "word, process, a year": [f"{word} process:p0 after:2021 before:2022" for word in draw(usual)],
    }


@dataclass(frozen=True)
class Times:
    """Of the answers to one kind of question, in ms."""

    kind: str
    middle: float
    high: float
    cpu: float  # the 95th percentile of processor time
    least: float  # the same of the least that each question took, which others on the machine change hardly
    found: float  # mean number of hits given

    def __str__(self) -> str:
        return f"{self.kind:32}{self.middle:10.2f}{self.high:10.2f}{self.cpu:10.2f}{self.least:10.2f}{self.found:10.1f}"


def timed(kind: str, asked: Sequence[str], ask: Callable[[str], int], rounds: int = _ROUNDS) -> Times:
    """Each question several times, all of them mixed."""
    order = [one for _ in range(rounds) for one in asked]
    random.Random(3).shuffle(order)
    took, used, hits = [], [], []
    least: dict[str, float] = {}
    for one in order:
        start, worked = time.perf_counter(), time.process_time()
        hits.append(ask(one))
        took.append((time.perf_counter() - start) * 1000)
        used.append((time.process_time() - worked) * 1000)
        least[one] = min(used[-1], least.get(one, math.inf))
    middle = sorted(took)[len(took) // 2]
    return Times(kind, middle, _high(took), _high(used), _high(list(least.values())), sum(hits) / len(hits))


def _high(some: list[float]) -> float:
    return sorted(some)[math.ceil(len(some) * 0.95) - 1]


def ask_all(archive: Archive, asked: dict[str, list[str]]) -> Iterator[Times]:
    fifth = Viewer("user:1", 1, frozenset(process_scope(number + 1) for number in range(_SEEN)))
    nobody = Viewer("user:1", 1, frozenset({"process:99", "user:1"}))

    def find(viewer: Viewer) -> Callable[[str], int]:
        def ask(typed: str) -> int:
            with archive.reading() as session:
                return len(hits.find(session, query.parse(typed), viewer))

        return ask

    def best(typed: str) -> int:
        with archive.reading() as session:
            return len(hits.best(session, query.parse(typed), fifth))

    def count(typed: str) -> int:
        with archive.reading() as session:
            return hits.count(session, query.parse(typed), fifth).total.number

    for kind, some in asked.items():
        yield timed(kind, some, find(fifth))
    yield timed("common word, sees all", asked["common word"], find(MACHINE))
    yield timed("common word, sees nothing", asked["common word"], find(nobody))
    yield timed("two words, sees nothing", asked["two words"], find(nobody))
    for kind in ("word", "common word", "two words"):
        yield timed(f"{kind}, best match", asked[kind], best)
    for kind in ("word", "common word", "two words"):
        yield timed(f"{kind}, counts", asked[kind], count, 2)


# --- beside -----------------------------------------------------------------------------------------------------------


def maildirs(folder: Path, mails: Iterator[Letter]) -> int:
    """The same mails as files, one folder for each process; returns how many."""
    for number in range(_PROCESSES):
        for part in ("cur", "new", "tmp"):
            (folder / f"p{number}" / part).mkdir(parents=True)
    count = 0
    for number, one in enumerate(mails):
        head = f"From: {one.name} <{one.address}>\nTo: p{one.box}@office.example\nSubject: {one.subject}\n"
        stamp = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(one.at))
        head += f"Date: {stamp}\nMessage-ID: <{number}@office.example>\n"
        head += "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n"
        (folder / f"p{one.box}" / "cur" / f"{number:07d}:2,S").write_bytes((head + one.text).encode())
        count += 1
    return count


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _ask(command: list[str], rights: str, env: dict[str, str], typed: str, nothing_found: int = 0) -> int:
    """How many the program finds."""
    asked = [*command, f"{typed} and {rights}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, env=env)
    if done.returncode not in (0, nothing_found):
        raise subprocess.CalledProcessError(done.returncode, asked, done.stdout, done.stderr)
    return done.stdout.count("\n")


def notmuch(folder: Path, boxes: Path, count: int, asked: dict[str, list[str]]) -> Iterator[str]:
    """The same mails and questions; the rights as folders, the time that of the command."""
    config = folder / "config"
    config.write_text(f"[database]\npath={boxes}\n[user]\nname=x\nprimary_email=x@office.example\n[new]\ntags=\n")
    env = {"NOTMUCH_CONFIG": str(config), "PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    cost = measure.run(["notmuch", "new", "--quiet"], env=env)
    yield f"notmuch: {count / cost.seconds:,.0f} mails/s, index {_size(boxes / '.notmuch') / count:,.0f} bytes a mail"
    rights = "( " + " or ".join(f"folder:p{number}" for number in range(_SEEN)) + " )"
    search = ["notmuch", "search", "--output=messages", "--limit=50", "--sort=newest-first"]
    for kind in _SHARED:
        yield str(timed(f"notmuch: {kind}", asked[kind], partial(_ask, search, rights, env), 1))


def mu(folder: Path, boxes: Path, count: int, asked: dict[str, list[str]]) -> Iterator[str]:
    """As notmuch; it stems nothing, and ends with 4 where nothing is found (mu-find(1), RETURN VALUE)."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    home = folder / "mu"
    measure.run(["mu", "init", "--quiet", f"--muhome={home}", f"--maildir={boxes}"], env=env)
    cost = measure.run(["mu", "index", "--quiet", f"--muhome={home}"], env=env)
    yield f"mu: {count / cost.seconds:,.0f} mails/s, index {_size(home) / count:,.0f} bytes a mail"
    rights = "( " + " or ".join(f"maildir:/p{number}" for number in range(_SEEN)) + " )"
    search = ["mu", "find", f"--muhome={home}", "--fields=i", "--maxnum=50", "--sortfield=date", "--reverse"]
    for kind in _SHARED:
        yield str(timed(f"mu: {kind}", asked[kind], partial(_ask, search, rights, env, nothing_found=4), 1))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="mails (20000)")
    parser.add_argument("--at", default="", help="asked at these sizes as well, on the way: 20000,200000")
    parser.add_argument("--again", action="store_true", help="ask the index that a run with --keep has left")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("bench/work/search"))
    parser.add_argument("--keep", action="store_true", help="leave the folder for a look")
    parser.add_argument("--beside", action="store_true", help="beside notmuch and mu, where they are installed")
    parser.add_argument("--database", help="URL of an empty PostgreSQL database to measure instead of SQLite")
    parser.add_argument("--times", type=int, default=1, help="with it: the mails so many times, each time earlier (1)")
    given = parser.parse_args()
    if given.again:
        sample = list(itertools.islice(letters(given.count, given.seed), _SAMPLE))
        tell(Archive(given.folder / "full", _KEY, given.database), questions(sample))
        return 0
    shutil.rmtree(given.folder, ignore_errors=True)
    try:
        sizes = [int(one) for one in given.at.split(",") if one]
        run(given.folder, given.count, given.seed, given.beside, given.database, given.times, sizes)
    finally:
        if not given.keep:
            shutil.rmtree(given.folder, ignore_errors=True)
    return 0


def run(
    folder: Path, count: int, seed: int, beside: bool, database: str | None, times: int, sizes: Sequence[int]
) -> None:
    if database is None:  # there is one to be had for nothing
        plain = Loaded(folder / "plain")
        for some in _batches(letters(min(count, _PLAIN), seed)):
            plain.add(some, full=False)
        print(f"words alone: {plain.rates()}", flush=True)
        plain.archive.close()
    loaded = Loaded(folder / "full", database)
    sample: list[Letter] = []
    asked: dict[str, list[str]] = {}
    for some in _batches(letters(count, seed)):
        loaded.add(some, full=True)
        if len(sample) < _SAMPLE:
            sample += some
        if loaded.count in sizes or loaded.count == count:
            asked = asked or questions(sample)
            print(f"{loaded.count:,} mails, in full: {loaded.rates()}")
            print(f"  {loaded.bring_together()}, {loaded.bytes_a_mail():,.0f} bytes a mail then")
            tell(loaded.archive, asked)
        elif loaded.count % 50_000 == 0:
            print(f"  {loaded.count:,} …", file=sys.stderr)
    if database and times > 1:
        print(
            f"{loaded.multiply(times)}; {loaded.count:,} mails, {loaded.bytes_a_mail():,.0f} bytes a mail", flush=True
        )
        tell(loaded.archive, asked)
    loaded.archive.close()
    if beside:
        boxes = (folder / "beside" / "mail").resolve()
        mails = maildirs(boxes, letters(count, seed))
        for program in (notmuch, mu):
            if shutil.which(program.__name__) is None:
                print(f"{program.__name__}: not installed here")
                continue
            for line in program(boxes.parent, boxes, mails, asked):
                print(line, flush=True)


def tell(archive: Archive, asked: dict[str, list[str]]) -> None:
    with archive.transaction() as session:
        index.begin(session)
        index.reached(session, 0)
    print(
        f"{'newest 50, who sees a fifth':32}{'p50 ms':>10}{'p95 ms':>10}{'CPU p95':>10}{'least p95':>10}{'found':>10}"
    )
    for times in ask_all(archive, asked):
        print(times, flush=True)


def _batches(some: Iterator[Letter]) -> Iterator[list[Letter]]:
    while batch := list(itertools.islice(some, _BATCH)):
        yield batch


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
