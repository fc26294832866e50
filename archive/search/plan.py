"""From what was understood to what the index is asked: rights, processes and folders put in, and sentences about them.

Everything is decided inside the one question to the index: who may see is a token beside the words, times are a range
of row ids. The question is the same for every index; each says it in its own language (`archive.search.backends`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from ..people.scopes import Viewer, case_scope, process_scope, restricted_scope, user_scope
from ..store.archive import Session
from ..store.schema import binding, case, mailbox, process
from . import marks, words
from . import work as tickets
from .query import All, Mark, Node, Not, Note, Query, Some, Term

ANYWHERE = ("subject", "sender", "recipients", "copied", "body", "names", "enclosed")  # columns of words as written
_COLUMNS = {
    "": ANYWHERE, "from": ("sender",), "to": ("recipients",), "cc": ("copied",),
    "with": ("sender", "recipients", "copied"), "subject": ("subject",),
    "body": ("body",), "filename": ("names",),
}  # fmt: skip
_STEMS = {"": ("subject_stems", "stems"), "subject": ("subject_stems",), "body": ("stems",)}
BEGINNINGS = ("beginnings",)
_LAST = (1 << 63) - 1
_CASES = 100  # that are asked for at once
_NAME_PARTS = re.compile(r"[/.]")


@dataclass(frozen=True, slots=True)
class Said:
    """In one of these columns the words of a folded text stand together; the last of them may go on."""

    columns: tuple[str, ...]
    text: str
    going_on: bool = False


@dataclass(frozen=True, slots=True)
class Marked:
    """One of these marks; of none: nothing has it."""

    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Both:
    """Each of these, of which there is at least one."""

    of: tuple["Ask", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of these, of which there is at least one."""

    of: tuple["Ask", ...]


@dataclass(frozen=True, slots=True)
class Except:
    """The one without the other."""

    of: "Ask"
    but: "Ask"


Ask = Said | Marked | Both | Either | Except


@dataclass(frozen=True, slots=True)
class Plan:
    """What the index is asked on behalf of one viewer."""

    match: Ask | None  # None where nothing can be found
    rights: Marked | None = None  # of which a message has to have one; None where all may be seen
    first: int = 0  # message ids from here on
    end: int = _LAST  # and below this one
    larger: int | None = None  # bytes
    smaller: int | None = None
    unread: bool | None = None
    notes: tuple[Note, ...] = ()
    work: tuple[str, ...] = ()  # conditions on the tickets, as SQL with {} where the message's id stands
    few: tuple[int, ...] | None = None  # only these messages are in question
    unsure: bool = False  # the index may not know yet from whom something was taken back

    @property
    def allowed(self) -> Ask:
        """What is asked of the mail that may be seen; of a plan by which something can be found."""
        assert self.match is not None
        return self.match if self.rights is None else Both((self.match, self.rights))


def plan(
    session: Session, query: Query, visible_to: Viewer, now: int, zone: str = "UTC", beginnings: bool = True
) -> Plan:
    """What the index is asked; `now` in UTC ms. Without `beginnings` they are not prepared for all messages yet."""
    if not query.wanted or visible_to.scopes == frozenset():
        return Plan(None, notes=query.notes)
    maker = _Maker(session, visible_to, beginnings)
    limits = query.limits
    asked = maker.all(query.of)
    parts = [asked] if asked else []
    if limits.larger is not None:
        parts.append(Marked(tuple(marks.at_least(limits.larger + 1))))
    if limits.smaller is not None:
        parts.append(Marked(tuple(marks.at_most(max(limits.smaller - 1, 0)))))
    match: Ask | None = Both(tuple(parts)) if parts else maker.base
    unread = limits.unread
    if unread is not None and visible_to.user is None:
        maker.notes.append(Note("Read and unread are a person's: “is:unread” counts only where somebody is signed in."))
        unread = None
    first = _id_at(limits.after.starts(now, zone)) if limits.after else 0
    end = _id_at(limits.before.starts(now, zone)) if limits.before else _LAST
    if first >= end:
        maker.notes.append(Note("Nothing can be both after the one date and before the other."))
        match = None
    work = tickets.asked(session, limits.work, visible_to, maker.notes.append)
    notes = (*query.notes, *maker.notes)
    few = None if work.few is None else tuple(sorted(one for one in work.few if first <= one < end))
    if few == ():
        match = None
    return Plan(match, maker.rights, first, end, limits.larger, limits.smaller, unread, notes, work.conditions, few)


