"""What rules say of mail of ours that answers a ticket: from which address, how it is signed, and headers."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update

from ..events import log, proof
from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import reply_setting, ticket
from .composing import clean

FROM, SIGNATURE, HEADER = "from", "signature", "header"
# Headers that mean nothing to servers on the way, and cannot stand for those that do.
_HEADER = re.compile(r"(X-(?!(?i:postroom))[A-Za-z0-9-]{1,60}|Importance|Organization|Keywords)\s*:\s*(\S.{0,200})")


def header(value: str) -> tuple[str, str] | None:
    """Name and value of a header that a rule may set; None where it may not."""
    found = _HEADER.fullmatch(value.strip())
    return (found[1], found[2].strip()) if found and clean(found[2]) == found[2].strip() else None


def put(session: Session, tickets: Sequence[int], do: str, value: str, rule: int, now: int) -> None:
    """Say so of these tickets from now on, in place of what was said before."""
    name = f"{HEADER} {value.partition(':')[0].strip().lower()}"[:80] if do == HEADER else do
    for one in dict.fromkeys(tickets):
        row: dict[str, Any] = {"ticket": one, "name": name, "value": value, "rule": rule}
        here = (reply_setting.c.ticket == one) & (reply_setting.c.name == name)
        if not insert_missing(session, reply_setting, [row]):
            other = here & ((reply_setting.c.value != value) | (reply_setting.c.rule != rule))
            if not session.execute(update(reply_setting).where(other).values(value=value, rule=rule)).rowcount:
                continue
        rows = proof.stored(session, "reply_setting", here)
        details = {"name": name, "value": value}
        log.write(session, [log.Event("ticket.replies_set", f"rule:{rule}", f"ticket:{one}", details, rows)], now)


def of_conversation(session: Session, conversation: int, scope: str) -> dict[str, str]:
    """What was said of the ticket of this process and conversation, by name; headers as "header x-name"."""
    query = select(reply_setting.c.name, reply_setting.c.value).join(ticket, ticket.c.id == reply_setting.c.ticket)
    here = query.where(ticket.c.conversation == conversation, ticket.c.scope == scope)
    return {row.name: row.value for row in session.execute(here.order_by(reply_setting.c.name))}
