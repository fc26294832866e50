"""Drafts: what somebody has typed and not said yet, about a ticket, or a mail that is no answer. It is no event.

Nobody else sees it, but for drafts of answers: they are shared with those who work on the ticket.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, select, update

from ..people.roles import Role
from ..people.scopes import Viewer, visible_ticket
from ..store.archive import Session
from ..store.dialects import insert_missing
from ..store.schema import draft, draft_file, ticket, user

FILES = "reply files"  # of mails, that are to go along with an answer: one a line, 123/2.1
HEAD = "reply head"  # of an answer: whom it is for, and all else that stands in its form beside the text
KINDS = ("comment", "hand over", "reply", FILES, HEAD)
MAIL = "mail"  # one that is no answer: its whole form, under minus its number instead of a ticket
BACK = 24 * 3_600_000  # ms in which what was deleted can be put back
LONGEST = 100_000  # characters; what is longer is kept so far
_REPLY = ("reply", FILES, HEAD)
# What it is called once it is deleted.
_GONE = {"reply": "reply gone", FILES: "files gone", HEAD: "head gone", MAIL: "mail gone"}


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed, and when that was kept (UTC ms)."""

    text: str
    at: int


def put(session: Session, viewer: Viewer, ticket_id: int, kind: str, text: str, now: int) -> bool:
    """Keep what was typed instead of what was kept before; nothing but space removes it.

    False where the viewer does not see such a ticket; then nothing is kept. ValueError for a kind there is not.
    """
    if kind not in KINDS:
        raise ValueError(kind)
    if viewer.user is None or not _seen(session, viewer, ticket_id):
        return False
    if not text.strip():
        remove(session, viewer.user, ticket_id, kind)
        return True
    _write(session, viewer.user, ticket_id, kind, text[:LONGEST], now)
    return True


def _write(session: Session, person: int, ticket_id: int, kind: str, text: str, now: int) -> None:
    values = {"text": text, "at": now}
    row = {"user": person, "ticket": ticket_id, "kind": kind, **values}
    if not insert_missing(session, draft, [row]):
        session.execute(update(draft).where(_one(person, ticket_id, kind)).values(**values))


def _seen(session: Session, viewer: Viewer, ticket_id: int) -> bool:
    found = session.execute(
        select(ticket.c.scope, ticket.c.restriction).where(ticket.c.id == ticket_id, visible_ticket(viewer))
    ).first()
    return found is not None and (viewer.sees(found.scope) or found.restriction in viewer.restrictions)


def get(session: Session, person: int, ticket_id: int, kind: str) -> Draft | None:
    """What this user has typed there, if anything."""
    found = session.execute(select(draft.c.text, draft.c.at).where(_one(person, ticket_id, kind))).first()
    return Draft(found.text, found.at) if found else None


@dataclass(frozen=True, slots=True)
class Theirs:
    """What somebody else has begun to answer."""

    user: int
    name: str
    text: str
    at: int


def shared(session: Session, viewer: Viewer, ticket_id: int) -> list[Theirs]:
    """Answers that others have begun, the latest first; for those who work on the ticket."""
    if not may_share(session, viewer, ticket_id):
        return []
    query = select(draft, user.c.name).join(user, user.c.id == draft.c.user)
    here = (draft.c.ticket == ticket_id) & (draft.c.kind == "reply") & (draft.c.user != viewer.user)
    rows = session.execute(query.where(here).order_by(draft.c.at.desc(), draft.c.user))
    return [Theirs(row.user, row.name, row.text, row.at) for row in rows]


def may_share(session: Session, viewer: Viewer, ticket_id: int) -> bool:
    """Whether this viewer works on such a ticket, and so sees what others have begun there."""
    scope = session.scalar(select(ticket.c.scope).where(ticket.c.id == ticket_id))
    if scope is None or viewer.user is None or not viewer.may(Role.WORKS, scope):
        return False
    return _seen(session, viewer, ticket_id)


def may_keep(session: Session, viewer: Viewer, ticket_id: int) -> bool:
    """Whether this viewer keeps drafts about such a ticket."""
    return viewer.user is not None and _seen(session, viewer, ticket_id)


def remove(session: Session, person: int, ticket_id: int, kind: str) -> None:
    """It was said, or is not to be said."""
    session.execute(draft.delete().where(_one(person, ticket_id, kind)))


def remove_reply(session: Session, person: int, ticket_id: int) -> None:
    """The answer was sent; its files are another's (`archive.draft_files`)."""
    for kind in _REPLY:
        remove(session, person, ticket_id, kind)


def move(session: Session, gone: int, kept: int) -> None:
    """What was typed about a ticket that becomes part of another; where both have some, one is behind the other."""
    both: dict[tuple[int, str], dict[int, Row[Any]]] = {}
    for row in session.execute(select(draft).where(draft.c.ticket.in_((gone, kept)))):
        both.setdefault((row.user, row.kind), {})[row.ticket] = row
    for (person, kind), rows in both.items():
        if gone not in rows:
            continue
        if kept not in rows:
            session.execute(update(draft).where(_one(person, gone, kind)).values(ticket=kept))
            continue
        remove(session, person, gone, kind)
        between = {FILES: "\n", HEAD: None}.get(kind, "\n\n")
        if kind not in _GONE.values() and between and rows[gone].text != rows[kept].text:
            text = f"{rows[kept].text}{between}{rows[gone].text}"
            _write(session, person, kept, kind, text[:LONGEST], max(row.at for row in rows.values()))
    for sign in (1, -1):  # those of what was deleted lie under minus the ticket
        here = draft_file.c.ticket == sign * gone
        session.execute(update(draft_file).where(here).values(ticket=sign * kept))


