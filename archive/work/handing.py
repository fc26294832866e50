"""Mail handed over by a person: to a person, a process or a case; pulled back at once, or withdrawn later.

The other sees the mails that were handed over and no more: neither the mailbox they came from, nor transport headers,
nor what comes later. One's own place keeps its ticket unless it is done there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, String, and_, cast, delete, exists, func, insert, literal, or_, select, update

from ..events import log, proof
from ..people.roles import Role
from ..people.scopes import Viewer, case_scope, process_scope, user_scope, visible
from ..post import deliveries, sight
from ..search.query import Note
from ..store.archive import Archive, Session
from ..store.dialects import insert_rows
from ..store.schema import (
    answer,
    case,
    case_participant,
    comment,
    delivery,
    hand_over,
    hand_over_message,
    installation,
    membership,
    message,
    message_scope,
    process,
    receipt,
    ticket,
    user,
)
from . import cases, changes, drafts, merging, states

HANDED_OVER = "handed over"  # the reason of a delivery
GRACE = "hand_over_grace"  # of the installation: minutes within which a hand-over is pulled back without a trace
_GRACE_MINUTES = 15
HANDED_DRAFT = "hand over"  # the kind of the note's draft
LONGEST = 100_000  # characters of a note, as of its draft
_CHUNK = 500


class HandingTrouble(Exception):
    """What was asked for cannot be; the sentence, for gettext, says why."""

    def __init__(self, note: Note) -> None:
        super().__init__(str(note))
        self.note = note


class NotThere(LookupError):
    """There is no such thing, or it is nothing of one's own."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom mail may be handed to."""

    scope: str
    name: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """That somebody took back what was handed over: of what it was, whoever had it learns nothing more."""

    to_scope: str
    by_name: str
    at: int  # when it was handed over, UTC ms
    withdrawn_at: int


@dataclass(frozen=True, slots=True)
class HandOver:
    """Mail that was handed over."""

    id: int
    conversation: int
    from_scope: str
    to_scope: str
    by: int
    by_name: str
    at: int
    note: str
    withdrawn_at: int | None
    mails: int
    subject: str


# --- handing over -----------------------------------------------------------------------------------------------------


def targets(session: Session, viewer: Viewer) -> dict[str, list[Target]]:
    """Whom one may hand mail to: anybody, any process (also one whose mail one does not read), one's own cases.

    By kind: user, process, case; each by name.
    """
    people = select(user.c.id, user.c.name).where(user.c.disabled_at.is_(None), user.c.id != (viewer.user or 0))
    matters = select(process.c.id, process.c.name)
    own = sorted(int(one.partition(":")[2]) for one in viewer.own_scopes if one.startswith("case:"))
    cases = select(case).where(case.c.id.in_(own), case.c.closed_at.is_(None), case.c.restriction.is_(None))
    return {
        "user": [Target(user_scope(row.id), row.name) for row in session.execute(people.order_by(user.c.name))],
        "process": [
            Target(process_scope(row.id), row.name) for row in session.execute(matters.order_by(process.c.name))
        ],
        "case": [
            Target(case_scope(row.id), f"{row.reference} {row.title}".strip())
            for row in session.execute(cases.order_by(case.c.last_at.desc()).limit(200))
        ],
    }


def sources(session: Session, viewer: Viewer, conversation: int) -> list[str]:
    """From where one may hand a conversation over: one's own mail first, then the places where one works."""
    query = select(ticket.c.scope).where(ticket.c.conversation == conversation, ticket.c.restriction.is_(None))
    may = [one for one in session.scalars(query) if viewer.belongs(one) and viewer.may(Role.WORKS, one)]
    return sorted(may, key=lambda one: (not one.startswith("user:"), one))


def mails(session: Session, conversation: int, scope: str) -> list[int]:
    """The mails of a conversation that came to a scope, oldest first; with those that were merged into its ticket."""
    return list(session.scalars(_mails(session, conversation, scope).with_only_columns(message.c.id)))


def _mails(session: Session, conversation: int, scope: str) -> Any:
    on = select(ticket.c.id).where(ticket.c.conversation == conversation, ticket.c.scope == scope)
    here = [conversation, *merging.conversations(session, session.scalars(on))]
    return (
        select(message)
        .join(message_scope, message_scope.c.message == message.c.id)
        .where(message.c.conversation.in_(here), message_scope.c.scope == scope)
        .order_by(message.c.id)
    )


