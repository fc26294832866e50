"""From what was understood to what the index is asked: rights, processes and folders put in, and sentences about them.

Everything is decided inside the one question to the index: who may see is a token beside the words, times are a range
of row ids.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from ..people.scopes import Viewer, process_scope, user_scope
from ..store.archive import Session
from ..store.schema import binding, mailbox, process
from . import marks, words
from .query import All, Mark, Node, Not, Note, Query, Some, Term

_ANYWHERE = "subject sender recipients copied body names enclosed"
_COLUMNS = {
    "": _ANYWHERE, "from": "sender", "to": "recipients", "cc": "copied", "subject": "subject", "body": "body",
    "filename": "names",
}  # fmt: skip
_STEMS = {"": "subject_stems stems", "subject": "subject_stems", "body": "stems"}
_NOTHING = '(marks : "nothing")'  # no message has it
_LAST = (1 << 63) - 1
_NAME_PARTS = re.compile(r"[/.]")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the index is asked on behalf of one viewer."""

    match: str  # of FTS5; "" where nothing can be found
    first: int = 0  # message ids from here on
    end: int = _LAST  # and below this one
    larger: int | None = None  # bytes
    smaller: int | None = None
    unread: bool | None = None
    notes: tuple[Note, ...] = ()


def plan(
    session: Session, query: Query, visible_to: Viewer, now: int, zone: str = "UTC", beginnings: bool = True
) -> Plan:
    """What the index is asked; `now` in UTC ms. Without `beginnings` they are not prepared for all messages yet."""
    if not query.wanted or visible_to.scopes == frozenset():
        return Plan("", notes=query.notes)
    maker = _Maker(session, visible_to, beginnings)
    limits = query.limits
    size = [f"({_marked(marks.at_least(limits.larger + 1))})"] if limits.larger is not None else []
    size += [f"({_marked(marks.at_most(max(limits.smaller - 1, 0)))})"] if limits.smaller is not None else []
    asked = maker.all(query.of)
    match = " AND ".join([maker.base, *size])
    if asked:
        match = f"({asked}) AND {match}"
    unread = limits.unread
    if unread is not None and visible_to.user is None:
        maker.notes.append(Note("Read and unread are a person's: “is:unread” counts only where somebody is signed in."))
        unread = None
    first = _id_at(limits.after.starts(now, zone)) if limits.after else 0
    end = _id_at(limits.before.starts(now, zone)) if limits.before else _LAST
    if first >= end:
        maker.notes.append(Note("Nothing can be both after the one date and before the other."))
        match = ""
    return Plan(match, first, end, limits.larger, limits.smaller, unread, (*query.notes, *maker.notes))


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
    def base(self) -> str:
        """What all messages have that may be seen."""
        scopes = self.viewer.scopes
        return f"({_marked([marks.EVERY] if scopes is None else sorted(scopes))})"

    def all(self, nodes: Iterable[Node]) -> str:
        """Each of these; "" where nothing is asked for."""
        wanted, unwanted = [], []
        for node in nodes:
            if isinstance(node, Not):
                unwanted.append(self.node(node.of))
            else:
                wanted.append(self.node(node))
        asked = " AND ".join(filter(None, wanted))
        refused = " OR ".join(filter(None, unwanted))
        return f"({asked or self.base} NOT ({refused}))" if refused else f"({asked})" if asked else ""

    def node(self, node: Node) -> str:
        """One of them."""
        if isinstance(node, Term):
            return self.term(node)
        if isinstance(node, Mark):
            return self.mark(node)
        if isinstance(node, Some):
            some = [self.node(one) for one in node.of]
            return f"({' OR '.join(filter(None, some))})" if any(some) else ""
        return self.all(node.of if isinstance(node, All) else [node])

    def term(self, term: Term) -> str:
        """Words: as they stand, or one of their forms."""
        folded = words.fold(term.text)
        tokens = words.tokens(folded)
        if not tokens:
            return ""
        columns = _COLUMNS[term.field]
        alone = tokens[0] if len(tokens) == 1 else ""
        if term.prefix:
            if self.beginnings and len(alone) in words.PREPARED and not term.field:
                return f"{{beginnings}} : {_quoted(alone)}"
            return f"{{{columns}}} : {_quoted(folded)} *"
        if term.exact or not alone or term.field not in _STEMS:
            return f"{{{columns}}} : {_quoted(folded)}"
        forms = " OR ".join(map(_quoted, [alone, *sorted(words.stems_of(alone))]))
        return f"{{{columns} {_STEMS[term.field]}}} : ({forms})"

    def mark(self, mark: Mark) -> str:
        """What is no word."""
        if mark.kind == "attachment":
            return f"({_marked([marks.ATTACHMENT])})"
        found = self.process(mark.value) if mark.kind == "process" else self.folders(mark.value)
        return f"({_marked(found)})" if found else _NOTHING

    def process(self, typed: str) -> Sequence[str]:
        """The scope of a process by its slug or name."""
        query = select(process.c.id, process.c.slug, process.c.name).order_by(process.c.id)
        for row in self.session.execute(query):
            scope = process_scope(row.id)
            if typed.lower() in (row.slug, row.name.lower()) and self.viewer.sees(scope):
                return [scope]
        self.notes.append(Note("There is no process “%(typed)s” whose mail you may see.", {"typed": typed}))
        return []

    def folders(self, typed: str) -> Sequence[str]:
        """The watched folders of this name, the mailbox's name before it or not: of one's own bindings alone."""
        found = []
        query = select(binding.c.id, binding.c.folder, binding.c.process, binding.c.user, mailbox.c.name)
        for row in self.session.execute(query.join(mailbox, mailbox.c.id == binding.c.mailbox)):
            scope = process_scope(row.process) if row.process is not None else user_scope(row.user or 0)
            names = {row.folder, f"{row.name}/{row.folder}", _NAME_PARTS.split(row.folder)[-1]}
            if self.viewer.sees(scope) and typed.lower() in {name.lower() for name in names}:
                found.append(marks.folder(row.id))
        if not found:
            self.notes.append(Note("There is no folder “%(typed)s” whose mail you may see.", {"typed": typed}))
        return found


def _marked(some: Iterable[str]) -> str:
    return f"marks : ({' OR '.join(map(marks.token, some))})"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
