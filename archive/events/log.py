"""The log of events: what became true, written in the transaction that made it true. It is the audit trail.

The row holds kind, time, actor and subject; details, which may be personal, stand in a row of their own under a
salted commitment, so that they can be erased while the log stays verifiable.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from ..store.archive import Session
from ..store.dialects import insert_counted, insert_rows
from ..store.schema import event, event_detail
from . import chain

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode

OPERATOR = "operator"  # whoever runs commands on the machine


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that became true: `message.archived`, `user.signed_in`."""

    kind: str
    actor: str  # user:3, operator, binding:2
    subject: str  # message:123
    details: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)  # as `proof.Digests`


def write(session: Session, events: Iterable[Event], now: int) -> None:
    """Add events to the log; `now` in UTC milliseconds."""
    rows: list[dict[str, Any]] = []
    details: list[dict[str, Any]] = []
    for one in events:
        salt = os.urandom(16)
        said = {**one.details, "rows": one.rows} if one.rows else one.details
        text = _encode(said) if said else "{}"
        commitment = chain.commitment(salt, text)
        rows.append({"at": now, "kind": one.kind, "actor": one.actor, "subject": one.subject, "commitment": commitment})
        details.append({"salt": salt, "details": text})
    if not rows:
        return
    for row, position in zip(details, insert_counted(session, event, rows), strict=True):
        row["event"] = position
    insert_rows(session, event_detail, details)


def position(session: Session) -> int:
    """The newest event's id; 0 where there is none."""
    return session.scalar(select(func.max(event.c.id))) or 0
