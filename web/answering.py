"""What can be written in a conversation, and what of it has not reached everybody."""

from dataclasses import dataclass

from archive.outgoing import identities, outbox
from archive.outgoing.outbox import Outgoing
from archive.people.roles import Role
from archive.store.archive import Session
from archive.work import tickets

from .visit import Visitor


@dataclass(frozen=True, slots=True)
class Answering:
    """What can be written in a conversation, and what of it has not reached everybody."""

    may: bool
    waiting: list[Outgoing]


def of_conversation(session: Session, who: Visitor, id_: int) -> Answering:
    """For the conversation's page."""
    works = any(who.viewer.may(Role.WORKS, one.scope) for one in tickets.of_conversation(session, who.viewer, id_))
    may = works and bool(identities.usable(session, who.viewer))
    return Answering(may, outbox.of_conversation(session, who.viewer, id_))
