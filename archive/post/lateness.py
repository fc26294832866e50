"""Watched folders from which nothing could be taken for long: an event once, and a sentence on every page of those
responsible, also where no gateway runs to say so."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, update

from ..events import log
from ..store import dialects
from ..store.archive import Session
from ..store.schema import binding
from . import bindings
from .bindings import Binding

PATIENCE_MS = 15 * 60 * 1000  # beyond the time at which it should have been looked at


@dataclass(frozen=True, slots=True)
class Late:
    """A binding that is late."""

    binding: Binding
    since: int  # the last time all went well, or the first time it should have (UTC ms)


def late(session: Session, now: int) -> list[Late]:
    """All that are late at `now` (UTC ms), the longest first. What is paused or disconnected is not."""
    found = bindings.every(session, _is_late(now))
    return sorted((Late(one, one.succeeded_at or one.created_at) for one in found), key=lambda late: late.since)


def note(session: Session, now: int) -> list[Late]:
    """Write down which have become late, each once until it goes well again (`binding.late`); returns these."""
    new = []
    all_late = late(session, now)
    dialects.hold(session, binding, [one.binding.id for one in all_late])
    for one in all_late:
        unsaid = (binding.c.id == one.binding.id) & binding.c.late_at.is_(None)
        if session.execute(update(binding).where(unsaid).values(late_at=now)).rowcount:
            new.append(one)
    events = [log.Event("binding.late", "gateway", one.binding.actor, {"since": one.since}) for one in new]
    log.write(session, events, now)
    return new


def _is_late(now: int) -> ColumnElement[bool]:
    """Nothing went well since long, and either it fails, or nobody looks: what was just resumed is neither."""
    watched = binding.c.paused_at.is_(None) & binding.c.ended_at.is_(None)
    overdue = now - PATIENCE_MS
    fails = binding.c.trouble.is_not(None) | (binding.c.next_at < overdue)
    since = func.coalesce(binding.c.succeeded_at, binding.c.created_at)
    return watched & fails & (since + binding.c.every * 1000 < overdue)
