"""Restrictions: a conversation or a case that only those see who are named, for personnel and legal matters.

Its mail has the scope of the restriction instead of those it had, which are kept and given back exactly when it ends.
One thing stays as it was: what came to somebody's own private mailbox is still theirs.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, insert, select, update

from ..events import log, proof
from ..people.roles import Role
from ..people.scopes import Viewer, restricted_scope, restriction_of
from ..post import deliveries, sight
from ..search.query import Note
from ..store.archive import Archive, Session
from ..store.dialects import insert_missing, insert_rows
from ..store.schema import (
    case,
    case_participant,
    message,
    message_scope,
    receipt,
    restriction,
    restriction_member,
    restriction_scope,
    ticket,
    user,
)
from . import assigning, changes, merging
from .handing import NotThere

LONGEST = 2000  # characters of a reason
_CHUNK = 500


class RestrictionTrouble(Exception):
    """What was asked for cannot be; the sentence, for gettext, says why."""

    def __init__(self, note: Note) -> None:
        super().__init__(str(note))
        self.note = note


@dataclass(frozen=True, slots=True)
class Restriction:
    """One that is in force, and who is named by it."""

    id: int
    conversation: int | None
    case: int | None
    reason: str
    by: int
    at: int
    members: tuple[int, ...]


# --- asking -----------------------------------------------------------------------------------------------------------


def may_restrict(session: Session, viewer: Viewer, conversation: int) -> bool:
    """Whether somebody may decide who sees a conversation: who manages a process that works on it, and is not shut
    out of it."""
    query = select(ticket.c.scope, ticket.c.restriction).where(ticket.c.conversation == conversation)
    rows = session.execute(query).all()
    return any(
        one.scope.startswith("process:")
        and viewer.may(Role.MANAGES, one.scope)
        and (one.restriction is None or one.restriction in viewer.restrictions)
        for one in rows
    )


def may_restrict_case(session: Session, viewer: Viewer, case_id: int) -> bool:
    """Whether somebody may decide who sees a case: who opened it, and who manages a process that takes part."""
    found = session.execute(select(case).where(case.c.id == case_id)).first()
    if found is None or (found.restriction is not None and found.restriction not in viewer.restrictions):
        return False
    taking_part = session.scalars(select(case_participant.c.scope).where(case_participant.c.case == case_id))
    managing = any(one.startswith("process:") and viewer.may(Role.MANAGES, one) for one in taking_part)
    return managing or found.created_by == viewer.actor


def of_conversation(session: Session, viewer: Viewer, conversation: int) -> Restriction | None:
    """The restriction of a conversation, for those it names, and for auditors."""
    query = (
        select(restriction)
        .join(ticket, ticket.c.restriction == restriction.c.id)
        .where(ticket.c.conversation == conversation, restriction.c.ended_at.is_(None))
    )
    rows = session.execute(query.order_by(restriction.c.id).limit(1)).all()
    return next((_restriction(session, row) for row in rows if viewer.sees(restricted_scope(row.id))), None)


def of_case(session: Session, viewer: Viewer, case_id: int) -> Restriction | None:
    """The restriction of a case, for those it names, and for auditors."""
    query = select(restriction).where(restriction.c.case == case_id, restriction.c.ended_at.is_(None))
    row = session.execute(query).first()
    return _restriction(session, row) if row is not None and viewer.sees(restricted_scope(row.id)) else None


def every(session: Session) -> list[Restriction]:
    """All that are in force, for the operator: of what, not what it says."""
    query = select(restriction).where(restriction.c.ended_at.is_(None)).order_by(restriction.c.id)
    return [_restriction(session, row) for row in session.execute(query).all()]


def get(session: Session, viewer: Viewer, id_: int) -> Restriction:
    """One that is in force, for those who may change it. NotThere."""
    row = session.execute(select(restriction).where(restriction.c.id == id_, restriction.c.ended_at.is_(None))).first()
    if row is None or not _may_change(session, viewer, row):
        raise NotThere(id_)
    return _restriction(session, row)


def _may_change(session: Session, viewer: Viewer, row: Any) -> bool:
    if row.id not in viewer.restrictions:
        return False
    if row.by == viewer.user:
        return True
    if row.case is not None:
        return may_restrict_case(session, viewer, row.case)
    return may_restrict(session, viewer, row.conversation)


def _restriction(session: Session, row: Any) -> Restriction:
    named = session.scalars(select(restriction_member.c.user).where(restriction_member.c.restriction == row.id))
    return Restriction(row.id, row.conversation, row.case, row.reason, row.by, row.at, tuple(sorted(named)))


# --- restricting ------------------------------------------------------------------------------------------------------


def restrict(
    archive: Archive, session: Session, viewer: Viewer, conversation: int, named: Iterable[int], reason: str, now: int
) -> int:
    """Let only the viewer and those named (users) see a conversation, what comes later included; returns its number.

    Also what was merged into it, where the viewer may decide that; what others have merged is taken apart.
    NotThere where the viewer may not decide that, RestrictionTrouble where it is restricted already.
    """
    if not may_restrict(session, viewer, conversation):
        raise NotThere(conversation)
    here = [conversation, *_parts(session, viewer, conversation)]
    ids = list(session.scalars(select(message.c.id).where(message.c.conversation.in_(here))))
    return _restrict(archive, session, viewer, {"conversation": conversation}, ids, named, reason, now)


def _parts(session: Session, viewer: Viewer, conversation: int) -> list[int]:
    """The conversations whose tickets are part of those on this one, as far as the viewer may decide who sees them."""
    on = session.execute(select(ticket.c.id, ticket.c.scope).where(ticket.c.conversation == conversation))
    managed = [row.id for row in on if row.scope.startswith("process:") and viewer.may(Role.MANAGES, row.scope)]
    parts = merging.conversations(session, managed)
    return [one for one in parts if one != conversation and may_restrict(session, viewer, one)]


def restrict_case(
    archive: Archive, session: Session, viewer: Viewer, case_id: int, named: Iterable[int], reason: str, now: int
) -> int:
    """As `restrict`, of a case: of all that is filed there, with the conversations it is part of."""
    if not may_restrict_case(session, viewer, case_id):
        raise NotThere(case_id)
    filed = select(message_scope.c.message).where(message_scope.c.scope == f"case:{case_id}")
    within = select(message.c.conversation).where(message.c.id.in_(filed))
    ids = list(session.scalars(select(message.c.id).where(message.c.conversation.in_(within))))
    return _restrict(archive, session, viewer, {"case": case_id}, ids, named, reason, now)


def _restrict(
    archive: Archive,
    session: Session,
    viewer: Viewer,
    what: Mapping[str, int],
    ids: Collection[int],
    named: Iterable[int],
    reason: str,
    now: int,
) -> int:
    ((kind, of),) = what.items()
    there = and_(restriction.c[kind] == of, restriction.c.ended_at.is_(None))
    free = _unrestricted(session, ids)
    if session.scalar(select(restriction.c.id).where(there)) is not None or (ids and not free):
        raise RestrictionTrouble(Note("It is restricted already."))
    row = {**what, "reason": reason.strip()[:LONGEST], "by": viewer.user, "at": now}
    made: int = session.scalar(insert(restriction).values(**row).returning(restriction.c.id)) or 0
    people = _people(session, {*named, viewer.user or 0})
    insert_rows(session, restriction_member, [{"restriction": made, "user": one} for one in people])
    moved = _hide(session, made, free, sight.words(archive, session, free))
    marked: proof.Digests = {}
    if kind == "case":
        session.execute(update(case).where(case.c.id == of).values(restriction=made))
        marked = proof.of_ids(session, "case", [of])
    rows = proof.joined(
        proof.of_ids(session, "restriction", [made]),
        proof.stored(session, "restriction_member", restriction_member.c.restriction == made),
        moved,
        marked,
    )
    details = {"restriction": made, "users": people}
    log.write(session, [log.Event(f"{kind}.restricted", viewer.actor, f"{kind}:{of}", details, rows)], now)
    _mark_tickets(session, made, free, viewer.actor, now)
    return made


def _people(session: Session, wanted: Iterable[int]) -> list[int]:
    some = select(user.c.id).where(user.c.id.in_(sorted(set(wanted))), user.c.disabled_at.is_(None))
    return sorted(session.scalars(some))


def _unrestricted(session: Session, ids: Iterable[int]) -> dict[int, set[str]]:
    """Messages under no restriction, with their scopes."""
    return {id_: scopes for id_, scopes in sight.of(session, ids).items() if not any(map(restriction_of, scopes))}


def _hide(session: Session, id_: int, some: Mapping[int, set[str]], words: deliveries.WordsOf) -> proof.Digests:
    """Give messages the restriction's scope instead of those they have."""
    own = _own_copies(session, some)
    lost = {one: sorted(scopes - own.get(one, set())) for one, scopes in some.items()}
    lost = {one: scopes for one, scopes in lost.items() if scopes}
    kept = [{"restriction": id_, "message": one, "scope": scope} for one, scopes in lost.items() for scope in scopes]
    insert_rows(session, restriction_scope, kept)
    given = {one: [restricted_scope(id_)] for one in lost}
    return proof.joined(sight.change(session, given, lost, words), kept_scopes(kept))


