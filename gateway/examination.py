"""What works with a mailbox, step by step, from the name of its server to its folders."""

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from archive.front import now
from archive.post import bindings
from archive.store.archive import Archive

from . import credentials, smtp
from .accounts import Account
from .journal import Journal
from .mailbox import Connecting, Mailbox
from .trouble import Trouble


@dataclass(frozen=True, slots=True)
class Step:
    """One thing tried."""

    name: str
    well: bool
    says: str


def examine(
    archive: Archive, box: bindings.Mailbox, folders: Sequence[str], names_shown: bool, connecting: Connecting
) -> Iterator[Step]:
    """Try everything in order; what depends on a step that failed is left out."""
    try:
        account = credentials.of(archive, box, connecting, now)
        if account.by_token:
            yield Step("token", True, "there is one, and it is fresh")
        out = credentials.of(archive, box, connecting, now, "smtp") if box.smtp else None
    except Trouble as trouble:
        yield Step("settings" if trouble.kind == "settings" else "token", False, str(trouble))
        return
    journal = Journal(archive, box.id, None, now, connecting.journal_days)
    yield from _imap(account, folders, names_shown, connecting, journal)
    if out is not None:
        try:
            yield Step("SMTP", True, smtp.check(out, connecting))
        except Trouble as trouble:
            yield Step("SMTP", False, str(trouble))


def _imap(
    account: Account, folders: Sequence[str], names_shown: bool, connecting: Connecting, journal: Journal
) -> Iterator[Step]:
    try:
        found = sorted({str(info[4][0]) for info in socket.getaddrinfo(account.host, account.port)})
    except (OSError, UnicodeError):
        yield Step("name lookup", False, f"The name {account.host} cannot be found. Is it spelled right?")
        return
    yield Step("name lookup", True, f"{account.host} is {', '.join(found)}")
    try:
        socket.create_connection((account.host, account.port), timeout=min(connecting.timeout, 30.0)).close()
    except OSError as error:
        yield Step("TCP", False, f"{account.server} accepts no connection: {error.strerror or 'no answer in time'}.")
        return
    yield Step("TCP", True, f"{account.server} answers")
    try:
        mailbox = Mailbox(account, connecting, journal)
    except Trouble as trouble:
        if trouble.signing_in:
            yield _encrypted(account)
        yield Step("sign-in" if trouble.signing_in else "TLS", False, str(trouble))
        return
    with mailbox:
        yield _encrypted(account)
        yield Step("sign-in", True, f"as {account.user}")
        for folder in dict.fromkeys(folders):
            yield _try("folder", partial(_counted, mailbox, folder))
        if names_shown:
            yield _try("folders", lambda: ", ".join(one.name for one in mailbox.folders()))
        yield _try("MOVE/UIDPLUS/IDLE", lambda: _offered(mailbox))


def _encrypted(account: Account) -> Step:
    how = {"tls": "encrypted from the start", "starttls": "encrypted by STARTTLS", "plain": "NOT encrypted"}
    return Step("TLS", True, how[account.security])


def _try(name: str, ask: Callable[[], str]) -> Step:
    try:
        return Step(name, True, ask())
    except Trouble as trouble:
        return Step(name, False, str(trouble))


def _counted(mailbox: Mailbox, folder: str) -> str:
    return f"{folder}: {mailbox.messages(folder)} messages"


def _offered(mailbox: Mailbox) -> str:
    offers = [name for name in ("MOVE", "UIDPLUS", "IDLE") if name in mailbox.capabilities]
    lacks = [name for name in ("MOVE", "UIDPLUS", "IDLE") if name not in mailbox.capabilities]
    says = f"offers {', '.join(offers) or 'none'}" + (f"; lacks {', '.join(lacks)}" if lacks else "")
    if mailbox.moving == "copy":
        says += ". Originals cannot be moved: they are copied, marked and left in the watched folder"
    return says
