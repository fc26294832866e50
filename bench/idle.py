"""How soon mail is there, what waiting for it costs, and whether a backlog holds up others.

News: from APPEND on a Dovecot to a freshly loaded page that shows it. Waiting: the memory and the threads of one
gateway that holds many connections over TLS. Backlog: new mail in one mailbox while another one's is taken in.
"""

import argparse
import asyncio
import contextlib
import http.client
import multiprocessing
import os
import re
import resource
import shutil
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from sqlalchemy import func, insert, select

from archive.people import processes, sessions
from archive.post import bindings
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from archive.store.schema import binding, mailbox, receipt
from tests.servers.certificates import Authority
from tests.servers.dovecot import Dovecot
from tests.servers.imap import PASSWORD
from tests.world import mail

from .measure import run

WORK = Path(__file__).parent / "work"
DATA = WORK / "idle-data"
POSTROOM = Path(sys.executable).parent / "postroom"
NEWS = 40  # mails
SMALL = 3_000  # bytes of a mail of the backlog


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=2000, help="that wait for news at a time")
    parser.add_argument("--backlog", type=int, default=20_000, help="mails in one mailbox")
    parser.add_argument("--slice", type=int, default=1_000, help="mails of it that are taken before others' turn")
    parser.add_argument("--beside", type=int, default=150, help="other folders of that server that are listened to")
    parser.add_argument("--mails", type=Path, help="folder of .eml files to make the backlog of")
    parser.add_argument("--only", choices=("news", "waiting", "backlog"), action="append")
    chosen = parser.parse_args()
    wanted = chosen.only or ["news", "waiting", "backlog"]
    WORK.mkdir(exist_ok=True)
    if "news" in wanted:
        print(news())
    if "waiting" in wanted:
        print(waiting(chosen.connections))
    if "backlog" in wanted:
        print(backlog(chosen.backlog, chosen.slice, chosen.beside, chosen.mails))


# --- an installation --------------------------------------------------------------------------------------------------


def fresh() -> Archive:
    """An empty archive with a process `office`."""
    shutil.rmtree(DATA, ignore_errors=True)
    Path(f"{DATA}.key").unlink(missing_ok=True)
    postroom("init", "--admin", "admin@office.example", "--no-input")
    process = ("process", "add", "office", "--name", "Office", "--address", "office@office.example")
    postroom(*process, "--owner", "admin@office.example")
    return Archive(DATA, InstallationKey.read(Path(f"{DATA}.key")))


def postroom(*words: str) -> str:
    """Runs a command on the bench's own data folder; what it said."""
    return run([POSTROOM, *words], env={"POSTROOM_DATA": str(DATA)}).output


def watch(archive: Archive, names_and_urls: list[tuple[str, str]]) -> None:
    """Bind the INBOX of each; all but the first are copies of its rows, which takes seconds instead of minutes."""
    now = time.time_ns() // 1_000_000
    (name, url), *others = names_and_urls
    with archive.transaction() as session:
        office = processes.by_slug(session, "office")
        assert office is not None
        made = bindings.add_mailbox(session, archive, name, url, None, PASSWORD, now)
        box = bindings.mailbox_by_name(session, name)
        assert box is not None
        watched = bindings.add(session, box, "INBOX", "Done", now, process=office.id, every_seconds=60)
        mailbox_row, binding_row = (
            dict(session.execute(select(table).where(table.c.id == id_)).mappings().one())
            for table, id_ in ((mailbox, made), (binding, watched))
        )
        del mailbox_row["id"], binding_row["id"]
        for name, url in others:
            row = insert(mailbox).values(mailbox_row | {"name": name, "imap": url}).returning(mailbox.c.id)
            session.execute(insert(binding).values(binding_row | {"mailbox": session.scalar(row)}))


def add(archive: Archive, name: str, url: str) -> None:
    """Bind the INBOX of one more."""
    with archive.transaction() as session:
        office = processes.by_slug(session, "office")
        assert office is not None
        now = time.time_ns() // 1_000_000
        bindings.add_mailbox(session, archive, name, url, None, PASSWORD, now)
        box = bindings.mailbox_by_name(session, name)
        assert box is not None
        bindings.add(session, box, "INBOX", "Done", now, process=office.id, every_seconds=60)