def kept_scopes(rows: Iterable[Mapping[str, Any]]) -> proof.Digests:
    """The digests of rows that keep what scopes a message had."""
    keys = (f"{row['restriction']}/{row['message']}/{row['scope']}" for row in rows)
    return {"restriction_scope": dict.fromkeys(keys, proof.NOTHING_ELSE)}


def _own_copies(session: Session, ids: Iterable[int]) -> dict[int, set[str]]:
    """The people to whose own mailboxes copies of these messages came, by message."""
    wanted = sorted(ids)
    found: dict[int, set[str]] = {}
    for start in range(0, len(wanted), _CHUNK):
        some = receipt.c.message.in_(wanted[start : start + _CHUNK])
        query = select(receipt.c.message, receipt.c.scope).where(some, receipt.c.scope.like("user:%")).distinct()
        for row in session.execute(query):
            found.setdefault(row.message, set()).add(row.scope)
    return found


def _mark_tickets(session: Session, id_: int, ids: Iterable[int], actor: str, now: int) -> None:
    """The tickets on what is hidden are seen by those named alone; one's own shows what is left of it."""
    wanted = sorted(ids)
    conversations: set[int] = set()
    for start in range(0, len(wanted), _CHUNK):
        some = message.c.id.in_(wanted[start : start + _CHUNK])
        conversations.update(session.scalars(select(message.c.conversation).where(some).distinct()))
    query = select(ticket.c.id, ticket.c.scope, ticket.c.conversation).where(
        ticket.c.conversation.in_(sorted(conversations)), ticket.c.restriction.is_(None)
    )
    marked = []
    for row in session.execute(query.order_by(ticket.c.id)).all():
        if row.scope.startswith("user:") and deliveries.of_conversation(session, row.conversation, row.scope):
            deliveries.recount(session, row.scope, row.conversation, actor, now, {"restriction": id_})
        else:
            changes.change(session, row.id, "restricted", actor, {"restriction": id_}, now)
            marked.append(row.id)
    merging.take_strangers_apart(session, marked, actor, now)
    assigning.let_go_of(session, marked, actor, now)


