"""Handing messages that are there to one more scope, and taking them back: by hand, by a rule, under a case.

What arrives is delivered by `archive.intake`; this is for what has arrived. Whoever calls tells why and answers for the
rows in an event of its own; tickets tell their steps themselves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, delete, func, select

from ..events import proof
from ..people.scopes import RESTRICTED
from ..search import index
from ..search.words import Words
from ..store.archive import Session
from ..store.dialects import hold, insert_rows
from ..store.schema import conversation, delivery, message, message_scope, receipt, ticket
from ..work import changes, merging, tickets

CASE = "case"  # why: it was filed under a case

WordsOf = Callable[[int], Words | None]  # as intake indexed a message; None: they are not at hand

_CHUNK = 500
_OUT = "out:"  # before the scope of a ticket all of whose mail was taken back


def not_at_hand(_message: int) -> Words | None:
    """For whoever has not read the messages: search follows a moment later (`archive.reindexing`)."""
    return None


def give(
    session: Session,
    messages: Iterable[int],
    scope: str,
    reason: str,
    actor: str,
    now: int,
    *,
    rule: int | None = None,
    hand_over: int | None = None,
    import_mode: bool = False,
    words: WordsOf = not_at_hand,
) -> tuple[list[int], proof.Digests]:
    """Let a scope see messages, and give it a ticket for each conversation; UTC ms. Not what is restricted to others.

    Returns those it could not see before, and what the caller's event has to answer for.
    """
    wanted = sorted(set(messages))
    had = {*having(session, wanted, scope), *_restricted(session, wanted)}
    reached = [id_ for id_ in wanted if id_ not in had]
    if not reached:
        return [], {}
    found = _messages(session, reached)
    hold(session, conversation, {row.conversation for row in found})  # nobody joins them to others meanwhile
    first = _first_receipts(session, reached)
    insert_rows(session, message_scope, [{"message": row.id, "scope": scope} for row in found])
    why = {"reason": reason, "rule": rule, "hand_over": hand_over, "import_mode": True if import_mode else None}
    rows = [{"message": row.id, "scope": scope, "receipt": first[row.id], "at": now, **why} for row in found]
    insert_rows(session, delivery, rows)
    made: proof.Digests = {
        "message_scope": {f"{row['message']}/{scope}": proof.NOTHING_ELSE for row in rows},
        "delivery": {f"{row['message']}/{scope}": proof.digest("delivery", row) for row in rows},
    }
    back = _bring_back(session, {row.conversation for row in found}, scope, actor, now)
    arrived = [_arrived(row, scope) for row in found if row.conversation not in back]
    for digests in tickets.note(session, arrived, now).values():
        made.setdefault("ticket", {}).update(digests)
    index.mark(session, {row.id: _of(words, row.id) for row in found})
    return [row.id for row in found], made


def take_back(
    session: Session, messages: Iterable[int], scope: str, actor: str, now: int, *, words: WordsOf = not_at_hand
) -> tuple[list[int], proof.Digests]:
    """Let a scope see messages no more. Returns those it saw, and what the caller's event has to answer for.

    Its ticket on a conversation of which it sees nothing more is out of everybody's sight, with all that was said
    there, and back when something of it is given again.
    """
    taken = having(session, messages, scope)
    if not taken:
        return [], {}
    found = _messages(session, taken)
    hold(session, conversation, {row.conversation for row in found})
    for start in range(0, len(taken), _CHUNK):
        some = taken[start : start + _CHUNK]
        for table in (delivery, message_scope):
            session.execute(delete(table).where(table.c.message.in_(some), table.c.scope == scope))
    made: proof.Digests = {
        table: dict.fromkeys((f"{id_}/{scope}" for id_ in taken), None) for table in ("delivery", "message_scope")
    }
    for one in sorted({row.conversation for row in found}):
        of = session.execute(select(ticket).where(ticket.c.scope == scope, ticket.c.conversation == one)).first()
        if of is not None:
            merging.take_all_apart(session, of.id, actor, now)
            left = _shown(session, scope, one)
            changes.change(session, of.id, "taken_back", actor, left or {"scope": _OUT + scope}, now)
    index.mark(session, {id_: _of(words, id_) for id_ in taken})
    return taken, made


def recount(session: Session, scope: str, conversation_: int, actor: str, now: int, details: Mapping[str, Any]) -> None:
    """Let a scope's ticket show what the scope sees of a conversation now; `details` say why, in its history."""
    of = session.execute(select(ticket).where(ticket.c.scope == scope, ticket.c.conversation == conversation_)).first()
    shown = _shown(session, scope, conversation_)
    if of is not None and shown:
        merging.take_all_apart(session, of.id, actor, now)
        changes.change(session, of.id, "recounted", actor, shown, now, details=details)


