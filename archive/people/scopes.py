"""Who may see what: a small set of scope tokens for each person, and the one condition every query of mail uses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, select, true

from ..events.log import OPERATOR
from ..store.archive import Session
from ..store.schema import case_participant, membership, message_scope, restriction, restriction_member
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


@dataclass(frozen=True, slots=True)
class Viewer:
    """On whose behalf something is read, and what that one may see."""

    actor: str  # as events name it
    user: int | None
    scopes: frozenset[str] | None  # None: everything, for the operator of the machine only
    roles: frozenset[tuple[str, Role]] = frozenset()  # by the scope of the process

    def sees(self, scope: str) -> bool:
        """Whether mail of this scope may be seen."""
        return self.scopes is None or scope in self.scopes

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
        return role.rank <= Role.WORKS.rank and self.sees(scope)


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
    return Viewer(f"user:{user}", user, all_, frozenset((process_scope(one), role) for one, role in roles.items()))


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
