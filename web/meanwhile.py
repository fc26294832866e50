"""What others have written into a conversation since somebody began to answer it: seen before it is sent, and live."""

from dataclasses import dataclass

from archive.outgoing import outbox
from archive.post import messages
from archive.store.archive import Session

from .language import gettext, short
from .visit import Visitor

_NEWEST = 20  # mails that are looked at
_LEAVES = (outbox.QUEUED, outbox.DEFERRED, outbox.REVIEW)


@dataclass(frozen=True, slots=True)
class Written:
    """A mail of somebody else."""

    name: str
    at: int  # when it was written or came, UTC ms
    answered: bool  # by one of us

    @property
    def says(self) -> str:
        """A sentence."""
        if self.answered:
            return gettext("%(who)s answered %(when)s: see it first.", who=self.name, when=short(self.at))
        return gettext("%(who)s wrote %(when)s: see it first.", who=self.name, when=short(self.at))


@dataclass(frozen=True, slots=True)
class Waiting:
    """An answer of somebody else that has not left."""

    name: str
    at: int  # when it was queued, UTC ms
    leaves: int | None  # UTC ms; None: now
    looked_at: bool  # by a second person first

    @property
    def says(self) -> str:
        """A sentence."""
        values = {"who": self.name, "when": short(self.at)}
        if self.looked_at:
            return gettext("%(who)s answered %(when)s; it waits until a colleague lets it go.", **values)
        if self.leaves is None:
            return gettext("%(who)s answered %(when)s; it is on its way.", **values)
        return gettext("%(who)s answered %(when)s; it leaves %(then)s.", **values, then=short(self.leaves))


def waiting(session: Session, who: Visitor, conversation: int, now: int) -> list[Waiting]:
    """Answers of others to what is in it that wait in the outbox, as far as the visitor sees them, the oldest first.

    No message says of them yet that it is answered.
    """
    return [
        Waiting(
            one.author_name or one.address, one.queued_at, one.next_at if (one.next_at or 0) > now else None,
            one.state == outbox.REVIEW,
        )
        for one in outbox.of_conversation(session, who.viewer, conversation)
        if one.kind == outbox.REPLY and one.author != who.viewer.actor
        and (one.state in _LEAVES or (one.state == outbox.SENT and one.message is None))
    ]  # fmt: skip


def since(session: Session, who: Visitor, conversation: int, at: int) -> list[Written]:
    """What came into it after `at` (UTC ms), as far as the visitor sees it, the oldest first.

    What goes out by itself is nobody's answer.
    """
    ours = outbox.since(session, who.viewer, conversation, at)
    known = {one.message for one in ours}
    some = messages.of_conversation(session, conversation, who.viewer, None, _NEWEST)
    reached = messages.deliveries(session, [one.id for one in some], who.viewer)
    found = [
        Written(one.author_name or one.address, one.queued_at, one.kind == outbox.REPLY)
        for one in ours
        if one.author != who.viewer.actor and not one.automatic
    ]
    for one in some:
        # It may have lain on its server for a while before it was fetched.
        came = min((each.at for each in reached.get(one.id, ())), default=one.arrived_at)
        if came > at and one.id not in known:
            found.append(Written(one.from_name or one.from_address, one.arrived_at, answered=False))
    return sorted(found, key=lambda one: one.at)
