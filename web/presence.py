"""Who else is looking at a conversation, or writing there: asked for with the news, noted every five seconds."""

from archive.work import presences
from archive.work.presences import Present

from .conversations import number, worked_on
from .language import gettext
from .visit import Visitor, office


def note(who: Visitor, talk: int | None) -> str:
    """Note that the visitor is at a conversation, or writes there (`writing`); a sentence about the others."""
    if talk is None:
        return ""
    now, writing = office().now(), number("writing") is not None
    with office().archive.reading() as session:
        _, found = worked_on(session, who.viewer, talk)
        ids = [one.id for one in found]
        known = all(presences.fresh(session, one, who.user.id, now, writing=writing) for one in ids)
        others = presences.others(session, ids, who.user.id, now) if ids else []
    if not known and not who.viewer.auditor:
        with office().archive.transaction() as session:
            for one in ids:
                presences.note(session, one, who.user.id, now, writing=writing)
    return _said(others[0]) if others else ""


def _said(one: Present) -> str:
    return (
        gettext("%(who)s is writing too", who=one.name) if one.writing else gettext("%(who)s is here too", who=one.name)
    )
