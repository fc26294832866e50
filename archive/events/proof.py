"""Digests of rows: by them events say exactly which rows they made true, so that any other row can be told.

An event that writes or deletes rows names them in its details, under "rows": by table and key, the digest of each row
as it stands afterwards, null where it is gone. Replaying the log gives the digest that every row must have now.
Digests stand in the details, which are salted and can be erased, because whoever guesses a row could confirm it.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, Integer, RowMapping, Select, Table, or_, select, type_coerce

from ..store import schema
from ..store.archive import Session

Digests = dict[str, dict[str, str | None]]  # by table, by key

SUBJECT = "~"  # in a key: the id of the event's subject
NOTHING_ELSE = "+"  # stands for the digest of a row that is nothing but its key


@dataclass(frozen=True)
class Proved:
    """A table whose rows events answer for."""

    table: Table
    id: str  # the column by which its rows are walked, an integer
    rest: tuple[str, ...] = ()  # what else belongs to the key
    without: frozenset[str] = frozenset()  # columns no event answers for, or that others do
    only: frozenset[str] | None = None
    covered: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        key = {self.id, *self.rest}
        names = sorted(column.name for column in self.table.c if column.name not in key | self.without)
        object.__setattr__(self, "covered", tuple(n for n in names if self.only is None or n in self.only))

    def key(self, row: Any) -> str:
        """A row's key as events write it."""
        return "/".join(str(getattr(row, name)) for name in (self.id, *self.rest))

    def rows(self) -> Select[Any]:
        """All rows that have to be answered for, in the order of their first key column."""
        query = select(*map(_as_it_stands, self.table.c)).order_by(self.table.c[self.id])
        if self.only is not None:  # a part of a row, there when it is not empty
            query = query.where(or_(*(self.table.c[name].is_not(None) for name in sorted(self.only))))
        return query


def _as_it_stands(column: Column[Any]) -> ColumnElement[Any]:
    """A column as the database has it: read as a truth value, SQLite's 2 would be the same as 1."""
    return type_coerce(column, Integer).label(column.name) if isinstance(column.type, Boolean) else column


_SECOND_READING = frozenset({"second_reader", "second_reading", "ambiguous"})
# What was settled, when and how, is told by events of its own; of imported mail it is part of the receipt.
_SETTLED = frozenset({"settled_at", "settlement"})
# How somebody wants the pages is nobody else's business, and no event.
_DISPLAY = frozenset({"language", "zone", "theme", "density", "shortcuts", "tour", "undo"})
# How a watched folder is doing changes with every pass, and is true of the moment only.
_OPERATION = frozenset(
    {
        "next_at", "checked_at", "succeeded_at", "waiting", "empty_polls", "trouble", "trouble_kind", "trouble_values",
        "trouble_since", "permanent", "failures", "uidvalidity", "moving", "processed_uidvalidity", "processed_uidnext",
        "before_uidnext", "began_at", "looks", "looks_since", "looks_like",
    }
)  # fmt: skip
# Where a mail of ours is on its way is true of the moment; what became of it, for whom, is not.
_ON_ITS_WAY = frozenset(
    {
        "next_at", "began_at", "tries", "claimed_until", "claim", "trouble_kind", "trouble_values", "sent_copy",
        "copy_at", "copy_tries", "file_at",
    }
)  # fmt: skip

# How often it was tried is true of the moment; what became of it is not.
_UNDER_WAY = frozenset({"tries", "sent_at"})

