"""What stands around mail because people work on it: the marks of a list's rows, a ticket's panel, its history."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup
from sqlalchemy import select

from archive.outgoing import auto_replies
from archive.people import names, scopes
from archive.people.processes import Process
from archive.people.roles import Role
from archive.store.archive import Session
from archive.store.schema import user
from archive.work import (
    absences,
    assigning,
    comments,
    drafts,
    history,
    merging,
    reminders,
    snoozes,
    tags,
    views,
    watching,
)
from archive.work.comments import Comment, Named
from archive.work.drafts import Draft
from archive.work.reminders import Reminder
from archive.work.tags import Tag
from archive.work.tickets import Ticket

from . import moments
from .language import gettext, short
from .plain_text import linked
from .visit import Visitor

_TAGS = 40  # that are suggested


@dataclass(frozen=True, slots=True)
class Rows:
    """What a list shows of its tickets besides; by ticket."""

    tags: Mapping[int, list[Tag]] = field(default_factory=dict)
    others: Mapping[int, list[str]] = field(default_factory=dict)  # the processes that work on it too
    drafts: Collection[int] = ()
    names: Mapping[int, str] = field(default_factory=dict)  # of users
    now: int = 0
    watched: Collection[int] = ()  # by who looks
    naming: Collection[int] = ()  # where a comment names who looks


def rows(session: Session, who: Visitor, some: Sequence[Ticket], now: int) -> Rows:
    """For the tickets of one page: a query for each kind, none for each row."""
    if not some:
        return Rows()
    ids = [one.id for one in some]
    together = views.others(session, who.viewer, some)
    called = names.of_scopes(session, {one.scope for each in together.values() for one in each})
    others = {
        one.id: [
            called[each.scope] for each in together[one.conversation] if each.id != one.id and each.scope in called
        ]
        for one in some
        if len(together.get(one.conversation, ())) > 1
    }
    users = {one.assignee for one in some if one.assignee} | {one.answered_by for one in some if one.answered_by}
    typed = drafts.of_tickets(session, who.user.id, ids)
    watched = watching.among(session, who.user.id, ids)
    naming = comments.naming(session, who.user.id, ids)
    return Rows(tags.of_tickets(session, ids), others, typed, _names(session, users), now, watched, naming)


def _names(session: Session, ids: Collection[int | None]) -> dict[int, str]:
    wanted = sorted(one for one in ids if one)
    if not wanted:
        return {}
    return {row.id: row.name for row in session.execute(select(user.c.id, user.c.name).where(user.c.id.in_(wanted)))}


@dataclass(frozen=True, slots=True)
class Choice:
    """Somebody to whom a ticket can be assigned."""

    user: int
    name: str
    away: str  # that this one is away, in words; nothing else


def colleagues(session: Session, who: Visitor, of: Process | None) -> tuple[Choice, ...]:
    """To whom the tickets of a list may be assigned: of its process, or of all those that the visitor works in."""
    some = [of] if of else who.processes
    working = [one.id for one in some if who.viewer.may(Role.WORKS, scopes.process_scope(one.id))]
    found = assigning.colleagues(session, working) if working else {}
    return tuple(Choice(id_, name, "") for id_, name in found.items())


@dataclass(frozen=True, slots=True)
class Said:
    """A comment as it is shown."""

    comment: Comment
    author: str
    html: Markup
    own: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the history, as a sentence."""

    at: int
    says: str


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of a conversation: exactly one of these."""

    mail: Any = None
    said: Said | None = None
    step: Step | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """A ticket with all that hangs on it, as far as the visitor may see it."""

    ticket: Ticket
    name: str  # whose ticket it is
    may_work: bool
    choices: Sequence[Choice]
    tags: Sequence[Tag]
    known_tags: Sequence[Tag]  # what may be put on it, as far as it is on anything one sees
    watchers: Sequence[tuple[int, str]]
    watching: bool
    reminders: Sequence[Reminder]
    snoozed_until: int | None
    others: Sequence[tuple[Ticket, str, str]]  # of other processes: name, assignee
    parts: Sequence[Any]  # tickets that were merged into this one
    comments: Sequence[Said]
    steps: Sequence[Step]
    names: Mapping[int, str]
    draft: Draft | None
    due: str  # as the field has it

    @property
    def assignee(self) -> str:
        """The name of whoever has it."""
        return self.names.get(self.ticket.assignee or 0, "")


def of(session: Session, who: Visitor, found: Sequence[Ticket], listed: Collection[str], now: int) -> Desk:
    """The desk of one of these tickets: of the list one came from, or else one on which the visitor may work."""
    mine = min(
        found,
        key=lambda one: (
            one.merged_into is not None,
            one.scope not in listed,
            not who.viewer.may(Role.WORKS, one.scope),
            one.id,
        ),
    )
    may_work = who.viewer.may(Role.WORKS, mine.scope)
    able = assigning.able(session, mine.id) if may_work else []
    watchers = watching.of(session, mine.id)
    parts = merging.parts(session, [one.id for one in found], who.viewer)
    every = [one.id for one in found] + [one.id for one in parts]
    talked = comments.of_tickets(session, every)
    told = history.of(session, every)
    people = {one.assignee for one in found} | {one.answered_by for one in found} | set(able)
    people |= {one.author for some in talked.values() for one in some}
    people |= {int(said.partition(":")[2]) for step in told for said in map(str, step.values.values()) if _person(said)}
    away = absences.away(session, now) if able else {}
    people |= {one.substitute for one in away.values()}
    called = _names(session, people)
    nameable = comments.may_be_named(session, mine.id)
    said = [
        Said(one, called.get(one.author, ""), _html(one.text, nameable), one.author == who.user.id)
        for some in talked.values()
        for one in some
    ]
    of_scopes = names.of_scopes(session, {one.scope for one in found})
    return Desk(
        mine,
        of_scopes.get(mine.scope, "") if mine.scope != who.own_scope else gettext("Private"),
        may_work,
        [Choice(one, called.get(one, ""), _away(away.get(one), called)) for one in able],
        tags.of_tickets(session, [mine.id]).get(mine.id, []),
        tags.beginning(session, who.viewer, "", _TAGS) if may_work else [],
        watchers,
        any(one == who.user.id for one, _ in watchers),
        reminders.of_tickets(session, who.user.id, [mine.id]),
        snoozes.of_tickets(session, who.user.id, [mine.id], now).get(mine.id),
        [(one, of_scopes.get(one.scope, ""), called.get(one.assignee or 0, "")) for one in found if one.id != mine.id],
        [one for one in parts if one.merged_into == mine.id],
        sorted(said, key=lambda one: (one.comment.at, one.comment.id)),
        [Step(one.at, _sentence(one, called)) for one in told],
        called,
        drafts.get(session, who.user.id, mine.id, "comment"),
        moments.as_typed(mine.due_at),
    )


def last_step(session: Session, one: Ticket) -> str:
    """The last thing that was done with a ticket, as a sentence; nothing where nothing was."""
    told = history.of(session, [one.id])[-1:]
    people = {int(said.partition(":")[2]) for step in told for said in map(str, step.values.values()) if _person(said)}
    called = _names(session, people)
    return "".join(_sentence(step, called) for step in told)


def _person(said: str) -> bool:
    kind, _, number = said.partition(":")
    return kind == "user" and number.isascii() and number.isdigit()


def _away(one: absences.Absence | None, called: Mapping[int, str]) -> str:
    if one is None:
        return ""
    if one.substitute is None:
        return gettext("away until %(when)s", when=short(one.ends_at))
    other = called.get(one.substitute, "")
    return gettext("away until %(when)s, %(who)s stands in", when=short(one.ends_at), who=other)


def _sentence(step: history.Step, called: Mapping[int, str]) -> str:
    """A step in the visitor's language."""
    values = {name: _value(name, value, called) for name, value in step.values.items()}
    return gettext(step.says, **values)


