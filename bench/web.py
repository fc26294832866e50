"""How quick the pages of a large archive are: python -m bench.web [--count N], as `make bench-web COUNT=N` calls it.

Text-only mails of the made-up office come into one process by `postroom import`. Then `postroom web` is asked over
HTTP as a browser asks it, and Chromium opens the pages. What is measured, and how, is in docs/benchmarks.md.
"""

import argparse
import contextlib
import http.client
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from pathlib import Path

from sqlalchemy import select

from archive.people import sessions
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from archive.store.schema import ticket
from bench import filling
from bench.ingest import POSTROOM
from bench.search import Letter, letters

WORK = Path("bench/work/web")
DATA = WORK / "postroom-data"
BUSIEST = 50  # mails in the conversations that are opened
TALKS = 20  # of them, among the newest
ASKED = 200  # requests of a kind
OPENED = 10  # pages of a kind in Chromium
LIST = "/processes/office/all"  # what an import brings is done


def main() -> int:
    """Measure and print; exit status 1 where an answer is not what it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="mails in the process (default: 1,000,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="ask the archive that the last run has left")
    options = parser.parse_args()
    if not options.again:
        fill(options.count, options.seed)
    with web() as port:
        pages = Pages(port)
        pages.sign_in()
        print(f"{'':34}{'p50 ms':>8}{'p95 ms':>8}{'KB':>8}")
        further = pages.further()
        pages.measure("list, newest 50", [LIST] * ASKED)
        pages.measure("list, further down", further)
        pages.measure("list of everything", ["/"] * ASKED)
        pages.measure(f"conversation of {BUSIEST} mails", pages.talks * (ASKED // len(pages.talks)))
        in_chromium(port, pages.token, pages.talks[0])
    return 0


# --- the archive ------------------------------------------------------------------------------------------------------


def fill(count: int, seed: int) -> None:
    """A new archive with so many mails in one process, and the conversations that are to be opened on top."""
    filling.new(DATA)
    filling.fill(DATA, mbox_mails(letters(count, seed), count, seed), count)


def mbox_mails(some: Iterator[Letter], count: int, seed: int) -> Iterator[bytes]:
    """Each letter as it stands in an mbox; the last ones are long conversations, some others answer an earlier one."""
    rng = random.Random(seed)
    recent: list[int] = []
    for number, one in enumerate(some):
        talk, place = divmod(count - 1 - number, BUSIEST)
        if talk < TALKS:
            parent = number - 1 if place < BUSIEST - 1 else None
        else:
            parent = rng.choice(recent) if recent and rng.random() < 0.5 else None
            recent = [*recent[-200:], number]
        yield mbox_mail(one, number, parent)


def mbox_mail(one: Letter, number: int, parent: int | None) -> bytes:
    """A letter with its line "From " before it."""
    headers = [
        f"Received: from relay.office.example by mx.office.example; {formatdate(one.at)}",
        f"Message-ID: <{number}@office.example>",
        f"Date: {formatdate(one.at)}",
        f"From: {one.name} <{one.address}>".encode("ascii", "replace").decode(),
        "To: office@office.example",
        f"Subject: {'Re: ' if parent is not None else ''}{one.subject}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ]
    if parent is not None:
        headers += [f"In-Reply-To: <{parent}@office.example>", f"References: <{parent}@office.example>"]
    text = re.sub("^From ", ">From ", one.text, flags=re.MULTILINE)
    began = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(one.at))
    return ("\n".join([f"From {one.address} {began}", *headers, "", text]) + "\n\n").encode()


# --- the pages --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def web() -> Iterator[int]:
    """`postroom web` on a free port; yields the port."""
    log = WORK / "web.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [POSTROOM, "web", "--port", "0"], stdout=out, stderr=out, env={**os.environ, "POSTROOM_DATA": str(DATA)}
        )
    try:
        while not (found := re.search(rb"http://127\.0\.0\.1:(\d+)", log.read_bytes())):
            if process.poll() is not None:
                raise SystemExit(f"postroom web has ended:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        yield int(found[1])
    finally:
        process.terminate()
        process.wait(10)


class Pages:
    """A visitor on one kept connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.token = ""
        self.talks: list[str] = []

    def sign_in(self) -> None:
        """As a session of the archive's own, without a form; looks up the long conversations."""
        archive = Archive(DATA, InstallationKey.read(Path(f"{DATA}.key")))
        with archive.transaction() as session:
            self.token = sessions.start(session, 1, "bench", int(time.time() * 1000))
            long = select(ticket.c.conversation).where(ticket.c.messages == BUSIEST).limit(TALKS)
            self.talks = [f"/conversations/{id_}?in=office" for id_ in session.scalars(long)]
        archive.close()
        if not self.talks or len(set(re.findall(r"/messages/\d+", self.get(self.talks[0])))) < BUSIEST:
            raise SystemExit(f"there is no page with {BUSIEST} mails")

    def get(self, address: str) -> str:
        """A page; SystemExit where it is none."""
        self._connection.request("GET", address, headers={"Cookie": f"postroom={self.token}", "Accept-Language": "en"})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{address} answered {answer.status}")
        return text.decode()

    def further(self) -> list[str]:
        """The addresses of the list's further pages."""
        found: list[str] = []
        address: str | None = LIST
        while address and len(found) < ASKED:
            older = re.search(r'href="([^"]*[?&;]after=[^"]*)"', self.get(address))
            address = older[1].replace("&amp;", "&") if older else None
            found += [address] if address else []
        return found

    def measure(self, what: str, addresses: Sequence[str]) -> None:
        """Ask for each address once and print how long the answers took, to their last byte."""
        taken, size = [], 0
        for address in addresses:
            start = time.perf_counter()
            size = max(size, len(self.get(address)))
            taken.append((time.perf_counter() - start) * 1000)
        taken.sort()
        p95 = taken[min(len(taken) - 1, int(len(taken) * 0.95))]
        print(f"{what:34}{statistics.median(taken):8.1f}{p95:8.1f}{size / 1000:8.0f}", flush=True)


def in_chromium(port: int, token: str, talk: str) -> None:
    """From the first byte to a page one can use (its load event), styles and frames included."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_cookies([{"name": "postroom", "value": token, "url": f"http://127.0.0.1:{port}"}])
        page = context.new_page()
        print(f"\n{'in Chromium, ms':34}{'first byte':>11}{'usable':>8}")
        for what, address in (("list", LIST), (f"conversation of {BUSIEST} mails", talk)):
            seen: list[tuple[float, float]] = []
            for _ in range(OPENED):
                page.goto(f"http://127.0.0.1:{port}{address}", wait_until="load")
                byte, loaded = page.evaluate(
                    "(() => { const [n] = performance.getEntriesByType('navigation');"
                    " return [n.responseStart, n.loadEventStart]; })()"
                )
                seen.append((byte, loaded - byte))
            byte, usable = (statistics.median(column) for column in zip(*seen, strict=True))
            print(f"{what:34}{byte:11.0f}{usable:8.0f}", flush=True)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
