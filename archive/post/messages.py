"""Messages: one distinct mail each, kept once, never changed; and how its bytes are given back."""

import hashlib
import json
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select

from ..mail import identity
from ..people.scopes import Viewer, visible, visible_copy
from ..store.archive import Archive, Session
from ..store.packs import Damaged, Place
from ..store.schema import attachment, binding, blob, delivery, mailbox, message, quarantine, receipt, source
from . import contents, sources

_RANDOM_BITS = 30
_LAST_SECOND = (1 << 33) - 1  # in the year 2242


def new_id(arrived_at: int) -> int:
    """A fresh id for a message that first arrived then (UTC ms): 33 bits of seconds, 30 random ones (DESIGN §7)."""
    seconds = min(max(arrived_at // 1000, 0), _LAST_SECOND)
    return seconds << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)


@dataclass(frozen=True, slots=True)
class Message:
    """What is known of a message without opening it."""

    id: int
    blob: int
    size: int
    conversation: int
    joined_by: str
    message_id: str
    subject: str
    from_name: str
    from_address: str
    recipients: Mapping[str, list[tuple[str, str]]]  # to, cc, reply_to: (name, address)
    date: int | None  # what its Date header claims
    arrived_at: int
    snippet: str
    attachments: int
    problems: tuple[str, ...]
    reader: int  # 0: it could not be read and is shown raw
    ambiguous: tuple[str, ...]  # what the two readers disagree about
    read_twice: bool
    hops: tuple[Mapping[str, Any], ...]  # Received hops as the second reader has them


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a copy came from: a binding, here or (imported) in another archive, or a file that was imported."""

    kind: str  # as `archive.post.sources` has them
    name: str
    place: str | None  # of a file: where in it
    uidvalidity: int | None
    uid: int | None
    imported: bool

    @property
    def title(self) -> str:
        """As people are told."""
        return sources.title(self.kind, self.name)

    @property
    def folder(self) -> str | None:
        """Of a binding: the watched folder."""
        return self.name.partition("/")[2] if self.kind == sources.BINDING else None


# What a query of receipts has to join, and its columns, for `origin`.
ORIGIN = (
    mailbox.c.name.label("mailbox_name"),
    binding.c.folder,
    source.c.kind.label("source_kind"),
    source.c.name.label("source_name"),
)


def with_origin(query: Select[Any]) -> Select[Any]:
    """A query of receipts joined to where each came from."""
    return (
        query.outerjoin(binding, binding.c.id == receipt.c.binding)
        .outerjoin(mailbox, mailbox.c.id == binding.c.mailbox)
        .outerjoin(source, source.c.id == receipt.c.source)
    )


def origin(row: Any) -> Origin:
    """Where a copy came from, from a row of such a query."""
    if row.source_kind is None:
        name = f"{row.mailbox_name}/{row.folder}"
        return Origin(sources.BINDING, name, None, row.uidvalidity, row.uid, False)
    if row.source_kind == sources.BINDING:
        return Origin(sources.BINDING, row.source_name, None, *sources.numbers(row.place), True)
    return Origin(row.source_kind, row.source_name, row.place, None, None, row.source_kind != sources.OUTBOX)


@dataclass(frozen=True, slots=True)
class Copy:
    """A receipt, as people see it."""

    receipt: int
    message: int
    scope: str
    origin: Origin
    sha256: bytes
    size: int
    trace: int
    received_at: int
    taken_at: int
    settled_at: int | None
    settlement: str | None

    @property
    def binding(self) -> str:
        """Where it came from, as people are told."""
        return self.origin.title

    @property
    def folder(self) -> str | None:
        """The watched folder; None where the copy comes from a file."""
        return self.origin.folder

    @property
    def uidvalidity(self) -> int | None:
        """Of the watched folder."""
        return self.origin.uidvalidity

    @property
    def uid(self) -> int | None:
        """In the watched folder."""
        return self.origin.uid


def get(session: Session, id_: int, visible_to: Viewer) -> Message | None:
    """The message, where there is one that may be seen: not allowed and not there are the same."""
    row = session.execute(select(message).where(message.c.id == id_, visible(message.c.id, visible_to))).first()
    return _message(row, visible_to) if row else None


def newest(session: Session, visible_to: Viewer, before: int | None, limit: int) -> list[Message]:
    """Messages by first arrival, newest first, before an id."""
    query = select(message).where(visible(message.c.id, visible_to)).order_by(message.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(message.c.id < before)
    return [_message(row, visible_to) for row in session.execute(query)]


def of_ids(session: Session, ids: Iterable[int], visible_to: Viewer) -> dict[int, Message]:
    """Those of these messages that may be seen."""
    query = select(message).where(message.c.id.in_(list(ids)), visible(message.c.id, visible_to))
    return {row.id: _message(row, visible_to) for row in session.execute(query)}


def of_conversation(
    session: Session,
    conversation: int,
    visible_to: Viewer,
    before: int | None = None,
    limit: int | None = None,
    with_it: Collection[int] = (),
) -> list[Message]:
    """A conversation's messages that may be seen, oldest first; with a limit the newest ones before an id.

    `with_it` are conversations whose tickets were merged into one on this.
    """
    here = message.c.conversation.in_([conversation, *with_it]) if with_it else message.c.conversation == conversation
    query = select(message).where(here, visible(message.c.id, visible_to))
    if before is not None:
        query = query.where(message.c.id < before)
    rows = session.execute(query.order_by(message.c.id.desc()).limit(limit))
    return [_message(row, visible_to) for row in rows][::-1]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message handed to a scope, and where it came from."""

    message: int
    scope: str
    at: int
    origin: Origin
    import_mode: bool = False  # it was there before: whoever sends or notifies leaves it alone
    hand_over: int | None = None  # by which it was handed over; then it came from nobody else's mailbox
    reason: str | None = None  # why it is there; None: whom the binding is for
    address: str | None = None  # the address that counted
    rule: int | None = None

    @property
    def binding(self) -> str:
        """Where it came from, as people are told."""
        return self.origin.title


def deliveries(session: Session, ids: Iterable[int], visible_to: Viewer) -> dict[int, list[Delivery]]:
    """To which of the viewer's own scopes each of these messages came; whom else it reached is nobody's business."""
    columns = (receipt.c.uidvalidity, receipt.c.uid, receipt.c.place, *ORIGIN)
    query: Select[Any] = with_origin(
        select(delivery, *columns).select_from(delivery).join(receipt, receipt.c.id == delivery.c.receipt)
    )
    query = query.where(delivery.c.message.in_(list(ids))).order_by(delivery.c.message, delivery.c.scope)
    found: dict[int, list[Delivery]] = {}
    for row in session.execute(query):
        if visible_to.sees(row.scope):
            one = Delivery(
                row.message, row.scope, row.at, origin(row), bool(row.import_mode), row.hand_over, row.reason,
                row.address, row.rule,
            )  # fmt: skip
            found.setdefault(row.message, []).append(one)
    return found


def _message(row: Row[tuple[object, ...]], visible_to: Viewer) -> Message:
    people = {
        kind: [(name, address) for name, address in entries] for kind, entries in json.loads(row.recipients).items()
    }
    second = json.loads(row.second_reading) if row.second_reading else {}
    return Message(
        row.id, row.blob, row.size, row.conversation, row.joined_by, row.message_id, row.subject, row.from_name,
        row.from_address, people, row.date, row.arrived_at, row.snippet, row.attachments,
        tuple(json.loads(row.problems)) if row.problems else (), row.reader,
        tuple(json.loads(row.ambiguous)) if row.ambiguous else (), row.second_reader is not None,
        # Transport headers belong to one copy: hops are for those who may see that copy.
        tuple(second["received"]) if "received" in second and visible_to.sees(second["scope"]) else (),
    )  # fmt: skip


def attachment_names(session: Session, ids: Iterable[int]) -> dict[int, list[str]]:
    """The attachments' names of messages already found to be visible."""
    found: dict[int, list[str]] = {}
    query = select(attachment.c.message, attachment.c.name).where(attachment.c.message.in_(list(ids)))
    for id_, name in session.execute(query.order_by(attachment.c.message, attachment.c.path)):
        found.setdefault(id_, []).append(name)
    return found


def copies(session: Session, id_: int, visible_to: Viewer) -> list[Copy]:
    """The copies of a message that this viewer may see, first received first; others' headers are nobody's business."""
    return list(_copies(session, (receipt.c.message == id_), visible_to))


def copy(session: Session, receipt_id: int, visible_to: Viewer) -> Copy | None:
    """One copy by its receipt, where it may be seen."""
    return next(_copies(session, (receipt.c.id == receipt_id), visible_to), None)


def every_copy(session: Session, visible_to: Viewer, after: int = 0, limit: int = 500) -> list[Copy]:
    """Copies by receipt, those after a receipt's id, for export."""
    return list(_copies(session, (receipt.c.id > after), visible_to, limit))


_COPIES = with_origin(select(receipt, *ORIGIN).select_from(receipt)).order_by(receipt.c.id)


def _copies(
    session: Session, condition: "ColumnElement[bool]", visible_to: Viewer, limit: int | None = None
) -> Iterator[Copy]:
    query = _COPIES.where(condition)
    if limit is not None:
        query = query.limit(limit)
    query = query.where(visible_copy(visible_to))
    for row in session.execute(query):
        yield Copy(
            row.id, row.message, row.scope, origin(row), row.sha256, row.size, row.trace, row.received_at,
            row.taken_at, row.settled_at, row.settlement,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A mail whose bytes are kept though it could not be recorded."""

    id: int
    binding: int
    mailbox: str
    folder: str
    scope_process: int | None
    scope_user: int | None
    uidvalidity: int
    uid: int
    blob: int
    sha256: bytes
    size: int
    received_at: int
    reason: str
    tries: int
    first_at: int
    last_at: int
    again: bool


def quarantined(session: Session) -> list[Quarantined]:
    """All mails in quarantine, oldest first."""
    query = (
        select(quarantine, mailbox.c.name.label("mailbox_name"), binding.c.folder, binding.c.process, binding.c.user)
        .join(binding, binding.c.id == quarantine.c.binding)
        .join(mailbox, mailbox.c.id == binding.c.mailbox)
        .where(quarantine.c.resolved_at.is_(None))
        .order_by(quarantine.c.id)
    )
    return [
        Quarantined(
            row.id,
            row.binding,
            row.mailbox_name,
            row.folder,
            row.process,
            row.user,
            row.uidvalidity,
            row.uid,
            row.blob,
            row.sha256,
            row.size,
            row.received_at,
            row.reason,
            row.tries,
            row.first_at,
            row.last_at,
            row.again,
        )
        for row in session.execute(query)
    ]


def place_of(session: Session, id_: int) -> Place:
    """Where a blob lies; LookupError where there is none."""
    row = session.execute(select(blob).where(blob.c.id == id_)).first()
    if row is None:
        raise LookupError(f"blob {id_}")
    return Place(row.id, row.size, row.stored, row.position)


def read_blob(archive: Archive, session: Session, id_: int) -> Iterator[bytes]:
    """A blob's bytes in pieces; Damaged where they are gone, altered, or their key was destroyed."""
    return contents.read_blob(archive, archive.keys.get([id_]), place_of(session, id_))


def content(archive: Archive, session: Session, id_: int) -> Iterator[bytes]:
    """A message's content, the mail without any copy's transport headers, in pieces; Damaged, LookupError."""
    found = contents.of(session, [id_]).get(id_)
    if found is None:
        raise LookupError(f"message {id_}")
    return contents.read(archive, archive.keys.get(found.blobs), found)


def written(archive: Archive, session: Session, id_: int) -> Iterator[bytes]:
    """A message as its author wrote it, for whoever may see no copy: without anything transport added. Damaged, at the
    latest after the last piece, where it is not what its content key says; LookupError."""
    row = session.execute(select(message.c.content_key).where(message.c.id == id_)).first()
    if row is None:
        raise LookupError(f"message {id_}")
    digest = identity.hashing(archive.key.content_hash_key)
    for piece in content(archive, session, id_):
        digest.update(piece)
        yield piece
    if digest.digest() != row.content_key:
        raise Damaged(f"Message {id_}: its content is not what was received.")


def trace(archive: Archive, session: Session, of: Copy) -> bytes:
    """A copy's own transport headers and their places (`archive.mail.identity`)."""
    return b"".join(read_blob(archive, session, of.trace))


def raw(archive: Archive, session: Session, of: Copy) -> Iterator[bytes]:
    """A copy byte for byte as it was received, in pieces; Damaged, at the latest after the last one, where it is not.

    Whoever must not give out a single wrong byte reads it to the end first.
    """
    found, place = contents.of_copy(session, of.message, of.trace)
    keys = archive.keys.get([*found.blobs, place.blob])
    own = b"".join(contents.read_blob(archive, keys, place))
    digest = hashlib.sha256()
    for piece in identity.join(contents.read(archive, keys, found), own):
        digest.update(piece)
        yield piece
    if digest.digest() != of.sha256:
        raise Damaged(f"Receipt {of.receipt}: its copy is not what was received.")
