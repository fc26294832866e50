"""Who may see what: a small set of scope tokens for each person, and the one condition every query of mail uses."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, select, true

from ..events.log import OPERATOR
from ..store.archive import Session
from ..store.schema import membership, message_scope


def process_scope(process: int) -> str:
    """The scope of a process's members."""
    return f"process:{process}"


def user_scope(user: int) -> str:
    """The scope of one person alone."""
    return f"user:{user}"


@dataclass(frozen=True, slots=True)
class Viewer:
    """On whose behalf something is read, and what that one may see."""

    actor: str  # as events name it
    user: int | None
    scopes: frozenset[str] | None  # None: everything, for the operator of the machine only

    def sees(self, scope: str) -> bool:
        """Whether mail of this scope may be seen."""
        return self.scopes is None or scope in self.scopes


MACHINE = Viewer(OPERATOR, None, None)


def scopes(user: int, processes: frozenset[int]) -> frozenset[str]:
    """The scopes of a member of these processes: theirs, and the own private mail."""
    return frozenset({user_scope(user)} | {process_scope(process) for process in processes})


def viewer(session: Session, user: int) -> Viewer:
    """What this user may see now; rights come from memberships, never from an address in a profile."""
    member_of = frozenset(session.scalars(select(membership.c.process).where(membership.c.user == user)))
    return Viewer(f"user:{user}", user, scopes(user, member_of))


def visible(message: ColumnElement[int], visible_to: Viewer) -> ColumnElement[bool]:
    """The condition that a message (a column of its ids) may be seen."""
    if visible_to.scopes is None:
        return true()
    return exists(
        select(message_scope.c.message).where(
            message_scope.c.message == message, message_scope.c.scope.in_(sorted(visible_to.scopes))
        )
    )
