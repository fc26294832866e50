"""`postroom demo`: an archive of its own on embedded defaults, an embedded mail server, and the small world in it.

Everything lies in a temporary folder and is gone afterwards.
"""

import contextlib
import http.client
import queue
import secrets
import tempfile
import threading
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import click

from archive import installation, statistics
from archive.front import Front, Pages, as_json, now, plain
from archive.outgoing import identities
from archive.people import processes, users
from archive.people.scopes import MACHINE, process_scope, viewer
from archive.post import bindings
from archive.store import migrate
from archive.store.archive import Archive
from archive.store.keys import InstallationKey
from archive.work import tickets
from gateway import app
from gateway.accounts import parse
from gateway.mailbox import Connecting, Mailbox
from gateway.poller import Outcome

from .server import MailServer
from .world import PEOPLE, PROCESSES, Process, answer_of, mails, stream

EVERY = 4.0  # seconds between new mails
WATCHED, PROCESSED, SENT = "INBOX", "Processed", "Sent"
ANSWERED_AFTER = 6.0  # seconds until somebody outside answers a mail of ours

Letters = queue.SimpleQueue[tuple[str, bytes]]  # what we sent to whom outside


def run(front: Front, *, once: bool, port: int, stop: threading.Event, as_lines: bool) -> None:
    """Show the main job; with `once` archive the world, print a summary and return."""
    letters: Letters = queue.SimpleQueue()
    taken = MailServer(outside=lambda recipient, raw: letters.put((recipient, raw)))
    with tempfile.TemporaryDirectory(prefix="postroom-demo-") as folder, taken as server:
        mine = front.elsewhere(replace(front.given, data=Path(folder) / "data", key_path=Path(folder) / "key"))
        try:
            password = secrets.token_urlsafe(9)
            _set_up(mine, server, password)
            _look_first(mine)
            for arrival in mails(datetime.now(UTC)):
                server.deliver(arrival.address, arrival.raw, arrival.at)
            if once:
                _archive_once(mine, as_lines)
            else:
                _show(mine, server, letters, port, password, stop)
        finally:
            mine.close()


def _set_up(front: Front, server: MailServer, password: str) -> None:
    """Three people, and three processes with an empty mailbox each; mail goes out from the address of each process, and
    from the first person's own."""
    front.data.mkdir(mode=0o700)
    (front.data / "locks").mkdir(mode=0o700)
    key = InstallationKey.new()
    key.write(front.key_path)
    archive = front.open_with(key)
    migrate.upgrade(archive)
    hashed = users.hash_password(password)
    with archive.transaction() as session:
        installation.put(session, installation.KEY, key.fingerprint)
        for person in PEOPLE:
            id_ = users.add(session, person.address, person.name, now(), admin=person is PEOPLE[0])
            users.set_password(session, id_, hashed, now(), f"user:{id_}")
        for one in PROCESSES:
            processes.add(session, one.slug, one.name, (one.address,), (one.owner.address,), now())
    for one in PROCESSES:
        _bind(archive, server, one)
    _bind_own(archive, server)
    archive.close()


def _bind(archive: Archive, server: MailServer, one: Process) -> None:
    imap, smtp = _access(server, one.address)
    with archive.transaction() as session:
        process = processes.by_slug(session, one.slug)
        assert process is not None  # added just now
        bindings.add_mailbox(session, archive, one.slug, imap, smtp, server.passwords[one.address], now())
        box = bindings.mailbox_by_name(session, one.slug)
        assert box is not None
        bindings.add(session, box, WATCHED, PROCESSED, now(), process=process.id, every_seconds=2)
        name = f"Demo {one.name}"
        identities.add(session, one.address, box, now(), name=name, process=process.id, sent_folder=SENT)


def _bind_own(archive: Archive, server: MailServer) -> None:
    """The first person's own mailbox, where answers to what she sends from her own address come in."""
    person = PEOPLE[0]
    imap, smtp = _access(server, person.address)
    with archive.transaction() as session:
        user = users.by_email(session, person.address)
        assert user is not None  # added just now
        name, password = person.address.partition("@")[0], server.passwords[person.address]
        bindings.add_mailbox(session, archive, name, imap, smtp, password, now(), owner=user.id)
        box = bindings.mailbox_by_name(session, name)
        assert box is not None
        bindings.add(session, box, WATCHED, PROCESSED, now(), user=user.id, every_seconds=2, preview=False)
        identities.add(session, person.address, box, now(), name=person.name, user=user.id, sent_folder=SENT)