def hand(
    archive: Archive,
    session: Session,
    viewer: Viewer,
    conversation: int,
    from_scope: str,
    to_scope: str,
    note: str,
    now: int,
    *,
    only: Collection[int] | None = None,
    done_here: bool = False,
) -> int:
    """Hand over what a scope has of a conversation (`only`: of it, these mails); returns its number. UTC ms.

    With `done_here` the ticket of `from_scope` is done. NotThere where the viewer does not work on it,
    HandingTrouble where it cannot be handed to whom was named.
    """
    if from_scope not in sources(session, viewer, conversation):
        raise NotThere(conversation)
    some = session.execute(_mails(session, conversation, from_scope)).all()
    wanted = [row for row in some if only is None or row.id in only]
    if not wanted:
        raise HandingTrouble(Note("Choose at least one mail."))
    if to_scope == from_scope or to_scope not in {
        one.scope for several in targets(session, viewer).values() for one in several
    }:
        raise HandingTrouble(Note("Choose whom you hand it to."))
    ids = [row.id for row in wanted]
    row = {"conversation": conversation, "from_scope": from_scope, "to_scope": to_scope, "by": viewer.user, "at": now}
    number = session.scalar(insert(hand_over).values(**row, note=note.strip()[:LONGEST]).returning(hand_over.c.id)) or 0
    insert_rows(session, hand_over_message, [{"hand_over": number, "message": id_} for id_ in ids])
    before = _before(session, ids, from_scope)
    words = sight.words(archive, session, ids)
    new: list[int] = []
    rows = [
        proof.of_ids(session, "hand_over", [number]),
        proof.stored(session, "hand_over_message", hand_over_message.c.hand_over == number),
    ]
    for each, import_mode in ((sorted(set(ids) - before), False), (sorted(before), True)):
        reached, digests = deliveries.give(
            session, each, to_scope, HANDED_OVER, viewer.actor, now,
            hand_over=number, import_mode=import_mode, words=words,
        )  # fmt: skip
        new += reached
        rows.append(digests)
    details = {"hand_over": number, "from": from_scope, "to": to_scope, "messages": [str(id_) for id_ in ids]}
    subject = f"conversation:{conversation}"
    log.write(session, [log.Event("mail.handed_over", viewer.actor, subject, details, proof.joined(*rows))], now)
    for one in sorted({row.conversation for row in wanted}):
        _bring_up(session, to_scope, one, viewer.actor, number, now, again=not new)
    here = _ticket(session, from_scope, conversation)
    if here is not None:
        _tell_ticket(session, "handed_over", here.id, viewer.actor, number, now)
    if done_here and here is not None:
        states.finish(session, here.id, viewer.actor, now)
    if here is not None and viewer.user is not None:
        drafts.remove(session, viewer.user, here.id, HANDED_DRAFT)
    return number


def _before(session: Session, ids: Sequence[int], scope: str) -> set[int]:
    """Those of these mails that were there before the folder they came from was watched."""
    query = select(delivery.c.message).where(
        delivery.c.scope == scope, delivery.c.message.in_(ids), delivery.c.import_mode.is_(True)
    )
    return set(session.scalars(query))


def _bring_up(
    session: Session, scope: str, conversation: int, actor: str, number: int, now: int, *, again: bool
) -> None:
    """What was done there is open again; where all of it was there before (`again`), it comes up in the list."""
    there = _ticket(session, scope, conversation)
    if there is None:
        return
    states.open_again(session, there.id, actor, now)
    if again:
        changes.change(session, there.id, "handed_over", actor, {"last_at": now}, now, details={"hand_over": number})


def _tell_ticket(session: Session, kind: str, id_: int, actor: str, number: int, now: int) -> None:
    """A step in the history of the ticket it came from, which stays as it is."""
    log.write(session, [log.Event(f"ticket.{kind}", actor, f"ticket:{id_}", {"hand_over": number})], now)


def _ticket(session: Session, scope: str, conversation: int) -> Row[Any] | None:
    return session.execute(select(ticket).where(ticket.c.scope == scope, ticket.c.conversation == conversation)).first()


