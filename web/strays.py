"""What may belong to a conversation, as its page asks it."""

from dataclasses import dataclass

from archive.post import taking_part
from archive.store.archive import Session
from archive.work import strays
from archive.work.strays import Stray

from .language import gettext
from .visit import Visitor


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked beside a conversation."""

    one: Stray
    here: bool  # it may belong here; else what is here may belong elsewhere
    may: bool
    joins: bool
    says: str


def of_conversation(session: Session, who: Visitor, id_: int) -> list[Asked]:
    """For the conversation's page."""
    found = strays.of_conversation(session, who.viewer, id_)
    return [
        Asked(
            one,
            one.near == id_,
            strays.may_decide(session, who.viewer, one),
            strays.may_join(session, who.viewer, one),
            _why(one.reason, one.name or one.address),
        )
        for one in found
    ]


def _why(reason: str, name: str) -> str:
    if reason == taking_part.CONTRADICTED:
        return gettext("The receiving server doubts that %(name)s wrote it (DMARC).", name=name)
    if reason == taking_part.NO_ACCESS:
        return gettext("%(name)s did not see that conversation when it came.", name=name)
    return gettext("%(name)s took no part in that conversation when it came.", name=name)
