"""What was sent to a mail server, by session: in words, with the command beside it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from archive.post import bindings, journal
from archive.post.bindings import Binding, Mailbox
from archive.post.journal import Entry
from archive.store.archive import Session

from .language import gettext

ENTRIES = 40  # on a page, or
LINES = 1500  # commands, whichever is less


@dataclass(frozen=True, slots=True)
class Sent:
    """A command in words, and as it was sent."""

    says: str
    original: str


@dataclass(frozen=True, slots=True)
class Told:
    """An entry of the journal, in words."""

    entry: Entry
    binding: Binding | None
    sent: tuple[Sent, ...]

    @property
    def filed(self) -> bool:
        """Whether a mail of ours was put into a Sent folder, which is nobody's watched one."""
        return self.entry.binding is None and any(one.upper().startswith("APPEND ") for one in self.entry.lines)


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, the newest first, and before which number the older ones are; None: there are none."""

    some: Sequence[Told]
    older: int | None


def page(session: Session, box: Mailbox, only: Collection[int] | None, before: str) -> Page:
    """What was sent to a mailbox's server for these bindings, or for whatever; `before` as the last page named it."""
    start = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    found = journal.entries(session, box.id, only, 0, start, ENTRIES + 1)
    of = {each.id: each for each in bindings.of_mailboxes(session, [box], ended=True)}
    shown, lines = 0, 0
    while shown < min(len(found), ENTRIES) and (shown == 0 or lines + len(found[shown][1].lines) <= LINES):
        lines += len(found[shown][1].lines)
        shown += 1
    some = [
        Told(
            entry,
            of.get(entry.binding or 0),
            tuple(Sent(in_words(line, refused=entry.refused), line) for line in entry.lines),
        )
        for _, entry in found[:shown]
    ]
    return Page(some, found[shown - 1][0] if shown < len(found) else None)


def in_words(line: str, *, refused: bool = False) -> str:
    """What a command did, for people; where we were not let in, signing in did nothing."""
    wanted = re.match(r"(?:UID )?[A-Z]+", line.upper())
    verb = wanted[0] if wanted else ""
    if refused and verb in ("LOGIN", "AUTHENTICATE"):
        return gettext("Tried to sign in, and was not let in.")
    if verb == "UID FETCH":
        if "BODY.PEEK[]" in line:
            return gettext("Fetched mails, without marking them as read.")
        if "HEADER.FIELDS" in line:
            return gettext("Read sender and subject of the newest mails.")
        return gettext("Asked how large mails are.")
    if verb == "UID STORE" and "\\answered" in line.lower():
        return gettext("Marked the original of a mail that was answered.")
    return {
        "CAPABILITY": gettext("Asked what the server can do."),
        "STARTTLS": gettext("Asked for encryption."),
        "LOGIN": gettext("Signed in."),
        "AUTHENTICATE": gettext("Signed in."),
        "NAMESPACE": gettext("Asked how folders are named here."),
        "LIST": gettext("Looked whether a folder is there."),
        "STATUS": gettext("Asked how a folder stands, without opening it."),
        "SELECT": gettext("Opened a folder."),
        "EXAMINE": gettext("Opened a folder, only to read."),
        "UID SEARCH": gettext("Asked which mails are there."),
        "UID MOVE": gettext("Moved archived mails to where they go afterwards."),
        "UID COPY": gettext("Copied archived mails to where they go afterwards."),
        "UID STORE": gettext("Marked originals whose copies are there."),
        "UID EXPUNGE": gettext("Took away originals whose copies are there."),
        "APPEND": gettext("Put a copy of a mail that was sent into its folder."),
        "CREATE": gettext("Made a folder."),
        "SUBSCRIBE": gettext("Let mail programs show that folder."),
        "GETQUOTAROOT": gettext("Asked how full the mailbox is."),
        "NOOP": gettext("Asked whether there is news."),
        "IDLE": gettext("Began to wait for news."),
        "DONE": gettext("Stopped waiting."),
        "UNSELECT": gettext("Closed the folder."),
        "LOGOUT": gettext("Signed out."),
    }.get(verb, gettext("Something else; see the command itself."))