# --- what was handed over ---------------------------------------------------------------------------------------------


def of_conversation(session: Session, viewer: Viewer, conversation: int) -> list[HandOver]:
    """What was handed over of a conversation, the latest first, so far as one may know of it.

    Those know of it who see where it came from; those it went to know while it is not withdrawn. What was pulled back
    nobody need know of.
    """
    query = _handed(viewer).where(_within([conversation]))
    found = [_hand_over(row) for row in session.execute(query.order_by(hand_over.c.at.desc(), hand_over.c.id.desc()))]
    return [
        one for one in found if one.withdrawn_at is None and (viewer.sees(one.from_scope) or viewer.sees(one.to_scope))
    ]


def shared(session: Session, viewer: Viewer, conversations: Collection[int]) -> set[int]:
    """Those of these conversations of which something was handed to the viewer, or by the viewer to others."""
    mine = user_scope(viewer.user or 0)
    query = (
        select(message.c.conversation)
        .join(hand_over_message, hand_over_message.c.message == message.c.id)
        .join(hand_over, hand_over.c.id == hand_over_message.c.hand_over)
        .where(
            message.c.conversation.in_(sorted(conversations)),
            hand_over.c.withdrawn_at.is_(None),
            or_(hand_over.c.from_scope == mine, hand_over.c.to_scope == mine),
        )
    )
    return set(session.scalars(query.distinct()))


def own(session: Session, viewer: Viewer, limit: int = 200) -> list[HandOver]:
    """What one has handed over oneself, the latest first, also what was taken back."""
    query = _handed(viewer).where(hand_over.c.by == (viewer.user or 0))
    query = query.order_by(hand_over.c.at.desc(), hand_over.c.id.desc()).limit(limit)
    return [_hand_over(row) for row in session.execute(query)]


def withdrawn(session: Session, viewer: Viewer, since: int) -> list[Withdrawn]:
    """What was handed to the viewer, or to a process of theirs, and was withdrawn after `since`, the latest first.

    Of what was pulled back within the grace period nothing is told: that is as if it had not been.
    """
    query = (
        select(hand_over.c.to_scope, hand_over.c.at, hand_over.c.withdrawn_at, user.c.name)
        .join(user, user.c.id == hand_over.c.withdrawn_by)
        .where(
            hand_over.c.to_scope.in_(sorted(viewer.own_scopes)),
            hand_over.c.withdrawn_at > since,
            hand_over.c.withdrawn_at - hand_over.c.at >= grace(session),
        )
        .order_by(hand_over.c.withdrawn_at.desc(), hand_over.c.id.desc())
    )
    return [Withdrawn(row.to_scope, row.name, row.at, row.withdrawn_at) for row in session.execute(query)]


def get(session: Session, viewer: Viewer, number: int) -> HandOver:
    """For those who may take it back: who handed it over, and who manages where it came from. NotThere else."""
    row = session.execute(_handed(viewer).where(hand_over.c.id == number)).first()
    if row is None or not (row.by == viewer.user or viewer.may(Role.MANAGES, row.from_scope)):
        raise NotThere(number)
    return _hand_over(row)


def _within(conversations: Any) -> Any:
    """That something of these conversations (numbers, or a query), as they are now, was handed over."""
    some = select(hand_over_message.c.hand_over).join(message, message.c.id == hand_over_message.c.message)
    return hand_over.c.id.in_(some.where(message.c.conversation.in_(conversations)))


def _conversations(one: HandOver) -> Any:
    """Those of which something was handed over with it, as a query."""
    within = select(message.c.conversation).join(hand_over_message, hand_over_message.c.message == message.c.id)
    return within.where(hand_over_message.c.hand_over == one.id)


