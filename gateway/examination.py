"""What works with a mailbox, step by step, from the name of its server to its folders."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archive.post import bindings
from archive.store.keys import InstallationKey, KeyTrouble

from . import smtp
from .accounts import Account, parse
from .mailbox import Connecting, Mailbox
from .trouble import Trouble


@dataclass(frozen=True, slots=True)
class Step:
    """One thing tried."""

    name: str
    well: bool
    says: str


def examine(
    key: InstallationKey, box: bindings.Mailbox, folders: Sequence[str], names_shown: bool, connecting: Connecting
) -> Iterator[Step]:
    """Try everything in order; what depends on a step that failed is left out."""
    try:
        password = key.decrypt_secret(box.secret) if box.secret else ""
        account = parse(box.imap, "imap", plaintext=box.plaintext, password=password)
        out = parse(box.smtp, "smtp", plaintext=box.plaintext, password=password) if box.smtp else None
    except (KeyTrouble, ValueError) as error:
        yield Step("settings", False, str(error))
        return
    yield from _imap(account, folders, names_shown, connecting)
    if out is not None:
        try:
            yield Step("SMTP", True, smtp.check(out, connecting))
        except Trouble as trouble:
            yield Step("SMTP", False, str(trouble))


def _imap(account: Account, folders: Sequence[str], names_shown: bool, connecting: Connecting) -> Iterator[Step]:
    try:
        found = sorted({str(info[4][0]) for info in socket.getaddrinfo(account.host, account.port)})
    except OSError:
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
        # TLS comes before signing in, and Mailbox says in words at which of the two it failed.
        mailbox = Mailbox(account, connecting)
    except Trouble as trouble:
        at = "sign-in" if "password" in str(trouble) or "let" in str(trouble) else "TLS"
        yield Step(at, False, str(trouble))
        return
    with mailbox:
        encrypted = {"tls": "encrypted from the start", "starttls": "encrypted by STARTTLS", "plain": "NOT encrypted"}
        yield Step("TLS", True, encrypted[account.security])
        yield Step("sign-in", True, f"as {account.user}")
        yield from _folders(mailbox, folders, names_shown)
        offers = [name for name in ("MOVE", "UIDPLUS", "IDLE") if name in mailbox.capabilities]
        lacks = [name for name in ("MOVE", "UIDPLUS", "IDLE") if name not in mailbox.capabilities]
        says = f"offers {', '.join(offers) or 'none'}" + (f"; lacks {', '.join(lacks)}" if lacks else "")
        if mailbox.moving == "copy":
            says += ". Originals cannot be moved: they are copied, marked and left in the watched folder"
        yield Step("MOVE/UIDPLUS/IDLE", True, says)


def _folders(mailbox: Mailbox, folders: Sequence[str], names_shown: bool) -> Iterator[Step]:
    try:
        for folder in dict.fromkeys(folders):
            yield Step("folder", True, f"{folder}: {mailbox.messages(folder)} messages")
        if names_shown:
            names = [one.name for one in mailbox.folders()]
            yield Step("folders", True, ", ".join(names))
    except Trouble as trouble:
        yield Step("folder", False, str(trouble))
