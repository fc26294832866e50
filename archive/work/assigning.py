"""Who gets a ticket: somebody who was named, or whose turn it is, or who has least to do; and whoever is away does not.

Nobody gets what he may not work on: who may is asked here, for pages, rules and commands alike.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, insert, select

from ..people.roles import Role
from ..store.archive import Session
from ..store.schema import case_participant, installation, membership, restriction_member, ticket, user
from . import absences
from .changes import change
from .tickets import DONE

_CHUNK = 500
_WORKING = [role.value for role in Role if role >= Role.WORKS]
READING = [role.value for role in Role if role >= Role.READS]


@dataclass(frozen=True, slots=True)
class Assigned:
    """What became of an assignment."""

    assignee: int | None
    instead_of: int | None = None  # who was meant and is away
    changed: bool = True  # False: it was so already, or somebody else was quicker


class NotTheirs(Exception):
    """Whoever is meant may not work on this ticket."""


def may_work(session: Session, scope: str) -> list[int]:
    """The users who may work on the tickets of a scope, by id; none of them disabled."""
    kind, _, number = scope.partition(":")
    if kind == "user":
        query = select(user.c.id).where(user.c.id == int(number))
    elif kind == "process":
        query = select(membership.c.user).where(membership.c.process == int(number), membership.c.role.in_(_WORKING))
    elif kind == "restricted":
        query = select(restriction_member.c.user).where(restriction_member.c.restriction == int(number))
    elif kind != "case":  # what all was taken back of
        return []
    else:
        taking_part = list(
            session.scalars(select(case_participant.c.scope).where(case_participant.c.case == int(number)))
        )
        return sorted({one for part in taking_part for one in _taking_part(session, part)})
    able = select(user.c.id).where(user.c.id.in_(query), user.c.disabled_at.is_(None)).order_by(user.c.id)
    return list(session.scalars(able))


def colleagues(session: Session, processes: Iterable[int]) -> dict[int, str]:
    """Whoever may work on the tickets of any of these processes: names by user; none of them disabled."""
    query = (
        select(user.c.id, user.c.name)
        .join(membership, membership.c.user == user.c.id)
        .where(membership.c.process.in_(sorted(set(processes))), membership.c.role.in_(_WORKING))
        .where(user.c.disabled_at.is_(None))
    )
    return {row.id: row.name for row in session.execute(query)}


def _taking_part(session: Session, scope: str) -> list[int]:
    kind, _, number = scope.partition(":")
    if kind == "process":  # in a case, those who see may work
        query = select(membership.c.user).where(membership.c.process == int(number), membership.c.role.in_(READING))
    else:
        query = select(user.c.id).where(user.c.id == int(number))
    return list(session.scalars(select(user.c.id).where(user.c.id.in_(query), user.c.disabled_at.is_(None))))


def able(session: Session, id_: int) -> list[int]:
    """The users who may work on this ticket, by id: of a restricted one, those whom the restriction names, too."""
    found = session.execute(select(ticket.c.scope, ticket.c.restriction).where(ticket.c.id == id_)).first()
    return [] if found is None else may_work(session, _who(found.scope, found.restriction))


def _who(scope: str, restriction: int | None) -> str:
    """The scope that says who may work on a ticket."""
    return scope if restriction is None else f"restricted:{restriction}"


def assign(
    session: Session,
    id_: int,
    to: int | None,
    actor: str,
    now: int,
    *,
    revision: int | None = None,
    substitute: bool = True,
    details: Mapping[str, object] | None = None,
) -> Assigned:
    """Give a ticket to somebody, or (None) to nobody; to the substitute while that one is away, unless told otherwise.

    NotTheirs where that one may not work on it. Whether the actor may is the caller's to ask.
    """
    instead_of = None
    if to is not None:
        fit = able(session, id_)
        if to not in fit:
            raise NotTheirs(to)
        gets = absences.standing_in(session, to, now, fit) if substitute else to
        instead_of, to = (to, gets) if gets != to else (None, to)
    said = {**(details or {}), **({"instead_of": instead_of} if instead_of else {})}
    kind = "assigned" if to is not None else "unassigned"
    changed = change(session, id_, kind, actor, {"assignee": to}, now, details=said, revision=revision)
    return Assigned(to, instead_of, changed)


def let_go(session: Session, who: int, actor: str, now: int) -> list[int]:
    """What somebody may work on no more goes to the substitute while that one is away, else to nobody. UTC ms.

    The ids of those tickets. What is done stays as it is: it tells who did it. Whoever takes the right away calls this,
    and `let_go_of` whoever opens again what was done.
    """
    return _let_go(session, ticket.c.assignee == who, actor, now)


def let_go_of(session: Session, ids: Iterable[int], actor: str, now: int) -> list[int]:
    """As `let_go`, of whoever these tickets are assigned to."""
    wanted = sorted(set(ids))
    some = (wanted[start : start + _CHUNK] for start in range(0, len(wanted), _CHUNK))
    return [one for each in some for one in _let_go(session, ticket.c.id.in_(each), actor, now)]


def _let_go(session: Session, such: ColumnElement[bool], actor: str, now: int) -> list[int]:
    theirs = select(ticket.c.id, ticket.c.assignee, ticket.c.scope, ticket.c.restriction).where(
        such, ticket.c.assignee.is_not(None), ticket.c.state != DONE
    )
    rows = session.execute(theirs.order_by(ticket.c.id)).all()
    fit = {who: may_work(session, who) for who in {_who(row.scope, row.restriction) for row in rows}}
    lost = {row.id: row.assignee for row in rows if row.assignee not in fit[_who(row.scope, row.restriction)]}
    for id_, who in lost.items():
        stands_in = absences.standing_in(session, who, now, able(session, id_))
        assign(session, id_, None if stands_in == who else stands_in, actor, now, substitute=False)
    return list(lost)


def round_robin(session: Session, scope: str, now: int, count: int = 1) -> list[int | None]:
    """Whose turn it is for the next so many tickets of a scope: all who may work and are not away, one after another.

    None where nobody is there. The turn is taken: the next call goes on behind it.
    """
    there = _there(session, scope, now)
    if not there or count < 1:
        return [None] * count
    name = f"turn {scope}"
    last = session.scalar(select(installation.c.value).where(installation.c.name == name))
    chosen = turns(there, int(last) if last else 0, count)
    session.execute(delete(installation).where(installation.c.name == name))
    session.execute(insert(installation).values(name=name, value=str(chosen[-1])))
    return list(chosen)


def turns(there: Sequence[int], last: int, count: int) -> list[int]:
    """Pure: the next so many after `last`, in the order of their ids, round and round."""
    first = next((place for place, one in enumerate(there) if one > last), 0)
    return [there[(first + number) % len(there)] for number in range(count)]


def least_loaded(session: Session, scope: str, now: int, count: int = 1) -> list[int | None]:
    """Who gets the next so many tickets of a scope, if each goes to whoever has the fewest open ones, of all processes.

    None where nobody is there.
    """
    there = _there(session, scope, now)
    if not there:
        return [None] * count
    query = (
        select(ticket.c.assignee, func.count().label("n"))
        .where(ticket.c.assignee.in_(there), ticket.c.state == "open")
        .group_by(ticket.c.assignee)
    )
    load = dict.fromkeys(there, 0) | {row.assignee: row.n for row in session.execute(query)}
    return list(lightest(load, count))


def lightest(load: Mapping[int, int], count: int) -> list[int]:
    """Pure: each of so many to whoever has least then; of two with the same, to the lower id."""
    now, chosen = dict(load), []
    for _ in range(count):
        one = min(now, key=lambda who: (now[who], who))
        now[one] += 1
        chosen.append(one)
    return chosen


def _there(session: Session, scope: str, now: int) -> list[int]:
    away: Collection[int] = absences.away(session, now)
    return [one for one in may_work(session, scope) if one not in away]