def _handed(viewer: Viewer) -> Any:
    """Hand-overs with how many mails, a subject that the viewer may see, and the conversation they are part of now."""
    now_in = (
        select(func.min(message.c.conversation))
        .join(hand_over_message, hand_over_message.c.message == message.c.id)
        .where(hand_over_message.c.hand_over == hand_over.c.id)
        .scalar_subquery()
    )
    first = (
        select(message.c.subject)
        .join(hand_over_message, hand_over_message.c.message == message.c.id)
        .where(hand_over_message.c.hand_over == hand_over.c.id, visible(message.c.id, viewer))
        .order_by(message.c.id)
        .limit(1)
        .scalar_subquery()
    )
    many = (
        select(func.count())
        .where(hand_over_message.c.hand_over == hand_over.c.id)
        .select_from(hand_over_message)
        .scalar_subquery()
    )
    return select(
        hand_over, user.c.name.label("by_name"), first.label("subject"), many.label("mails"), now_in.label("now_in")
    ).join(user, user.c.id == hand_over.c.by)


def _hand_over(row: Row[Any]) -> HandOver:
    return HandOver(
        row.id, row.now_in, row.from_scope, row.to_scope, row.by, row.by_name, row.at, row.note,
        row.withdrawn_at, row.mails, row.subject or "",
    )  # fmt: skip


# --- taking back ------------------------------------------------------------------------------------------------------


def grace(session: Session) -> int:
    """How long a hand-over can be pulled back as if it had not been, in ms."""
    minutes = session.scalar(select(installation.c.value).where(installation.c.name == GRACE))
    return 60_000 * (int(minutes) if minutes and minutes.isdecimal() else _GRACE_MINUTES)


def set_grace(session: Session, minutes: int, actor: str, now: int) -> None:
    """Let hand-overs be pulled back within so many minutes, from now on and those of before; 0: never without trace."""
    session.execute(delete(installation).where(installation.c.name == GRACE))
    session.execute(insert(installation).values(name=GRACE, value=str(max(minutes, 0))))
    log.write(session, [log.Event("organisation.set", actor, "archive", {GRACE: minutes})], now)


def against(session: Session, one: HandOver, now: int) -> list[Note]:
    """What stands against taking it back, in sentences; none: it may be."""
    if one.withdrawn_at is not None:
        return [Note("It was taken back already.")]
    there = select(ticket.c.id).where(ticket.c.scope == one.to_scope, ticket.c.conversation.in_(_conversations(one)))
    wrote = (
        select(user.c.name)
        .join(comment, comment.c.author == user.c.id)
        .where(comment.c.ticket.in_(there), comment.c.at >= one.at, comment.c.removed_at.is_(None))
    )
    found = [Note("%(name)s has commented on it.", {"name": name}) for name in session.scalars(wrote.distinct())]
    answered = (
        select(user.c.name)
        .join(answer, answer.c.user == user.c.id)
        .join(hand_over_message, hand_over_message.c.message == answer.c.message)
        .where(hand_over_message.c.hand_over == one.id, answer.c.at >= one.at, user.c.id.in_(_readers(one.to_scope)))
    )
    found += [Note("%(name)s has answered it.", {"name": name}) for name in session.scalars(answered.distinct())]
    if now >= one.at + grace(session):
        on = select(user.c.name).join(hand_over, hand_over.c.by == user.c.id).where(_onward(one))
        found += [Note("%(name)s has handed it on.", {"name": name}) for name in session.scalars(on.distinct())]
    gone, kept = ([], {}) if found else _to_take(session, one)
    if not gone and kept and all("receipt" in values for values in kept.values()):
        found.append(Note("All of it has come there in another way, too."))
    return found


def _readers(scope: str) -> Any:
    """The ids of those who see a scope's mail, as a query."""
    kind, _, number = scope.partition(":")
    if kind == "user":
        return [int(number)]
    if kind == "process":
        return select(membership.c.user).where(membership.c.process == int(number))
    taking_part = select(case_participant.c.scope).where(case_participant.c.case == int(number))
    return select(user.c.id).where(
        or_(
            (literal("user:") + cast(user.c.id, String)).in_(taking_part),
            exists(
                select(membership.c.user).where(
                    membership.c.user == user.c.id,
                    (literal("process:") + cast(membership.c.process, String)).in_(taking_part),
                )
            ),
        )
    )


def _onward(one: HandOver) -> Any:
    """That the other handed on what was handed over."""
    return and_(
        _within(_conversations(one)),
        hand_over.c.from_scope == one.to_scope,
        hand_over.c.withdrawn_at.is_(None),
        hand_over.c.at >= one.at,
        hand_over.c.id > one.id,
    )


