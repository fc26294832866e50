"""Changing tickets: one conditional UPDATE and its event, whoever does it: a person, a rule, the time.

Everything that happens to a ticket goes through `change`, so that each step stands in its history and can be undone.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, text, update

from ..events import log, proof
from ..store.archive import Session
from ..store.schema import EVENTS_OF_TICKETS, event, event_detail, ticket


def change(
    session: Session,
    id_: int,
    kind: str,
    actor: str,
    values: Mapping[str, Any],
    now: int,
    *,
    details: Mapping[str, Any] | None = None,
    revision: int | None = None,
    rows: proof.Digests | None = None,
) -> bool:
    """Set columns of a ticket and say so: `ticket.<kind>`, with what they were under "before". UTC ms.

    False where there is no such ticket, where it was changed since it had that `revision`, or where nothing would be
    otherwise; then nothing is written. `rows` are the digests of what else this made. Rights are the caller's.
    """
    found = session.execute(select(ticket).where(ticket.c.id == id_)).first()
    if found is None or (revision is not None and (found.revision or 0) != revision):
        return False
    new = {name: value for name, value in values.items() if getattr(found, name) != value}
    if not new:
        return False
    same = func.coalesce(ticket.c.revision, 0) == (found.revision or 0)
    done = session.execute(
        update(ticket).where(ticket.c.id == id_, same).values(**new, revision=(found.revision or 0) + 1)
    )
    if not done.rowcount:
        return False
    said = {
        "revision": (found.revision or 0) + 1,
        "before": {name: getattr(found, name) for name in new},
        "after": dict(new),
        **(details or {}),
    }
    proved = proof.joined(proof.of_ids(session, "ticket", [id_]), rows or {})
    log.write(session, [log.Event(f"ticket.{kind}", actor, f"ticket:{id_}", said, proved)], now)
    return True


def undo(session: Session, id_: int, revision: int, actor: str, now: int) -> bool:
    """Take back the change that gave a ticket this revision, as `ticket.undone`; UTC ms.

    False where it was somebody else's, or anybody has done anything since: then nothing is written. What was undone can
    be undone. Rights are the caller's.
    """
    last = (
        select(event.c.kind, event_detail.c.details)
        .join(event_detail, event_detail.c.event == event.c.id)
        .where(of_ticket(id_), event.c.actor == actor)
        .order_by(event.c.id.desc())
        .limit(_LOOKED_AT)
    )
    for row in session.execute(last):
        said = json.loads(row.details)
        if said.get("revision") == revision and "before" in said:
            details = {"of": row.kind}
            return change(session, id_, "undone", actor, said["before"], now, details=details, revision=revision)
    return False


_LOOKED_AT = 20  # of somebody's last steps on a ticket


def of_ticket(id_: int) -> ColumnElement[bool]:
    """The condition that an event is about a ticket: by a small index of its own, beside those about mail."""
    # The database sees that the index holds what is wanted only where its condition stands in the query, word for word.
    return and_(event.c.subject == f"ticket:{id_}", text(EVENTS_OF_TICKETS))
