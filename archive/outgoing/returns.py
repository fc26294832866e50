"""What machines report about mails of ours, on the recipient that it is about.

Only what names a Message-ID that this installation made, and somebody who got that mail, counts: what else says that it
is a report is a mail like any other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, update

from ..events import log, proof
from ..mail.reports import AWAY, COMPLAINED, FAILED, About, Report
from ..people.scopes import Viewer
from ..post.routing import fold
from ..store.archive import Session
from ..store.dialects import hold
from ..store.schema import message, outgoing, outgoing_recipient, seen, ticket
from . import composing, outbox

REPEATED = 2  # mails that did not reach an address; then whoever writes to it is told
_COUNTS_FOR = 180 * 86_400_000  # ms
_FINAL = (FAILED, COMPLAINED)
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Tied:
    """A report, and the mail of ours that it is about."""

    outgoing: int
    author: str
    scope: str
    message_id: str  # without its brackets
    belongs_to: int | None  # the message by whose conversation it is put
    about: Mapping[str, About]  # by recipient, as the outbox has them


def tie(session: Session, reports: Mapping[int, Report], secret: bytes) -> dict[int, Tied]:
    """Which of these reports (by UID) are about what; two questions for all of them."""
    named = {
        uid: [f"<{one}>" for one in report.named if composing.is_ours(one, secret)] for uid, report in reports.items()
    }
    wanted = sorted({one for some in named.values() for one in some})
    rows: dict[str, Row[Any]] = {}
    for start in range(0, len(wanted), _CHUNK):
        some = outgoing.c.message_id.in_(wanted[start : start + _CHUNK])
        rows.update((row.message_id, row) for row in session.execute(select(outgoing).where(some)))
    people = _recipients(session, [row.id for row in rows.values()])
    found: dict[int, Tied] = {}
    for uid, names in named.items():
        one = next((rows[name] for name in names if name in rows), None)
        if one is None:
            continue
        if about := match(reports[uid].about, people.get(one.id, ())):
            near = one.message or (one.answers if one.kind == outbox.REPLY else None)
            found[uid] = Tied(one.id, one.author, one.scope, one.message_id.strip("<>"), near, about)
    return found


def match(about: Iterable[About], recipients: Sequence[str]) -> dict[str, About]:
    """Pure: whom a report is about. Where only one got the mail, it is that one, whoever they are by now."""
    by_name = {fold(one): one for one in recipients}
    found: dict[str, About] = {}
    for one in about:
        address = next((by_name[fold(name)] for name in one.addresses if fold(name) in by_name), None)
        if address is None and len(recipients) == 1:
            address = recipients[0]
        if address is not None:
            found.setdefault(address, one)
    return found


def _recipients(session: Session, ids: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for start in range(0, len(ids), _CHUNK):
        some = outgoing_recipient.c.outgoing.in_(ids[start : start + _CHUNK])
        there = outgoing_recipient.c.state == outbox.SENT
        for row in session.execute(
            select(outgoing_recipient).where(some, there).order_by(outgoing_recipient.c.address)
        ):
            found.setdefault(row.outgoing, []).append(row.address)
    return found


def note(session: Session, one: Tied, came: int, actor: str, now: int) -> None:
    """A report came, as this message: it stands on the recipient, and the author finds the conversation unread."""
    hold(session, outgoing, [one.outgoing])  # all recipients are digested below
    changed = []
    for address, about in one.about.items():
        here = (outgoing_recipient.c.outgoing == one.outgoing) & (outgoing_recipient.c.address == address)
        free = or_(outgoing_recipient.c.returned.is_(None), outgoing_recipient.c.returned.not_in(_FINAL))
        may = here if about.outcome == COMPLAINED else here & free
        values = {"returned": about.outcome, "returned_at": now, "returned_says": about.says or about.status or None}
        if session.execute(update(outgoing_recipient).where(may).values(**values, returned_by=came)).rowcount:
            changed.append((address, about))
    if not changed:
        return
    rows = proof.stored(session, "outgoing_recipient", outgoing_recipient.c.outgoing == one.outgoing)
    said = {address: [about.outcome, about.status, about.says] for address, about in changed}
    details = {"message": str(came), "said": said}
    log.write(session, [log.Event("outgoing.returned", actor, f"outgoing:{one.outgoing}", details, rows)], now)
    if one.author.startswith("user:") and any(about.outcome != AWAY for _, about in changed):
        _tell(session, int(one.author.removeprefix("user:")), one)


def _tell(session: Session, author: int, one: Tied) -> None:
    """Who wrote the mail finds its conversation unread; to all others nothing has happened."""
    by_message = select(message.c.conversation).where(message.c.id == one.belongs_to).scalar_subquery()
    tickets = select(ticket.c.id).where(ticket.c.scope == one.scope, ticket.c.conversation == by_message)
    session.execute(seen.delete().where(seen.c.user == author, seen.c.ticket.in_(tickets)))


def undeliverable(session: Session, addresses: Iterable[str], viewer: Viewer, now: int) -> dict[str, int]:
    """Which of these addresses several mails did not reach of late, and how many; of those that the viewer sees."""
    wanted = sorted({form for one in addresses for form in (one, one.lower())})
    refused = and_(outgoing_recipient.c.state == outbox.FAILED, outgoing_recipient.c.code >= 500)
    failed: ColumnElement[bool] = or_(outgoing_recipient.c.returned == FAILED, refused)
    at = func.coalesce(outgoing_recipient.c.returned_at, outgoing_recipient.c.at)
    query = (
        select(outgoing_recipient.c.address, func.count().label("failures"))
        .join(outgoing, outgoing.c.id == outgoing_recipient.c.outgoing)
        .where(
            outbox.visible_outgoing(viewer), outgoing_recipient.c.address.in_(wanted), failed, at > now - _COUNTS_FOR
        )
        .group_by(outgoing_recipient.c.address)
        .having(func.count() >= REPEATED)
    )
    return {row.address: row.failures for row in session.execute(query)}