def take_back(archive: Archive, session: Session, viewer: Viewer, number: int, now: int) -> None:
    """Pull a hand-over back within the grace period, or withdraw it later: the other has it no more. UTC ms.

    What was handed on meanwhile is pulled back with it. NotThere as `get`, HandingTrouble where something stands
    against it. Mail that came there in another way, too, stays.
    """
    one = get(session, viewer, number)
    said = against(session, one, now)
    if said:
        raise HandingTrouble(said[0])
    pulled = now < one.at + grace(session)
    on = [row.id for row in session.execute(select(hand_over.c.id).where(_onward(one)))] if pulled else []
    for each in (*on, number):
        row = session.execute(_handed(viewer).where(hand_over.c.id == each)).one()
        _take_back(archive, session, _hand_over(row), viewer, "pulled_back" if pulled else "withdrawn", now)


def _take_back(archive: Archive, session: Session, one: HandOver, viewer: Viewer, how: str, now: int) -> None:
    done = session.execute(
        update(hand_over)
        .where(hand_over.c.id == one.id, hand_over.c.withdrawn_at.is_(None))
        .values(withdrawn_at=now, withdrawn_by=viewer.user)
    )
    if not done.rowcount:
        return
    gone, kept = _to_take(session, one)
    if one.to_scope.startswith("case:"):
        filed = cases.held(session, int(one.to_scope.removeprefix("case:")), gone)
        kept |= {id_: {"hand_over": None, "reason": deliveries.CASE} for id_ in filed}
        gone = [id_ for id_ in gone if id_ not in filed]
    rows = _keep(session, one.to_scope, kept)
    words = sight.words(archive, session, gone)
    _, digests = deliveries.take_back(session, gone, one.to_scope, viewer.actor, now, words=words)
    details = {"hand_over": one.id, "to": one.to_scope, "messages": [str(id_) for id_ in gone]}
    subject = f"conversation:{one.conversation}"
    rows = proof.joined(rows, digests, proof.of_ids(session, "hand_over", [one.id]))
    log.write(session, [log.Event(f"mail.{how}", viewer.actor, subject, details, rows)], now)
    here = _ticket(session, one.from_scope, one.conversation)
    if here is not None:
        _tell_ticket(session, "hand_over_ended", here.id, viewer.actor, one.id, now)


def _to_take(session: Session, one: HandOver) -> tuple[list[int], dict[int, Mapping[str, Any]]]:
    """The mails that the other has by this hand-over alone; and, of those that stay, by what else they are there."""
    here = and_(delivery.c.scope == one.to_scope, delivery.c.hand_over == one.id)
    delivered = list(session.scalars(select(delivery.c.message).where(here).order_by(delivery.c.message)))
    kept: dict[int, Mapping[str, Any]] = {}
    for start in range(0, len(delivered), _CHUNK):
        some = delivered[start : start + _CHUNK]
        again = (
            select(hand_over_message.c.message, func.min(hand_over.c.id).label("number"))
            .join(hand_over, hand_over.c.id == hand_over_message.c.hand_over)
            .where(
                hand_over_message.c.message.in_(some),
                hand_over.c.to_scope == one.to_scope,
                hand_over.c.id != one.id,
                hand_over.c.withdrawn_at.is_(None),
            )
            .group_by(hand_over_message.c.message)
        )
        kept |= {row.message: {"hand_over": row.number} for row in session.execute(again)}
        copies = (
            select(receipt.c.message, func.min(receipt.c.id).label("number"))
            .where(receipt.c.message.in_(some), receipt.c.scope == one.to_scope)
            .group_by(receipt.c.message)
        )
        own = {"hand_over": None, "reason": None}
        kept |= {row.message: {**own, "receipt": row.number} for row in session.execute(copies)}
    return [id_ for id_ in delivered if id_ not in kept], kept


def _keep(session: Session, scope: str, kept: Mapping[int, Mapping[str, Any]]) -> proof.Digests:
    rows: proof.Digests = {}
    for id_, values in kept.items():
        here = and_(delivery.c.message == id_, delivery.c.scope == scope)
        session.execute(update(delivery).where(here).values(**values))
        rows = proof.joined(rows, proof.stored(session, "delivery", here))
    return rows
