"""Files that may go along with a mail of ours: of the conversation it is written in, and of cases."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from archive import draft_files, sending
from archive.mail import reader
from archive.outgoing.composing import Attachment, Unwritable
from archive.people.scopes import Viewer
from archive.post import messages
from archive.post.messages import Message
from archive.store.archive import Session
from archive.store.packs import Damaged
from archive.work import case_story, cases, merging, tickets
from archive.work.cases import Case

from . import letters
from .language import ngettext
from .visit import Visitor, office

MAILS = 100  # of a conversation, the newest, whose files are offered
OPENED = 8 << 20  # bytes of mails that are opened to say how large their files are


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


_TOO_MANY = _say("A mail carries %(most)s files at most.")
_GONE = _say("The kept bytes of the mail “%(subject)s” are gone or were altered; its files cannot go along.")


@dataclass(frozen=True, slots=True)
class File:
    """Something enclosed in a mail that the writer may see."""

    key: str  # as the form gives it back: the message and the path in it, 123/2.1
    name: str
    size: int | None  # bytes, about; None: that mail was too large to look into
    sender: str
    at: int  # UTC ms


@dataclass(frozen=True, slots=True)
class Group:
    """Files that are offered together."""

    title: str
    files: Sequence[File]
    chosen: bool  # one of them goes along


def offered(
    session: Session,
    who: Visitor,
    answered: Message | None,
    case: int | None,
    chosen: Collection[str],
    *,
    but: Message | None = None,
) -> list[Group]:
    """What is enclosed in the mails of the conversation, and of the cases it is filed under, so far as it may be seen.

    What is enclosed in `but` is offered elsewhere.
    """
    groups: list[tuple[Case | None, list[Message]]] = []
    if answered is not None:
        on = tickets.of_conversation(session, who.viewer, answered.conversation)
        with_it = merging.conversations(session, [one.id for one in on])
        some = messages.of_conversation(session, answered.conversation, who.viewer, None, MAILS, with_it)
        groups.append((None, some[::-1]))
    for on_file in _cases(session, who.viewer, answered, case):
        ids = dict.fromkeys(one.message for one in case_story.documents(session, on_file))
        there = messages.of_ids(session, ids, who.viewer)
        groups.append((on_file, [there[id_] for id_ in ids if id_ in there]))
    shown = {but.id} if but else set[int]()
    listed: set[str] = set()
    found, left = [], OPENED
    for of, mails in groups:
        new = [one for one in mails if one.attachments and one.id not in shown]
        shown |= {one.id for one in new}
        opened = list(_within(new, left))
        left -= sum(one.size for one in opened)
        files = _files(session, new, opened)
        listed |= {one.key for one in files}
        if files:
            found.append(Group(_title(of, len(files)), files, any(one.key in chosen for one in files)))
    if others := _files_of(session, who.viewer, [one for one in chosen if one not in listed]):
        found.append(Group(ngettext("%(num)d other file", "%(num)d other files", len(others)), others, True))
    return found


def _cases(session: Session, viewer: Viewer, answered: Message | None, case: int | None) -> list[Case]:
    """Each once: what the conversation is filed under, and that for which a new mail is written."""
    found: dict[int, Case] = {}
    if answered is not None:
        found = {one.case.id: one.case for one in cases.of_conversation(session, viewer, answered.conversation)}
    if case is not None and (asked := cases.get(session, case, viewer)) is not None:
        found.setdefault(asked.id, asked)
    return list(found.values())


def _title(of: Case | None, number: int) -> str:
    if of is None:
        return ngettext(
            "Attach from this conversation: %(num)d file", "Attach from this conversation: %(num)d files", number
        )
    return ngettext(
        "Attach from the case %(case)s: %(num)d file", "Attach from the case %(case)s: %(num)d files", number,
        case=of.reference,
    )  # fmt: skip


def _within(some: Iterable[Message], room: int) -> Iterator[Message]:
    """Those that are opened."""
    for one in some:
        if one.size <= room:
            room -= one.size
            yield one


def _files(session: Session, some: Sequence[Message], opened: Sequence[Message]) -> list[File]:
    """The files of mails in their order; of those that are not opened what is written down of them."""
    read = letters.files(office().archive, session, opened)
    known = cases.attachments(session, [one.id for one in some if one.id not in read])
    found = []
    for one in some:
        if one.id in read:
            files = [(each.path, each.name, each.size) for each in read[one.id] if not each.within and not each.inline]
        else:
            files = [(path, name, None) for path, name in known.get(one.id, ())]  # type: ignore[misc]
        sender = one.from_name or one.from_address
        found += [File(f"{one.id}/{path}", name, size, sender, one.arrived_at) for path, name, size in files]
    return found


def _files_of(session: Session, viewer: Viewer, keys: Sequence[str]) -> list[File]:
    """Files with these keys, where they may be seen."""
    wanted = [place for place in map(_place, keys) if place is not None]
    there = messages.of_ids(session, {id_ for id_, _ in wanted}, viewer)
    some = list(there.values())
    return [one for one in _files(session, some, list(_within(some, OPENED))) if one.key in keys]


def _place(key: str) -> tuple[int, str] | None:
    number, _, path = key.partition("/")
    fine = number.isascii() and number.isdigit() and len(number) < 20 and int(number) < 1 << 63
    return (int(number), path) if fine and path else None


def read(session: Session, viewer: Viewer, keys: Iterable[str]) -> list[Attachment]:
    """The chosen files, as somebody may see them now; LookupError where one is not there for them.

    Unwritable where they are too many or too large for a mail, which is known before they are decoded.
    """
    wanted: dict[int, list[str]] = {}
    for key in dict.fromkeys(keys):
        if (place := _place(key)) is None:
            raise LookupError(key)
        wanted.setdefault(place[0], []).append(place[1])
    if sum(map(len, wanted.values())) > draft_files.MOST:
        raise Unwritable(_TOO_MANY, most=draft_files.MOST)
    found: list[Attachment] = []
    room = sending.room()
    for id_, paths in wanted.items():
        one = messages.get(session, id_, viewer)
        if one is None:
            raise LookupError(id_)
        try:
            for file in _decoded(session, one, paths, room):
                room -= len(file.data)
                found.append(file)
        except Damaged:
            raise Unwritable(_GONE, subject=one.subject[:100]) from None
    return found


def _decoded(session: Session, one: Message, paths: Sequence[str], room: int) -> Iterator[Attachment]:
    with letters.opened(office().archive, session, one) as raw:
        mail = letters.understood(raw, one)
        for path in paths:
            leaf = letters.leaf_at(mail, path)
            if leaf is None or not leaf.attachment:
                raise LookupError(path)
            if letters.size(raw, leaf) > room:
                raise sending.too_large()
            data = reader.content(raw, leaf)
            room -= len(data)
            yield Attachment(letters.name_of(leaf), leaf.content_type, data)
