"""Mail of ours that was found in a Sent folder, as its tickets show it: nobody is waiting because of it.

A new ticket is born done, one that is there stays in the state it is in. What was sent before its folder was read
brings nothing to the top of a list.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import case, or_, select, update

from ..events import proof
from ..store.archive import Session
from ..store.dialects import insert_counted
from ..store.schema import ticket
from .tickets import Arrived

DONE = "done"


def note(
    session: Session, arrivals: Sequence[Arrived], before: Collection[int], actor: str, now: int
) -> dict[int, dict[str, str | None]]:
    """As `tickets.note`, of mail of ours; `before` are the messages that were there before. UTC ms."""
    by_ticket: dict[tuple[str, int], list[Arrived]] = {}
    for one in arrivals:
        by_ticket.setdefault((one.scope, one.conversation), []).append(one)
    there = _there(session, by_ticket)
    digests: dict[int, dict[str, str | None]] = {}
    fresh = [_row(key, came, actor, now) for key, came in by_ticket.items() if key not in there]
    for row, id_ in zip(fresh, insert_counted(session, ticket, fresh), strict=True):
        digests.setdefault(row["last_message"], {})[str(id_)] = proof.digest("ticket", row)
    changed: dict[int, int] = {}  # by ticket, the message that says so
    for key in sorted(there):  # all workers in one order, so that no two wait for each other
        came = by_ticket[key]
        last = max(came, key=lambda one: one.message)
        values: dict[str, Any] = {
            "messages": ticket.c.messages + len(came),
            "attachments": ticket.c.attachments + sum(one.attachments for one in came),
        }
        if any(one.message not in before for one in came):
            values["last_at"] = now
        newest = ticket.c.last_message < last.message  # ids are in the order of time
        for name, value in (("last_message", last.message), ("people", last.people), ("snippet", last.snippet)):
            values[name] = case((newest, value), else_=ticket.c[name])
        session.execute(update(ticket).where(or_(*(ticket.c.id == id_ for id_ in there[key]))).values(values))
        changed.update((id_, last.message) for id_ in there[key])
    for number, digest in proof.of_ids(session, "ticket", sorted(changed))["ticket"].items():
        digests.setdefault(changed[int(number)], {})[number] = digest
    return digests


def _there(session: Session, keys: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], list[int]]:
    """The tickets that are there: each with the one it was merged into."""
    found: dict[tuple[str, int], list[int]] = {}
    for scope in {scope for scope, _ in keys}:
        wanted = [conversation for of, conversation in keys if of == scope]
        for start in range(0, len(wanted), 500):
            some = ticket.c.conversation.in_(wanted[start : start + 500])
            for row in session.execute(select(ticket).where(ticket.c.scope == scope, some)):
                found[scope, row.conversation] = [row.id, *filter(None, [row.merged_into])]
    return found


def _row(key: tuple[str, int], came: Sequence[Arrived], actor: str, now: int) -> dict[str, Any]:
    last = came[-1]
    return {
        "scope": key[0],
        "conversation": key[1],
        "state": DONE,
        "done_at": now,
        "done_by": actor,
        "created_at": now,
        "last_at": now,
        "last_message": last.message,
        "messages": len(came),
        "subject": came[0].subject,
        "people": last.people,
        "snippet": last.snippet,
        "attachments": sum(one.attachments for one in came),
    }