# --- changing and ending ----------------------------------------------------------------------------------------------


def name(session: Session, viewer: Viewer, id_: int, named: Iterable[int], now: int) -> None:
    """Let these people (users) see it, and nobody else but the viewer. NotThere as `get`."""
    one = get(session, viewer, id_)
    before, after = set(one.members), set(_people(session, {*named, viewer.user or 0}))
    if before == after:
        return
    gone = sorted(before - after)
    here = and_(restriction_member.c.restriction == id_, restriction_member.c.user.in_(gone))
    session.execute(delete(restriction_member).where(here))
    insert_rows(session, restriction_member, [{"restriction": id_, "user": each} for each in sorted(after - before)])
    rows = proof.joined(
        {"restriction_member": {f"{id_}/{each}": None for each in gone}},
        proof.stored(session, "restriction_member", restriction_member.c.restriction == id_),
    )
    details = {"added": sorted(after - before), "removed": gone}
    log.write(session, [log.Event("restriction.changed", viewer.actor, f"restriction:{id_}", details, rows)], now)
    on = session.scalars(select(ticket.c.id).where(ticket.c.restriction == id_)).all()
    assigning.let_go_of(session, on, viewer.actor, now)


def end(archive: Archive, session: Session, viewer: Viewer, id_: int, now: int) -> None:
    """Give its mail back the scopes it had, or would have got meanwhile. NotThere as `get`."""
    one = get(session, viewer, id_)
    scope = restricted_scope(id_)
    hidden = list(session.scalars(select(message_scope.c.message).where(message_scope.c.scope == scope)))
    given: dict[int, list[str]] = {}
    for row in session.execute(select(restriction_scope).where(restriction_scope.c.restriction == id_)):
        given.setdefault(row.message, []).append(row.scope)
    words = sight.words(archive, session, {*given, *hidden})
    moved = sight.change(session, given, {each: [scope] for each in hidden}, words)
    session.execute(update(restriction).where(restriction.c.id == id_).values(ended_at=now))
    marked: proof.Digests = {}
    if one.case is not None:
        session.execute(update(case).where(case.c.id == one.case).values(restriction=None))
        marked = proof.of_ids(session, "case", [one.case])
    rows = proof.joined(moved, proof.of_ids(session, "restriction", [id_]), marked)
    log.write(session, [log.Event("restriction.ended", viewer.actor, f"restriction:{id_}", {}, rows)], now)
    on = session.scalars(select(ticket.c.id).where(ticket.c.restriction == id_).order_by(ticket.c.id)).all()
    for each in on:
        changes.change(session, each, "unrestricted", viewer.actor, {"restriction": None}, now)
    merging.take_strangers_apart(session, on, viewer.actor, now)
    assigning.let_go_of(session, on, viewer.actor, now)
    private = {(each, scope) for each, scopes in given.items() for scope in scopes if scope.startswith("user:")}
    for conversation, own in sorted(_conversations(session, private)):
        deliveries.recount(session, own, conversation, viewer.actor, now, {"restriction": id_})


