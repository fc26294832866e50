"""How fast mail gets in: the bare limit, the floor, mbsync with notmuch, and `postroom poll`, on the same mail.

make bench-ingest MAILS=folder COUNT=20000; what is measured and how is in docs/benchmarks.md.
"""

import argparse
import collections
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.servers.dovecot import Dovecot
from tests.servers.imap import PASSWORD

from . import checks
from . import mail as made_up
from .measure import Cost, FailedError, disk, run

ROOT = Path(__file__).parent.parent
WORK = ROOT / "bench" / "work"
DATA = WORK / "postroom-data"
POSTROOM = Path(sys.executable).parent / "postroom"
WATCHED, PROCESSED = "In", "Done"
CONTENDERS = ("limit", "floor", "mbsync", "postroom")


@dataclass(frozen=True)
class Result:
    """What one contender needed, and the bytes it keeps on disk (None: it keeps nothing)."""

    name: str
    cost: Cost
    kept: int | None = None


class Ground:
    """One server, and the mail that every contender finds anew."""

    def __init__(self, server: Dovecot, files: list[Path]) -> None:
        self.server = server
        self.files = files
        self.size = 0

    def load(self, user: str) -> str:
        """A user with all the mail in the watched folder."""
        self.server.add_user(user, listen=False)
        self.server.load(user, WATCHED, self.files, link=True)
        self.server.create(user, PROCESSED)
        return user

    def served(self, user: str, folder: str) -> Iterable[bytes]:
        """All mails of a folder as the server gives them, a few at a time."""
        with self.server.connect(user) as client:
            client.select_folder(folder, readonly=True)
            uids = client.search()
            for start in range(0, len(uids), 200):
                for data in client.fetch(uids[start : start + 200], ["BODY.PEEK[]"]).values():
                    yield data[b"BODY[]"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
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
        return measure_all(wanted, given.count, given.mails, given.seed)
    except FailedError as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        if not given.keep:
            shutil.rmtree(WORK, ignore_errors=True)


def measure_all(wanted: list[str], count: int, mails: Path | None, seed: int) -> int:
    """Measures the contenders one after the other, prints all, and returns the exit code."""
    say(f"preparing {count} mails …")
    files = prepare(mails, count, seed)
    with Dovecot() as server:
        ground = Ground(server, files)
        ground.load("served")
        served: collections.Counter[str] = collections.Counter()
        for raw in ground.served("served", WATCHED):
            ground.size += len(raw)
            served[checks.sha256(raw)] += 1
        say(f"{len(files)} mails, {ground.size / 1e6:.0f} MB, {len(served)} different ones")
        results: list[Result] = []
        measures: dict[str, Callable[[Ground], list[Result]]] = {
            "limit": measure_limit,
            "floor": measure_floor,
            "mbsync": measure_mbsync,
            "postroom": measure_postroom,
        }
        for name, measure in measures.items():
            if name in wanted:
                results += measure(ground)
        print_table(results, len(files), ground.size)
        complaints = check_postroom(ground, served) if "postroom" in wanted else []
    for complaint in complaints[:20]:
        print(f"WRONG: {complaint}", file=sys.stderr)
    if len(complaints) > 20:
        print(f"WRONG: and {len(complaints) - 20} more", file=sys.stderr)
    return 1 if complaints else 0


def prepare(mails: Path | None, count: int, seed: int, work: Path = WORK) -> list[Path]:
    """The mails as files with LF line ends in the work folder, where they can be linked from."""
    folder = work / "mails"
    folder.mkdir()
    if mails is None:
        made_up.write(folder, count, seed)
    else:
        for number, file in enumerate(itertools.islice(sorted(mails.rglob("*.eml")), count)):
            (folder / f"{number:06d}.eml").write_bytes(file.read_bytes().replace(b"\r\n", b"\n"))
    files = sorted(folder.iterdir())
    if not files:
        raise FailedError(f"{mails}: no .eml files")
    return files


def measure_limit(ground: Ground) -> list[Result]:
    """Everything fetched and thrown away, by one process and by two."""
    return [_limit(ground, "served", workers, move=False) for workers in (1, 2)]


def measure_floor(ground: Ground) -> list[Result]:
    """Everything fetched, thrown away and moved; each try on mail of its own."""
    return [_limit(ground, ground.load(f"floor{workers}"), workers, move=True) for workers in (1, 2)]


def _limit(ground: Ground, user: str, workers: int, *, move: bool) -> Result:
    name = f"{'floor' if move else 'limit'}, {workers} process{'es' if workers > 1 else ''}"
    say(f"{name} …")
    command = [sys.executable, "-m", "bench.limit", "--port", str(ground.server.port), "--user", user]
    command += ["--password", PASSWORD, "--folder", WATCHED, "--workers", str(workers)]
    cost = run([*command, *(["--move", PROCESSED] if move else [])], env={"PYTHONPATH": str(ROOT)})
    if json.loads(cost.output) != {"mails": len(ground.files), "bytes": ground.size}:
        raise FailedError(f"{name} fetched {cost.output}")
    if move and ground.server.count(user, PROCESSED) != len(ground.files):
        raise FailedError(f"{name} did not move everything")
    return Result(name, cost)


def measure_mbsync(ground: Ground) -> list[Result]:
    """The tools a person would put together: a durable copy by mbsync, and notmuch to search it."""
    missing = [program for program in ("mbsync", "notmuch") if shutil.which(program) is None]
    if missing:
        print(f"not run: mbsync + notmuch ({', '.join(missing)} not installed: apt-get install isync notmuch)")
        return []
    user = ground.load("mbsync")
    say("mbsync, then notmuch new …")
    folder = WORK / "mbsync"
    mail = folder / "mail"
    mail.mkdir(parents=True)
    mbsync, notmuch = folder / "mbsyncrc", folder / "notmuch-config"
    mbsync.write_text(
        f"FSync yes\n\nIMAPAccount bench\nHost 127.0.0.1\nPort {ground.server.port}\nUser {user}\n"
        f'Pass "{PASSWORD}"\nSSLType None\nAuthMechs LOGIN\nTimeout 600\n\nIMAPStore far\nAccount bench\n\n'
        f"MaildirStore near\nPath {mail}/\nInbox {mail}/INBOX\nSubFolders Verbatim\n\n"
        f"Channel bench\nFar :far:{WATCHED}\nNear :near:{WATCHED}\nSync Pull\nCreate Near\nSyncState *\n"
    )
    notmuch.write_text(
        f"[database]\npath={mail}\n[user]\nname=Bench\nprimary_email=bench@office.example\n"
        "[new]\ntags=unread;inbox\nignore=.mbsyncstate;.uidvalidity\n"
    )
    fetched = run(["mbsync", "-q", "-c", mbsync, "bench"])
    if sum(1 for _ in (mail / WATCHED).glob("*/*")) != len(ground.files):
        raise FailedError("mbsync did not fetch everything")
    say("notmuch new …")
    indexed = run(["notmuch", f"--config={notmuch}", "new", "--quiet"])
    return [
        Result("mbsync", fetched),
        Result("mbsync + notmuch", fetched + indexed, disk(mail)),
    ]


def measure_postroom(ground: Ground) -> list[Result]:
    """A new installation and its first pass, and the second reading beside it."""
    if not POSTROOM.exists():
        raise FailedError(f"{POSTROOM} is missing: make bench-ingest installs it")
    user = ground.load("postroom")
    say("postroom poll …")
    postroom("init", "--admin", "admin@office.example", "--no-input")
    process = ("process", "add", "office", "--name", "Office", "--address", "office@office.example")
    postroom(*process, "--owner", "admin@office.example")
    postroom("mailbox", "add", "bench", "--imap", ground.server.url(user), "--password-stdin", say=f"{PASSWORD}\n")
    binding = ("binding", "add", "--mailbox", "bench", "--folder", WATCHED, "--process", "office")
    postroom(*binding, "--processed", PROCESSED)
    before = disk(DATA)
    polled = postroom("poll", "--json")
    kept = disk(DATA) - before
    say(f"poll said: {polled.output.strip()}")
    said = json.loads(polled.output)
    if said["archived"] + said["copies"] + said["quarantined"] != len(ground.files):
        raise FailedError("poll did not take everything")
    say("the second reading …")
    return [Result("postroom poll", polled, kept), Result("(postroom reread)", postroom("reread", "--json"))]


def check_postroom(ground: Ground, served: collections.Counter[str]) -> list[str]:
    """What is wrong with the archive and with the mailbox after the pass, as sentences."""
    say("checking the export …")
    export = WORK / "export"
    postroom("export", str(export), "--format", "eml")
    message_of, complaints = checks.exported(export, served)
    quarantined = sum(message is None for message in message_of.values())
    say("checking the folders …")
    moved = collections.Counter(checks.sha256(raw) for raw in ground.served("postroom", PROCESSED))
    left = collections.Counter(checks.sha256(raw) for raw in ground.served("postroom", WATCHED))
    if left.total() != quarantined:
        complaints.append(f"{left.total()} mails are still in {WATCHED}, but {quarantined} are quarantined")
    if moved + left != served:
        complaints.append(f"{(served - moved - left).total()} originals are neither in {WATCHED} nor in {PROCESSED}")
    asked, unread = checks.questions(ground.served("served", WATCHED))
    say(f"searching for {len(asked)} words …")
    complaints += checks.ask({"POSTROOM_DATA": str(DATA), "PYTHONPATH": str(ROOT)}, asked, message_of)
    print(
        f"searched for {len(asked)} words that {len(served) - unread} mails contain; in {unread} is none to ask for\n"
        + ("NOT everything is right" if complaints else "checked: every mail found, exported byte for byte, and moved")
    )
    return complaints


def postroom(*words: str, say: str = "") -> Cost:
    """Runs a command of Postroom on the bench's own data folder, with `say` on its stdin."""
    return run([POSTROOM, *words], env={"POSTROOM_DATA": str(DATA)}, say=say)


def print_table(results: list[Result], count: int, size: int) -> None:
    """The figures, and the ratios that do not depend on the machine."""
    print(f"\n{'':22}{'mails/s':>9}{'MB/s':>8}{'seconds':>9}{'CPU s':>8}{'peak MB':>9}{'disk/byte':>11}")
    for result in results:
        cost = result.cost
        kept = "" if result.kept is None else f"{result.kept / size:.2f}"
        print(
            f"{result.name:22}{count / cost.seconds:9.0f}{size / 1e6 / cost.seconds:8.1f}{cost.seconds:9.2f}"
            f"{cost.cpu:8.1f}{cost.peak / 1e6:9.0f}{kept:>11}"
        )
    seconds = {result.name: result.cost.seconds for result in results}
    floors = [taken for name, taken in seconds.items() if name.startswith("floor")]
    print()
    for name in ("mbsync + notmuch", "postroom poll"):
        if name in seconds and floors:
            print(f"{name} ÷ floor (the better of its two): {min(floors) / seconds[name]:.2f}")
    if "postroom poll" in seconds and "mbsync + notmuch" in seconds:
        print(f"postroom poll ÷ (mbsync + notmuch): {seconds['mbsync + notmuch'] / seconds['postroom poll']:.1f}")
    print(f"peak MB is that of the largest process; {count} mails, {size / count / 1000:.0f} KB on average", flush=True)


def say(what: str) -> None:
    """Progress goes to stderr, the figures to stdout."""
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
