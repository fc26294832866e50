"""Which tickets were changed since a position of the log: by a person, a rule, the time, or new mail."""

from collections.abc import Iterable

from sqlalchemy import select

from ..events import log
from ..people.scopes import Viewer, visible_ticket
from ..store.archive import Session
from ..store.schema import event, ticket

READ = 500  # events; whoever is further behind looks at the whole list again


def changed(session: Session, visible_to: Viewer, scopes: Iterable[str], since: int) -> dict[int, int]:
    """The conversations of the tickets of these scopes that something was done to after a position, by ticket.

    Read is the end of the log alone; nothing is said where more has happened since than is read.
    """
    if not since or log.position(session) - since > READ:
        return {}
    query = select(event.c.subject).where(event.c.id > since, event.c.subject.like("ticket:%")).distinct()
    ids = [int(one.partition(":")[2]) for one in session.scalars(query) if one.partition(":")[2].isdigit()]
    if not ids:
        return {}
    # Which scopes they are of is looked at here: asked for in the query, a database may walk all of a scope's tickets.
    found = session.execute(
        select(ticket.c.id, ticket.c.conversation, ticket.c.scope).where(
            ticket.c.id.in_(ids), visible_ticket(visible_to)
        )
    )
    wanted = {scope for scope in scopes if visible_to.sees(scope)}
    return {row.id: row.conversation for row in found if row.scope in wanted}