def _conversations(session: Session, some: Iterable[tuple[int, str]]) -> set[tuple[int, str]]:
    found = set()
    for id_, scope in some:
        conversation = session.scalar(select(message.c.conversation).where(message.c.id == id_))
        found.add((conversation or 0, scope))
    return found


# --- arriving mail ----------------------------------------------------------------------------------------------------


def any_in_force(session: Session) -> bool:
    """Whether anything is restricted at all; cheap, for each batch of arriving mail."""
    return session.scalar(select(restriction.c.id).where(restriction.c.ended_at.is_(None)).limit(1)) is not None


def of_messages(session: Session, ids: Iterable[int]) -> dict[int, int]:
    """The restriction that each of these messages is under, by the conversation it is in; few statements a batch."""
    if not any_in_force(session):
        return {}
    wanted = sorted(ids)
    found: dict[int, int] = {}
    for start in range(0, len(wanted), _CHUNK):
        query = (
            select(message.c.id, ticket.c.restriction)
            .join(ticket, ticket.c.conversation == message.c.conversation)
            .where(message.c.id.in_(wanted[start : start + _CHUNK]), ticket.c.restriction.is_not(None))
            .order_by(ticket.c.restriction.desc())
        )
        found.update((row.id, row.restriction) for row in session.execute(query))
    return found


def kept_for(session: Session, scope: str, of: Mapping[int, int]) -> set[int]:
    """Which of these messages a scope gets when their restrictions end."""
    found: set[int] = set()
    wanted = sorted(of)
    for start in range(0, len(wanted), _CHUNK):
        some = restriction_scope.c.message.in_(wanted[start : start + _CHUNK])
        query = select(restriction_scope).where(some, restriction_scope.c.scope == scope)
        found.update(row.message for row in session.execute(query) if of[row.message] == row.restriction)
    return found


def keep_from(session: Session, scope: str, of: Mapping[int, int]) -> dict[int, proof.Digests]:
    """Messages under restrictions came to a scope: it gets them when those end, and till then the restrictions have.

    Returns the digests by message.
    """
    insert_rows(
        session, restriction_scope, [{"restriction": id_, "message": one, "scope": scope} for one, id_ in of.items()]
    )
    given = [{"message": one, "scope": restricted_scope(id_)} for one, id_ in of.items()]
    insert_missing(session, message_scope, given)
    return {
        one: {
            "restriction_scope": {f"{id_}/{one}/{scope}": proof.NOTHING_ELSE},
            "message_scope": {f"{one}/{restricted_scope(id_)}": proof.NOTHING_ELSE},
        }
        for one, id_ in of.items()
    }


def mark_new(session: Session, scope: str, of: Mapping[int, int], actor: str, now: int) -> None:
    """Tickets that such mail has just made are restricted, too."""
    for one, id_ in of.items():
        conversation = session.scalar(select(message.c.conversation).where(message.c.id == one))
        query = select(ticket.c.id).where(
            ticket.c.scope == scope, ticket.c.conversation == conversation, ticket.c.restriction.is_(None)
        )
        made = session.scalar(query)
        if made is not None:
            changes.change(session, made, "restricted", actor, {"restriction": id_}, now)
            merging.take_strangers_apart(session, [made], actor, now)
            assigning.let_go_of(session, [made], actor, now)


def before_joining(session: Session, joined: Mapping[int, int]) -> dict[int, int]:
    """Conversations become part of others: the restriction of what they become, by its number. To be asked before."""
    if not joined or not any_in_force(session):
        return {}
    every = sorted({*joined, *joined.values()})
    query = select(ticket.c.conversation, ticket.c.restriction).where(
        ticket.c.conversation.in_(every), ticket.c.restriction.is_not(None)
    )
    rows = session.execute(query.order_by(ticket.c.restriction.desc())).all()
    return {joined.get(row.conversation, row.conversation): row.restriction for row in rows}


def after_joining(session: Session, restricted: Mapping[int, int], actor: str, now: int) -> None:
    """What became part of a restricted conversation, or has got one into it, is restricted as a whole."""
    for into, id_ in restricted.items():
        ids = list(session.scalars(select(message.c.id).where(message.c.conversation == into)))
        free = _unrestricted(session, ids)
        moved = _hide(session, id_, free, deliveries.not_at_hand)
        of_one = and_(restriction.c.id == id_, restriction.c.conversation.is_not(None))
        session.execute(update(restriction).where(of_one).values(conversation=into))
        rows = proof.joined(moved, proof.of_ids(session, "restriction", [id_]))
        log.write(
            session, [log.Event("restriction.widened", actor, f"restriction:{id_}", {"to": str(into)}, rows)], now
        )
        _mark_tickets(session, id_, ids, actor, now)