def _id_at(milliseconds: int) -> int:
    """The lowest id of messages that arrived then or later (`archive.post.messages.new_id`)."""
    return min(max(milliseconds // 1000, 0) << 30, _LAST)


@dataclass(slots=True)
class _Maker:
    session: Session
    viewer: Viewer
    beginnings: bool
    notes: list[Note] = field(default_factory=list)

    @property
    def base(self) -> Ask:
        """What all messages have that may be seen."""
        return self.rights or Marked((marks.EVERY,))

    @property
    def rights(self) -> Marked | None:
        """What one of has to stand on a message that may be seen."""
        scopes = self.viewer.scopes
        return None if scopes is None else Marked(tuple(sorted(scopes)))

    def all(self, nodes: Iterable[Node]) -> Ask | None:
        """Each of these; None where nothing is asked for."""
        wanted, unwanted = [], []
        for node in nodes:
            if isinstance(node, Not):
                unwanted.append(self.node(node.of))
            else:
                wanted.append(self.node(node))
        asked = [one for one in wanted if one is not None]
        refused = [one for one in unwanted if one is not None]
        found = Both(tuple(asked)) if asked else None
        return Except(found or self.base, Either(tuple(refused))) if refused else found

    def node(self, node: Node) -> Ask | None:
        """One of them."""
        if isinstance(node, Term):
            return self.term(node)
        if isinstance(node, Mark):
            return self.mark(node)
        if isinstance(node, Some):
            some = [one for one in map(self.node, node.of) if one is not None]
            return Either(tuple(some)) if some else None
        return self.all(node.of if isinstance(node, All) else [node])

    def term(self, term: Term) -> Ask | None:
        """Words: as they stand, or one of their forms."""
        folded = words.fold(term.text)
        tokens = words.tokens(folded)
        if not tokens:
            return None
        columns = _COLUMNS[term.field]
        alone = tokens[0] if len(tokens) == 1 else ""
        if term.prefix:
            if self.beginnings and len(alone) in words.PREPARED and not term.field:
                return Said(BEGINNINGS, alone)
            return Said(columns, folded, True)
        if term.exact or not alone or term.field not in _STEMS:
            return Said(columns, folded)
        forms = (alone, *sorted(words.stems_of(alone)))
        return Either(tuple(Said((*columns, *_STEMS[term.field]), form) for form in forms))

    def mark(self, mark: Mark) -> Ask:
        """What is no word."""
        if mark.kind == "attachment":
            return Marked((marks.ATTACHMENT,))
        by_kind = {"process": self.process, "case": self.cases, "in": self.folders}
        return Marked(tuple(by_kind[mark.kind](mark.value)))

    def process(self, typed: str) -> Sequence[str]:
        """The scope of a process by its slug or name."""
        query = select(process.c.id, process.c.slug, process.c.name).order_by(process.c.id)
        for row in self.session.execute(query):
            scope = process_scope(row.id)
            if typed.lower() in (row.slug, row.name.lower()) and self.viewer.sees(scope):
                return [scope]
        self.notes.append(Note("There is no process “%(typed)s” whose mail you may see.", {"typed": typed}))
        return []

    def cases(self, typed: str) -> Sequence[str]:
        """The scopes of the case of this reference, or else of those in whose reference these words stand together."""
        wanted = words.without_accents(" ".join(words.tokens(words.fold(typed))))
        query = select(case.c.id, case.c.restriction, case.c.folded).order_by(case.c.last_at.desc())
        exact = self.session.execute(query.where(case.c.folded == wanted)).all()
        named = (" " + case.c.folded + " ").like(f"% {wanted} %")
        some = exact or (self.session.execute(query.where(named).limit(_CASES)).all() if wanted else [])
        of = [case_scope(row.id) if row.restriction is None else restricted_scope(row.restriction) for row in some]
        found = [scope for scope in of if self.viewer.sees(scope)]
        if not found:
            self.notes.append(Note("There is no case “%(typed)s” that you may see.", {"typed": typed}))
        return found

    def folders(self, typed: str) -> Sequence[str]:
        """The watched folders of this name, the mailbox's name before it or not: of one's own bindings alone."""
        found = []
        query = select(binding.c.id, binding.c.folder, binding.c.process, binding.c.user, mailbox.c.name)
        for row in self.session.execute(query.join(mailbox, mailbox.c.id == binding.c.mailbox)):
            scope = process_scope(row.process) if row.process is not None else user_scope(row.user or 0)
            names = {row.folder, f"{row.name}/{row.folder}", _NAME_PARTS.split(row.folder)[-1]}
            routed = row.process is None and row.user is None  # of its mail only that is found which one may see
            if (routed or self.viewer.sees(scope)) and typed.lower() in {name.lower() for name in names}:
                found.append(marks.folder(row.id))
        if not found:
            self.notes.append(Note("There is no folder “%(typed)s” whose mail you may see.", {"typed": typed}))
        return found


def narrowed(planned: Plan, visible_to: Viewer, id_: str) -> tuple[list[str], dict[str, Any]]:
    """What else has to be true of the message with this id (an SQL expression), as conditions with their values."""
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if planned.larger is not None or planned.smaller is not None:
        # The marks decide all but the sixteenth of an octave in which the limit lies.
        conditions.append(f"(SELECT size FROM message WHERE id = {id_}) BETWEEN :at_least AND :at_most")  # noqa: S608
        values["at_least"] = planned.larger + 1 if planned.larger is not None else 0
        values["at_most"] = planned.smaller - 1 if planned.smaller is not None else (1 << 62)
    if planned.unread is not None:
        conditions.append(("" if planned.unread else "NOT ") + _UNREAD.format(id_))
        values["user"] = visible_to.user
        values["scopes"] = sorted(visible_to.own_scopes)
    conditions += [one.format(id_) for one in planned.work]
    if planned.unsure and visible_to.scopes is not None:
        conditions.append(f"EXISTS (SELECT 1 FROM message_scope WHERE message = {id_} AND scope IN :scopes)")  # noqa: S608
        values["scopes"] = sorted(visible_to.scopes)
    return conditions, values


_UNREAD = (
    "EXISTS (SELECT 1 FROM message JOIN ticket ON ticket.conversation = message.conversation "
    'LEFT JOIN seen ON seen.ticket = ticket.id AND seen."user" = :user '
    "WHERE message.id = {} AND ticket.scope IN :scopes AND (seen.at IS NULL OR seen.at < ticket.last_at))"
)