@contextlib.contextmanager
def serving(
    *words: str, env: dict[str, str] | None = None, slices: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on, with slices of so many mails; what it says is in `idle.log`."""
    program = [str(POSTROOM)]
    if slices is not None:
        program = [sys.executable, "-m", "tests.gateway.small_slices", str(slices)]
    with (WORK / "idle.log").open("wb") as out:
        process = subprocess.Popen(
            [*program, *words], stdout=out, stderr=out, env={**os.environ, "POSTROOM_DATA": str(DATA), **(env or {})}
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def until(happens: Callable[[], object], seconds: float) -> None:
    """SystemExit where it does not."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise SystemExit(f"it did not happen within {seconds:g} s")
        time.sleep(0.01)


def received(archive: Archive) -> int:
    with archive.reading() as session:
        return session.scalar(select(func.count()).select_from(receipt)) or 0


# --- news -------------------------------------------------------------------------------------------------------------


def news() -> str:
    """From APPEND to a page, at the median and at the worst."""
    archive = fresh()
    with Dovecot() as server:
        user = server.add_user("office", listen=False)
        watch(archive, [("office", server.url(user))])
        with archive.transaction() as session:
            token = sessions.start(session, 1, "bench", time.time_ns() // 1_000_000)
        with serving("serve", "--port", "0"):
            log = WORK / "idle.log"
            until(lambda: re.search(rb"http://127\.0\.0\.1:(\d+)", log.read_bytes()), 30)
            found = re.search(rb"http://127\.0\.0\.1:(\d+)", log.read_bytes())
            assert found is not None
            pages = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)

            def shows(words: str) -> bool:
                pages.request("GET", "/", headers={"Cookie": f"postroom={token}"})
                answer = pages.getresponse()
                text = answer.read().decode()
                if answer.status != 200:
                    raise SystemExit(f"the page answered {answer.status}")
                return words in text

            until(lambda: bindings_looked_at(archive), 30)
            took = []
            with server.connect(user) as client:
                for number in range(NEWS):
                    words = f"Question {number:04d}."
                    raw = mail(subject=words)
                    began = time.monotonic()
                    client.append("INBOX", raw)
                    until(lambda said=words: shows(said), 60)  # type: ignore[misc]
                    took.append(time.monotonic() - began)
                    time.sleep(0.7)  # the next is not told of together with this one
    archive.close()
    return (
        f"news: from APPEND to a freshly loaded page, {NEWS} mails: median {statistics.median(took):.2f} s, "
        f"95 % below {sorted(took)[int(NEWS * 0.95) - 1]:.2f} s, longest {max(took):.2f} s"
    )


def bindings_looked_at(archive: Archive) -> bool:
    with archive.reading() as session:
        return all(one.succeeded_at for one in bindings.every(session))


# --- waiting ----------------------------------------------------------------------------------------------------------


def waiting(count: int) -> str:
    """What one connection more costs a gateway."""
    archive = fresh()
    certificate = Authority(WORK / "idle-tls").good()
    listening = multiprocessing.Value("i", 0)
    idling = multiprocessing.Value("i", 0)
    server = multiprocessing.Process(
        target=_serve, args=(certificate.certificate, certificate.key, listening, idling), daemon=True
    )
    server.start()
    until(lambda: listening.value, 20)
    env = {"POSTROOM_GATEWAY__CA_FILE": str(certificate.authority), "POSTROOM_GATEWAY__KEPT": str(count)}
    few = 20
    url = f"imaps://{{}}@localhost:{listening.value}"
    try:
        watch(archive, [(f"few{number}", url.format(f"few{number}")) for number in range(few)])
        with serving("gateway", env=env) as process:
            until(lambda: idling.value >= few, 60)
            time.sleep(12)  # what is done once after the start is done
            before = memory(process.pid)
            watch(archive, [(f"box{number}", url.format(f"box{number}")) for number in range(count - few)])
            began = time.monotonic()
            until(lambda: idling.value >= count, 600)
            took = time.monotonic() - began
            time.sleep(3)
            after = memory(process.pid)
            threads = int(re.findall(r"Threads:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[0])
            spent = cpu(process.pid)
            time.sleep(20)
            spent = cpu(process.pid) - spent
        until(lambda: not idling.value, 60)
        began = time.monotonic()
        with serving("gateway", env=env):
            until(lambda: idling.value >= count, 600)
            again = time.monotonic() - began
    finally:
        server.kill()
        archive.close()
    each = (after - before) / (count - few)
    return (
        f"waiting: {count} connections over TLS in one process: {each / 1000:.1f} KB each, {after / 1e6:.0f} MB and "
        f"{threads} threads in all, {spent / 20 * 100:.1f} % of a core; "
        f"first opened in {took:.0f} s, after a restart in {again:.0f} s"
    )


def memory(pid: int) -> int:
    """Bytes that are this process's own."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+)", rollup, re.MULTILINE))


def cpu(pid: int) -> float:
    """Seconds."""
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def _serve(certificate: Path, key: Path, listening: "Synchronized[int]", idling: "Synchronized[int]") -> None:
    """A server with nothing but empty folders, for thousands of clients."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    can = b"CAPABILITY IMAP4rev1 UIDPLUS MOVE IDLE"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [" + can + b"] ready\r\n")
        while line := await reader.readline():
            tag, _, rest = line.rstrip().partition(b" ")
            verb = rest.split()[0].upper() if rest else b""
            if verb == b"IDLE":
                writer.write(b"+ idling\r\n")
                idling.value += 1
                await reader.readline()
                idling.value -= 1
            told = {
                b"CAPABILITY": b"* " + can + b"\r\n",
                b"SELECT": b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] .\r\n* OK [UIDNEXT 1] .\r\n",
                b"UID": b"* SEARCH\r\n",
                b"LOGOUT": b"* BYE\r\n",
            }
            writer.write(told.get(verb, b"") + tag + b" OK done\r\n")
        writer.close()

    async def run_server() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context, backlog=1024)
        listening.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(run_server())


