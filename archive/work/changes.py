"""Changing tickets: one conditional UPDATE and its event, whoever does it: a person, a rule, the time.

Everything that happens to a ticket goes through `change`, so that each step stands in its history and can be undone.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update

from ..events import log, proof
from ..store.archive import Session
from ..store.schema import ticket


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
) -> bool:
    """Set columns of a ticket and say so: `ticket.<kind>`, with what they were under "before". UTC ms.

    False where there is no such ticket, where it was changed since it had that `revision`, or where nothing would be
    otherwise; then nothing is written. Rights are the caller's.
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
    said = {"before": {name: getattr(found, name) for name in new}, "after": dict(new), **(details or {})}
    rows = proof.of_ids(session, "ticket", [id_])
    log.write(session, [log.Event(f"ticket.{kind}", actor, f"ticket:{id_}", said, rows)], now)
    return True