def having(session: Session, messages: Iterable[int], scope: str) -> list[int]:
    """Which of these messages a scope sees."""
    wanted = sorted(set(messages))
    found: list[int] = []
    for start in range(0, len(wanted), _CHUNK):
        some = message_scope.c.message.in_(wanted[start : start + _CHUNK])
        found += session.scalars(select(message_scope.c.message).where(some, message_scope.c.scope == scope))
    return sorted(found)


def _restricted(session: Session, messages: Sequence[int]) -> list[int]:
    found: list[int] = []
    for start in range(0, len(messages), _CHUNK):
        some = message_scope.c.message.in_(messages[start : start + _CHUNK])
        restricted = message_scope.c.scope.like(f"{RESTRICTED}%")
        found += session.scalars(select(message_scope.c.message).where(some, restricted))
    return found


def of_conversation(session: Session, conversation_: int, scope: str) -> list[int]:
    """What a scope sees of a conversation, in the order of arrival."""
    query = (
        select(message.c.id)
        .join(message_scope, message_scope.c.message == message.c.id)
        .where(message.c.conversation == conversation_, message_scope.c.scope == scope)
    )
    return list(session.scalars(query.order_by(message.c.id)))


def _messages(session: Session, ids: Sequence[int]) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    for start in range(0, len(ids), _CHUNK):
        query = select(message).where(message.c.id.in_(ids[start : start + _CHUNK]))
        found += session.execute(query.order_by(message.c.id))
    return found


def _first_receipts(session: Session, ids: Sequence[int]) -> Mapping[int, int]:
    found: dict[int, int] = {}
    for start in range(0, len(ids), _CHUNK):
        query = select(receipt.c.message, func.min(receipt.c.id)).where(
            receipt.c.message.in_(ids[start : start + _CHUNK])
        )
        found.update((row[0], row[1]) for row in session.execute(query.group_by(receipt.c.message)))
    return found


def _bring_back(session: Session, conversations: Iterable[int], scope: str, actor: str, now: int) -> set[int]:
    """Tickets out of sight come back with what may be seen of their conversations now; returns these."""
    wanted, found = sorted(conversations), set()
    for start in range(0, len(wanted), _CHUNK):
        some = ticket.c.conversation.in_(wanted[start : start + _CHUNK])
        out = session.execute(select(ticket.c.id, ticket.c.conversation).where(ticket.c.scope == _OUT + scope, some))
        for row in out.all():
            shown = _shown(session, scope, row.conversation)
            changes.change(session, row.id, "given_again", actor, {"scope": scope, "last_at": now, **shown}, now)
            found.add(row.conversation)
    return found


def _shown(session: Session, scope: str, conversation_: int) -> dict[str, Any]:
    """What a scope's ticket shows of what may be seen; nothing where that is nothing."""
    found = _messages(session, of_conversation(session, conversation_, scope))
    if not found:
        return {}
    last = found[-1]
    return {
        "messages": len(found),
        "last_message": last.id,
        "subject": found[0].subject,
        "people": last.from_name or last.from_address,
        "snippet": last.snippet,
        "attachments": sum(row.attachments for row in found),
    }


def _arrived(row: Row[Any], scope: str) -> tickets.Arrived:
    return tickets.Arrived(
        scope, row.conversation, row.id, row.subject, row.from_name or row.from_address, row.snippet, row.attachments
    )


def _of(words: WordsOf, id_: int) -> Callable[[], Words | None]:
    return lambda: words(id_)
