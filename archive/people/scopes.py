"""Who may see what: a small set of scope tokens for each person, and the one condition every query of mail uses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, or_, select, true

from ..events.log import OPERATOR
from ..store.archive import Session
from ..store.schema import (
    case_participant,
    membership,
    message_scope,
    receipt,
    restriction,
    restriction_member,
    ticket,
)
from ..store.schema import user as users
from .roles import Role


def process_scope(process: int) -> str:
    """The scope of a process's members."""
    return f"process:{process}"


def user_scope(user: int) -> str:
    """The scope of one person alone."""
    return f"user:{user}"


def case_scope(case: int) -> str:
    """The scope of those who take part in a case."""
    return f"case:{case}"


def restricted_scope(restriction: int) -> str:
    """The scope of those whom a restriction names."""
    return f"restricted:{restriction}"


RESTRICTED = restricted_scope(0)[:-1]  # with which the scopes of restrictions begin


def restriction_of(scope: str) -> int | None:
    """The restriction whose scope this is; None where it is another."""
    return int(scope.removeprefix(RESTRICTED)) if scope.startswith(RESTRICTED) else None


@dataclass(frozen=True, slots=True)
class Viewer:
    """On whose behalf something is read, and what that one may see."""

    actor: str  # as events name it
    user: int | None
    scopes: frozenset[str] | None  # None: everything, for the operator of the machine and for auditors
    roles: frozenset[tuple[str, Role]] = frozenset()  # by the scope of the process
    own: frozenset[str] = frozenset()  # of an auditor: what would be seen without being one

    @property
    def auditor(self) -> bool:
        """Whether this is a person who reads everything; each reading is an event (`web.audit`)."""
        return self.scopes is None and self.user is not None

    @property
    def own_scopes(self) -> frozenset[str]:
        """The scopes of one's own work, which lists and counts go by; of the operator none."""
        return self.own if self.scopes is None else self.scopes

    @property
    def restrictions(self) -> tuple[int, ...]:
        """The restrictions by which one is named."""
        return tuple(sorted(one for one in map(restriction_of, self.own_scopes) if one is not None))

    def sees(self, scope: str) -> bool:
        """Whether mail of this scope may be seen."""
        return self.scopes is None or scope in self.scopes

    def belongs(self, scope: str) -> bool:
        """Whether mail of this scope is one's own matter, and not only seen by an auditor. The operator's is all."""
        return self.user is None or scope in self.own_scopes

    def may(self, role: Role, scope: str) -> bool:
        """Whether the viewer has this role, or one that holds it, where this scope's mail is concerned.

        One's own private mail is one's own. In a case, or under a restriction, those who see may work, but neither send
        nor manage anything.
        """
        if self.user is None:
            return self.scopes is None
        if scope == user_scope(self.user):
            return True
        if scope.startswith("process:"):
            return any(of == scope and held >= role for of, held in self.roles)
        return role.rank <= Role.WORKS.rank and self.belongs(scope)


MACHINE = Viewer(OPERATOR, None, None)


def scopes(user: int, processes: Iterable[int], cases: Iterable[int], restrictions: Iterable[int]) -> frozenset[str]:
    """The scopes of who reads these processes, takes part in these cases and is named by these restrictions."""
    return frozenset(
        {
            user_scope(user),
            *map(process_scope, processes),
            *map(case_scope, cases),
            *map(restricted_scope, restrictions),
        }
    )


def viewer(session: Session, user: int) -> Viewer:
    """What this user may see now; rights come from memberships, never from an address in a profile."""
    roles = _roles(session, user)
    reading = [process for process, role in roles.items() if role >= Role.READS]
    taking_part = {user_scope(user), *map(process_scope, reading)}
    cases = select(case_participant.c.case).where(case_participant.c.scope.in_(sorted(taking_part)))
    named = (
        select(restriction_member.c.restriction)
        .join(restriction, restriction.c.id == restriction_member.c.restriction)
        .where(restriction_member.c.user == user, restriction.c.ended_at.is_(None))
    )
    all_ = scopes(user, reading, session.scalars(cases), session.scalars(named))
    held = frozenset((process_scope(one), role) for one, role in roles.items())
    if session.scalar(select(users.c.auditor).where(users.c.id == user)):
        return Viewer(f"user:{user}", user, None, held, all_)
    return Viewer(f"user:{user}", user, all_, held)


def _roles(session: Session, user: int) -> Mapping[int, Role]:
    rows = session.execute(select(membership.c.process, membership.c.role).where(membership.c.user == user))
    known = {role.value: role for role in Role}
    return {row.process: known[row.role] for row in rows if row.role in known}


def visible(message: ColumnElement[int], visible_to: Viewer) -> ColumnElement[bool]:
    """The condition that a message (a column of its ids) may be seen."""
    if visible_to.scopes is None:
        return true()
    return exists(
        select(message_scope.c.message).where(
            message_scope.c.message == message, message_scope.c.scope.in_(sorted(visible_to.scopes))
        )
    )


def visible_copy(visible_to: Viewer) -> ColumnElement[bool]:
    """The condition that a copy (a receipt) may be seen: it came to a scope one sees, and its message may be seen."""
    if visible_to.scopes is None:
        return true()
    return and_(receipt.c.scope.in_(sorted(visible_to.scopes)), visible(receipt.c.message, visible_to))


def visible_ticket(visible_to: Viewer) -> ColumnElement[bool]:
    """The condition that a ticket may be seen by somebody who sees its scope: it is not restricted, or to them."""
    if visible_to.scopes is None:
        return true()
    free = ticket.c.restriction.is_(None)
    return or_(free, ticket.c.restriction.in_(visible_to.restrictions)) if visible_to.restrictions else free