def of_tickets(session: Session, person: int, ids: Iterable[int]) -> set[int]:
    """Those of these tickets about which this user has typed something that is not said yet."""
    query = select(draft.c.ticket).where(draft.c.user == person, draft.c.kind.not_in(_GONE.values()))
    return set(session.scalars(query.where(draft.c.ticket.in_(list(ids)))))


def _one(person: int, ticket_id: int, kind: str) -> ColumnElement[bool]:
    return and_(draft.c.user == person, draft.c.ticket == ticket_id, draft.c.kind == kind)


# --- mails that are no answers --------------------------------------------------------------------------------


def number_of(token: str) -> int:
    """The number of a form's draft: the same for as long as the form goes round with what was drawn for it."""
    return int.from_bytes(blake2b(token.encode(), digest_size=7).digest()) or 1


def put_mail(session: Session, person: int, number: int, form: str, now: int) -> None:
    """Keep the form of a mail, instead of what was kept of it before; it is the caller's how long that is."""
    remove(session, person, -number, _GONE[MAIL])  # it lives, and so do its files
    _write(session, person, -number, MAIL, form, now)


def mail(session: Session, person: int, number: int) -> Draft | None:
    """The form of a mail that this user has begun."""
    return get(session, person, -number, MAIL)


def remove_mail(session: Session, person: int, number: int) -> None:
    """It was sent, or nothing stands in it any more."""
    remove(session, person, -number, MAIL)


# --- all of one's own -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Own:
    """A mail somebody has begun; of an answer what was typed, of another mail its form."""

    kind: str  # reply, mail
    number: int  # of the ticket, or of the mail
    text: str
    at: int
    subject: str  # of the ticket
    conversation: int | None
    head: str = ""  # of an answer


def own(session: Session, viewer: Viewer) -> list[Own]:
    """The mails this viewer has begun and not sent, the latest change first; answers where the ticket may be seen."""
    rows = session.execute(
        select(draft, ticket.c.subject, ticket.c.conversation, ticket.c.scope, ticket.c.restriction)
        .outerjoin(ticket, and_(ticket.c.id == draft.c.ticket, visible_ticket(viewer)))
        .where(draft.c.user == viewer.user, draft.c.kind.in_((*_REPLY, MAIL)))
        .order_by(draft.c.at.desc(), draft.c.ticket)
    )
    found: dict[int, Own] = {}
    for row in rows:
        if row.kind == MAIL:
            found[row.ticket] = Own(MAIL, -row.ticket, row.text, row.at, "", None)
        elif row.scope is not None and (viewer.sees(row.scope) or row.restriction in viewer.restrictions):
            one = found.get(row.ticket) or Own("reply", row.ticket, "", row.at, row.subject, row.conversation)
            more = {"text": row.text} if row.kind == "reply" else {"head": row.text} if row.kind == HEAD else {}
            found[row.ticket] = replace(one, **more)
    return sorted(found.values(), key=lambda one: -one.at)


def there(session: Session, person: int, kind: str, number: int) -> bool:
    """Whether such a draft lives."""
    at = number if kind == "reply" else -number
    some = select(draft.c.kind).where(draft.c.user == person, draft.c.ticket == at, draft.c.kind.in_(_kinds(kind)))
    return session.scalar(some.limit(1)) is not None


def _kinds(kind: str) -> Sequence[str]:
    return _REPLY if kind == "reply" else (MAIL,)


def delete(session: Session, person: int, kind: str, number: int, now: int) -> bool:
    """Delete a draft (`reply`, of this ticket, or `mail`); for BACK it can be put back. False where there is none.

    Of an answer that was deleted before nothing may be left: `there`, and its files first (`draft_files.remove`).
    """
    if there(session, person, kind, number):
        for each in _kinds(kind):
            remove(session, person, number if kind == "reply" else -number, _GONE[each])
    return _rename(session, person, kind, number, {each: _GONE[each] for each in _kinds(kind)}, now)


def put_back(session: Session, person: int, kind: str, number: int, now: int) -> bool:
    """What was deleted is there again; False where it is gone, or another was begun in its place."""
    if there(session, person, kind, number):
        return False
    return _rename(session, person, kind, number, {_GONE[each]: each for each in _kinds(kind)}, now)


def _rename(session: Session, person: int, kind: str, number: int, names: dict[str, str], now: int) -> bool:
    """And the files of it lie under minus the ticket for as long as it is deleted, where nobody looks."""
    at, found = number if kind == "reply" else -number, False
    for old, new in names.items():
        if get(session, person, at, old) is None:
            continue
        remove(session, person, at, new)
        renamed = session.execute(update(draft).where(_one(person, at, old)).values(kind=new, at=now))
        found |= bool(renamed.rowcount)  # none where it was forgotten at this moment
    if found and kind == "reply":
        gone = "reply" in names
        here = (draft_file.c.user == person) & (draft_file.c.ticket == (at if gone else -at))
        session.execute(update(draft_file).where(here).values(ticket=-at if gone else at))
    return found


def _old(now: int) -> ColumnElement[bool]:
    return and_(draft.c.kind.in_(_GONE.values()), draft.c.at < now - BACK)


def any_old(session: Session, now: int) -> bool:
    """Whether there is something to `forget`."""
    return session.scalar(select(draft.c.user).where(_old(now)).limit(1)) is not None


def forget(session: Session, now: int) -> list[tuple[int, int]]:
    """What was deleted longer than BACK ago is gone for good; whose it was, and as which ticket its files are kept."""
    rows = session.execute(draft.delete().where(_old(now)).returning(draft.c.user, draft.c.ticket)).all()
    return sorted({(row.user, -abs(row.ticket)) for row in rows})