def _access(server: MailServer, address: str) -> tuple[str, str]:
    """The URLs of an account, with the folders that it needs."""
    imap = f"imap+plain://{quote(address, safe='')}@{server.host}:{server.imap_port}"
    smtp = f"smtp+plain://{quote(address, safe='')}@{server.host}:{server.smtp_port}"
    with Mailbox(parse(imap, "imap", password=server.passwords[address]), Connecting()) as mailbox:
        mailbox.create_folder(PROCESSED)
        mailbox.create_folder(SENT)
    return imap, smtp


def _look_first(front: Front) -> None:
    """A pass over the empty folders: what is in a folder before its first pass is old mail, and its tickets are done.
    The world's mail comes afterwards, as new mail that somebody has to answer."""
    with front.archive().reading() as session:
        found = bindings.every(session)
    poller = app.poller(front)
    try:
        for one in found:
            trouble = poller.poll(one.id).trouble
            if trouble:
                raise click.ClickException(trouble)
    finally:
        poller.close()


def _archive_once(front: Front, as_lines: bool) -> None:
    archive = front.archive()
    poller = app.poller(front)
    try:
        with archive.reading() as session:
            found = bindings.every(session)
        for one in found:
            outcome = poller.poll(one.id)
            click.echo(plain(outcome.sentence()), err=as_lines)
            if outcome.trouble:
                raise click.ClickException(outcome.trouble)
    finally:
        poller.close()
    _summary(archive, as_lines)


def _summary(archive: Archive, as_lines: bool) -> None:
    with archive.reading() as session:
        told = statistics.count(archive, session, MACHINE)
    if as_lines:
        as_json(asdict(told))
    else:
        click.echo(
            f"{told.messages} messages from {told.copies} copies; "
            f"{told.bytes_saved:,} of {told.bytes_received:,} bytes saved by keeping each once."
        )


def _show(front: Front, server: MailServer, letters: Letters, port: int, password: str, stop: threading.Event) -> None:
    archive = front.archive()
    pages = front.pages("127.0.0.1", port)
    serving = threading.Thread(target=pages.run, name="pages", daemon=True)
    serving.start()
    clock = app.clock(front, _tell)
    clock.start()
    try:
        _wait_for_first(archive, stop)
        _wait_for_pages(pages, stop)
        if not stop.is_set():
            click.echo(f"demo ready: http://127.0.0.1:{pages.address[1]}  sign in as {PEOPLE[0].address} / {password}")
            others = " and ".join(f"{one.address} ({one.name})" for one in PEOPLE[1:])
            click.echo(f"{others} have the same password. A new mail comes every few seconds, and who gets one of")
            click.echo("ours answers it; nothing leaves this machine. Ctrl-C ends all of it.")
            _keep_delivering(server, letters, stop)
    finally:
        stop.set()
        pages.close()
        clock.stop()
        serving.join(2)


def _wait_for_first(archive: Archive, stop: threading.Event) -> None:
    """Until a mail is in the list of the first person's process."""
    while not stop.wait(0.05):
        with archive.reading() as session:
            person = users.by_email(session, PEOPLE[0].address)
            process = processes.by_slug(session, PROCESSES[0].slug)
            assert person is not None
            assert process is not None
            scope = process_scope(process.id)
            if tickets.page(session, viewer(session, person.id), [scope], limit=1):
                return


def _wait_for_pages(pages: Pages, stop: threading.Event) -> None:
    host, port = pages.address
    while not stop.is_set():
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection(host, port, timeout=5)
            connection.request("GET", "/sign-in")
            if connection.getresponse().status == http.client.OK:
                return
        stop.wait(0.1)


def _keep_delivering(server: MailServer, letters: Letters, stop: threading.Event) -> None:
    """A new mail every few seconds, and answers to ours, until told to stop."""
    threading.Thread(target=_keep_answering, args=(server, letters, stop), name="answers", daemon=True).start()
    for arrival in stream(datetime.now(UTC), every=timedelta(seconds=EVERY)):
        if stop.wait(EVERY):
            return
        server.deliver(arrival.address, arrival.raw, datetime.now(UTC))


def _keep_answering(server: MailServer, letters: Letters, stop: threading.Event, after: float = ANSWERED_AFTER) -> None:
    """Whoever got a mail of ours answers some seconds later."""
    while not stop.is_set():
        with contextlib.suppress(queue.Empty):
            recipient, raw = letters.get(timeout=0.5)
            if stop.wait(after):
                return
            arrival = answer_of(recipient, raw, datetime.now(UTC))
            if arrival is not None and server.knows(arrival.address):
                server.deliver(arrival.address, arrival.raw, arrival.at)


def _tell(outcome: Outcome) -> None:
    if outcome.seen or outcome.trouble:
        click.echo(plain(outcome.sentence()))
