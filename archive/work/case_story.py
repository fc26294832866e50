"""A case in order of time: its mail, what was said about it, and what was done with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, cast, or_, select, text

from ..people.scopes import Viewer
from ..store.archive import Session
from ..store.schema import (
    EVENTS_OF_CASES,
    attachment,
    case_item,
    comment,
    event,
    event_detail,
    message,
    message_scope,
    ticket,
    user,
)
from .cases import TICKET, Case

LONGEST = 100  # entries a page tells


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that those who take part see."""

    at: int
    id: int
    conversation: int
    subject: str
    sender: str
    snippet: str
    attachments: int


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody said on a ticket of the case."""

    at: int
    conversation: int
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """What was done with the case."""

    at: int
    kind: str  # opened, filed, …: of the event
    actor: str
    details: Mapping[str, Any]


Entry = Mail | Comment | Step


@dataclass(frozen=True, slots=True)
class Document:
    """An attachment of the case's mail."""

    message: int
    path: str
    name: str
    at: int
    filed: bool  # by itself


def tell(session: Session, of: Case, visible_to: Viewer, before: int | None = None) -> tuple[list[Entry], bool]:
    """The latest entries, or those before a time (UTC ms), the oldest first; and whether there are earlier ones.

    For somebody who may see the case.
    """
    end = before if before is not None else (1 << 62)
    found: list[Entry] = [
        *_mails(session, of, end),
        *_comments(session, of, visible_to, end),
        *_steps(session, of, end),
    ]
    found.sort(key=lambda one: one.at)
    return found[-LONGEST:], len(found) > LONGEST


def _mails(session: Session, of: Case, end: int) -> list[Mail]:
    query = (
        select(message)
        .join(message_scope, message_scope.c.message == message.c.id)
        .where(message_scope.c.scope == of.scope, message.c.arrived_at < end)
        .order_by(message.c.id.desc())
        .limit(LONGEST + 1)
    )
    return [
        Mail(
            row.arrived_at, row.id, row.conversation, row.subject, row.from_name or row.from_address, row.snippet,
            row.attachments,
        )
        for row in session.execute(query)
    ]  # fmt: skip


def _comments(session: Session, of: Case, visible_to: Viewer, end: int) -> list[Comment]:
    filed = select(case_item.c.item).where(case_item.c.case == of.id, case_item.c.kind == TICKET)
    query = (
        select(comment, ticket.c.conversation, ticket.c.scope, user.c.name)
        .join(ticket, ticket.c.id == comment.c.ticket)
        .join(user, user.c.id == comment.c.author)
        .where(or_(ticket.c.scope == of.scope, cast(ticket.c.id, String).in_(filed)))
        .where(comment.c.at < end, comment.c.removed_at.is_(None))
        .order_by(comment.c.at.desc())
    )
    if visible_to.scopes is not None:
        query = query.where(ticket.c.scope.in_(sorted(visible_to.scopes)))
    rows = session.execute(query.limit(LONGEST + 1))
    return [Comment(row.at, row.conversation, row.name, row.text) for row in rows]


def _steps(session: Session, of: Case, end: int) -> list[Step]:
    query = (
        select(event.c.at, event.c.kind, event.c.actor, event_detail.c.details)
        .join(event_detail, event_detail.c.event == event.c.id)
        .where(text(EVENTS_OF_CASES), event.c.subject == of.subject, event.c.at < end)
        .order_by(event.c.id.desc())
        .limit(LONGEST + 1)
    )
    return [
        Step(row.at, row.kind.partition(".")[2], row.actor, json.loads(row.details)) for row in session.execute(query)
    ]


def documents(session: Session, of: Case) -> list[Document]:
    """The attachments of the case's mail, the newest first; those that were filed by themselves before the others."""
    single = set(
        session.scalars(select(case_item.c.item).where(case_item.c.case == of.id, case_item.c.kind == "attachment"))
    )
    query = (
        select(attachment, message.c.arrived_at)
        .join(message, message.c.id == attachment.c.message)
        .join(message_scope, message_scope.c.message == message.c.id)
        .where(message_scope.c.scope == of.scope, attachment.c.name != "")
        .order_by(message.c.id.desc(), attachment.c.path)
        .limit(LONGEST)
    )
    found = [
        Document(row.message, row.path, row.name, row.arrived_at, f"{row.message}/{row.path}" in single)
        for row in session.execute(query)
    ]
    return sorted(found, key=lambda one: not one.filed)