PROVED: Mapping[str, Proved] = {
    "user": Proved(schema.user, "id", without=_DISPLAY),
    "process": Proved(schema.process, "id"),
    "process_address": Proved(schema.process_address, "process", ("address",)),
    "membership": Proved(schema.membership, "process", ("user",)),
    "assumed_role": Proved(schema.assumed_role, "id"),
    "provider": Proved(schema.provider, "id"),
    "mailbox": Proved(schema.mailbox, "id"),
    "binding": Proved(schema.binding, "id", without=_OPERATION),
    "source": Proved(schema.source, "id"),
    "blob": Proved(schema.blob, "id"),
    "conversation": Proved(schema.conversation, "id"),
    "message": Proved(schema.message, "id", without=_SECOND_READING),
    "second_reading": Proved(schema.message, "id", only=_SECOND_READING),
    "stray": Proved(schema.stray, "message"),
    "leaf": Proved(schema.leaf, "message", ("start",)),
    "attachment": Proved(schema.attachment, "message", ("path",)),
    "receipt": Proved(schema.receipt, "id"),
    "quarantine": Proved(schema.quarantine, "id"),
    "left_alone": Proved(schema.left_alone, "binding", ("uidvalidity", "uid")),
    "gone": Proved(schema.gone, "binding", ("uidvalidity", "uid")),
    "delivery": Proved(schema.delivery, "message", ("scope",)),
    "message_scope": Proved(schema.message_scope, "message", ("scope",)),
    "ticket": Proved(schema.ticket, "id"),
    "comment": Proved(schema.comment, "id"),
    "watcher": Proved(schema.watcher, "ticket", ("user",)),
    "tag": Proved(schema.tag, "id"),
    "ticket_tag": Proved(schema.ticket_tag, "ticket", ("tag",)),
    "reminder": Proved(schema.reminder, "id"),
    "absence": Proved(schema.absence, "id"),
    "hand_over": Proved(schema.hand_over, "id"),
    "hand_over_message": Proved(schema.hand_over_message, "hand_over", ("message",)),
    "restriction": Proved(schema.restriction, "id"),
    "restriction_member": Proved(schema.restriction_member, "restriction", ("user",)),
    "restriction_scope": Proved(schema.restriction_scope, "restriction", ("message", "scope")),
    "answer": Proved(schema.answer, "message", ("by_message",)),
    "rule": Proved(schema.rule, "id", without=frozenset({"trouble"})),  # true of the moment
    "rule_binding": Proved(schema.rule_binding, "rule", ("binding",)),
    "case": Proved(schema.case, "id"),
    "case_participant": Proved(schema.case_participant, "case", ("scope",)),
    "case_item": Proved(schema.case_item, "case", ("kind", "item")),
    "identity": Proved(schema.identity, "id"),
    "identity_right": Proved(schema.identity_right, "identity", ("user",)),
    "template": Proved(schema.template, "id"),
    "template_text": Proved(schema.template_text, "template", ("language",)),
    "identity_signature": Proved(schema.identity_signature, "identity", ("user",)),
    "reply_setting": Proved(schema.reply_setting, "ticket", ("name",)),
    "auto_reply": Proved(schema.auto_reply, "id"),
    "brake": Proved(schema.brake, "id"),
    "canary": Proved(schema.canary, "id", without=_UNDER_WAY),
    "outgoing": Proved(schema.outgoing, "id", without=_ON_ITS_WAY),
    "outgoing_recipient": Proved(schema.outgoing_recipient, "outgoing", ("address",)),
}
_COVERED = {name: proved.covered for name, proved in PROVED.items()}
_BOOLEAN = {
    name: [column.name for column in proved.table.c if isinstance(column.type, Boolean)]
    for name, proved in PROVED.items()
}
_RECEIPT_OF_A_BINDING = tuple(name for name in _COVERED["receipt"] if name not in _SETTLED)

_encode = json.JSONEncoder(separators=(",", ":"), default=bytes.hex, check_circular=False).encode


def digest(table: str, row: Mapping[str, Any] | RowMapping) -> str:
    """128 bits of SHA-256 of what a row says beside its key, as 22 letters.

    A column that is null does not count, so that later versions may add columns that are null in earlier rows.
    """
    covered = _COVERED[table]
    if not covered:
        return NOTHING_ELSE
    if table == "receipt" and row.get("binding") is not None:
        covered = _RECEIPT_OF_A_BINDING
    get = row.get
    said = {name: value for name in covered if (value := get(name)) is not None}
    for name in _BOOLEAN[table]:
        if said.get(name) in (0, 1):
            said[name] = bool(said[name])
    return base64.b64encode(hashlib.sha256(_encode(said).encode()).digest()[:16])[:22].decode()


def stored(session: Session, table: str, where: "ColumnElement[bool]") -> Digests:
    """The digests of rows as they stand now, for the event that has just changed them."""
    proved = PROVED[table]
    found = session.execute(select(proved.table).where(where))
    return {table: {proved.key(row): digest(table, row._mapping) for row in found}}


def of_ids(session: Session, table: str, ids: Iterable[int]) -> Digests:
    """As `stored`, of the rows with these ids; null where there is none any more."""
    wanted = list(ids)
    found: dict[str, str | None] = dict.fromkeys(map(str, wanted))
    column = PROVED[table].table.c[PROVED[table].id]
    for start in range(0, len(wanted), 500):
        found |= stored(session, table, column.in_(wanted[start : start + 500]))[table]
    return {table: found}


def joined(*some: Digests) -> Digests:
    """The digests of several tables together."""
    found: Digests = {}
    for one in some:
        for table, digests in one.items():
            found.setdefault(table, {}).update(digests)
    return found