def _value(name: str, value: Any, called: Mapping[int, str]) -> str:
    if name == "when":
        return short(int(value or 0))
    text = str(value)
    if _person(text):
        return called.get(int(text.partition(":")[2]), text)
    if text.startswith("rule:"):
        return gettext("A rule")
    return "Postroom" if name == "who" else text


def _html(text: str, nameable: Sequence[Named]) -> Markup:
    """A comment's text: escaped, its addresses linked, who is named set off."""
    made, at = Markup(), 0
    for begin, end, _ in comments.places(text, nameable):
        made += linked(text[at:begin]) + Markup('<strong class="named">%s</strong>') % text[begin:end]
        at = end
    return made + linked(text[at:])


def not_answered(session: Session, found: Sequence[Ticket], mails: Sequence[int]) -> dict[int, Step]:
    """Why mails of these tickets were not answered by themselves although a rule wanted it, by mail."""
    some = auto_replies.withheld(session, mails, {one.scope for one in found})
    return {one.message: Step(one.at, gettext("No automatic answer. %(why)s", why=no_answer(one.why))) for one in some}


def no_answer(why: str) -> str:
    """Why nothing went out by itself, as a sentence."""
    return gettext(auto_replies.SENTENCES[why]) if why in auto_replies.SENTENCES else ""


def thread(mails: Sequence[Any], on: Desk, earlier: bool, later: bool, beside: Mapping[int, Step]) -> list[Item]:
    """Mails in their order, and between them what people said and did, by time; of a page only what belongs there.

    `beside`: what is said of a mail stands behind that one.
    """
    others: list[tuple[int, Item]] = [(one.comment.at, Item(said=one)) for one in on.comments]
    others += [(one.at, Item(step=one)) for one in on.steps]
    others.sort(key=lambda pair: pair[0])
    begin = mails[0].letter.message.arrived_at if earlier and mails else 0
    waiting = [pair for pair in others if pair[0] >= begin]
    items: list[Item] = []
    for one in mails:
        while waiting and waiting[0][0] < one.letter.message.arrived_at:
            items.append(waiting.pop(0)[1])
        items.append(Item(mail=one))
        if one.letter.message.id in beside:
            items.append(Item(step=beside[one.letter.message.id]))
    return items if later else items + [item for _, item in waiting]
