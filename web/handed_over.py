"""What was handed over, as pages tell of it: to whom, by whom, and until when it can be pulled back."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from archive.people import names
from archive.people.roles import Role
from archive.store.archive import Session
from archive.work import handing
from archive.work.handing import HandOver, Withdrawn

from .visit import Visitor


@dataclass(frozen=True, slots=True)
class Handed:
    """A hand-over with the names of its places."""

    one: HandOver
    came_from: str
    went_to: str
    mine: bool  # the visitor handed it over
    reads: bool  # the visitor sees where it went
    takes_back: bool  # and may take it back
    until: int  # up to when that leaves no trace, UTC ms
    pulled: bool  # it is not later than that

    @property
    def kind(self) -> str:
        """What it went to: user, process, case."""
        return self.one.to_scope.partition(":")[0]


def of_conversation(session: Session, who: Visitor, conversation: int, now: int) -> list[Handed]:
    """What was handed over of a conversation, so far as the visitor may know of it."""
    return _told(session, who, handing.of_conversation(session, who.viewer, conversation), now)


def own(session: Session, who: Visitor, now: int) -> list[Handed]:
    """What the visitor has handed over."""
    return _told(session, who, handing.own(session, who.viewer), now)


TOLD_MS = 14 * 86_400_000  # so long it is said that something was withdrawn


def lost(session: Session, who: Visitor, places: Collection[str], now: int) -> list[tuple[Withdrawn, str]]:
    """What was withdrawn lately from the visitor, or from processes of theirs, and from whom: "" is from themselves."""
    found = [one for one in handing.withdrawn(session, who.viewer, now - TOLD_MS) if one.to_scope in places]
    called = names.of_scopes(session, {one.to_scope for one in found}) if found else {}
    return [(one, called.get(one.to_scope, "") if one.to_scope != who.own_scope else "") for one in found]


def _told(session: Session, who: Visitor, some: Iterable[HandOver], now: int) -> list[Handed]:
    listed, viewer = list(some), who.viewer
    called = names.of_scopes(session, [scope for one in listed for scope in (one.from_scope, one.to_scope)])
    lasts = handing.grace(session) if listed else 0
    return [
        Handed(
            one,
            called.get(one.from_scope, ""),
            called.get(one.to_scope, ""),
            one.by == viewer.user,
            viewer.belongs(one.to_scope),
            one.withdrawn_at is None and (one.by == viewer.user or viewer.may(Role.MANAGES, one.from_scope)),
            one.at + lasts,
            now < one.at + lasts,
        )
        for one in listed
    ]