# --- a backlog --------------------------------------------------------------------------------------------------------


def backlog(count: int, slices: int, beside: int, mails: Path | None) -> str:
    """New mail in one mailbox while another one's backlog is taken in.

    With more than 128 folders beside, Dovecot hears of new files in no other folder by the system, and looks itself
    every half a minute.
    """
    archive = fresh()
    letters = WORK / "idle-letters"
    shutil.rmtree(letters, ignore_errors=True)
    letters.mkdir()
    for number, one in enumerate(sorted(mails.glob("*.eml"))[:count] if mails else ()):
        (letters / f"{number:06d}").write_bytes(one.read_bytes().replace(b"\r\n", b"\n"))
    for number in range(0 if mails else count):
        text = mail(subject=f"Old {number}", text=f"{number:08d} " * (SMALL // 9))
        (letters / f"{number:06d}").write_bytes(text.replace(b"\r\n", b"\n"))
    with Dovecot() as server:
        many, few = (server.add_user(name, listen=False) for name in ("many", "few"))
        server.create(few, "Done")
        server.load(many, "INBOX", sorted(letters.iterdir()), link=True)
        others = [server.add_user(f"beside{number}", listen=False) for number in range(beside)]
        watch(archive, [("few", server.url(few)), *((one, server.url(one)) for one in others)])
        took: list[float] = []
        with serving("gateway", slices=slices):
            until(lambda: bindings_looked_at(archive), 300)
            add(archive, "many", server.url(many))
            began = time.monotonic()
            until(lambda: received(archive) > 0, 60)
            while received(archive) < count and time.monotonic() - began < 3600:
                started = time.monotonic()
                server.deliver(few, "INBOX", mail(subject=f"New {len(took)}"))
                due = len(took) + 1
                until(lambda expected=due: server.count(few, "Done") == expected, 120)  # type: ignore[misc]
                took.append(time.monotonic() - started)
                time.sleep(2)
            until(lambda: received(archive) == count + len(took), 600)
            seconds = time.monotonic() - began
    archive.close()
    shutil.rmtree(letters)
    return (
        f"backlog: {count} mails of one mailbox, {slices} at a time, in {seconds:.0f} s; "
        f"{len(took)} new mails of another meanwhile, {beside} others listened to: "
        f"median {statistics.median(took):.1f} s, longest {max(took):.1f} s"
    )


if __name__ == "__main__":
    main()
