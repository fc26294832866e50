"""Identities: the addresses mail goes out from, whose they are, and who may use them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Row, insert, select, update

from ..events import log, proof
from ..people.roles import Role
from ..people.scopes import Viewer, process_scope, user_scope
from ..post import sources
from ..post.bindings import Mailbox
from ..store.archive import Session
from ..store.schema import identity, identity_right, identity_signature, process_address, user
from . import composing


class IdentityTrouble(Exception):
    """What was asked of an identity cannot be; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An address of ours."""

    id: int
    address: str
    name: str
    signature: str
    mailbox: int
    sent_folder: str | None  # None: no copy is put anywhere
    process: int | None
    user: int | None
    languages: tuple[str, ...]
    removed_at: int | None
    tags: bool = False  # answers come to an address with a tag, by which their conversation is known
    canary_every: int | None = None  # ms between test mails to itself (`canaries`); None: none by themselves

    @property
    def scope(self) -> str:
        """Whose it is."""
        return process_scope(self.process) if self.process is not None else user_scope(self.user or 0)

    @property
    def shown(self) -> str:
        """As people see it."""
        return f"{self.name} <{self.address}>" if self.name else self.address


def add(
    session: Session,
    address: str,
    box: Mailbox,
    now: int,
    *,
    name: str = "",
    signature: str = "",
    sent_folder: str | None = None,
    process: int | None = None,
    user: int | None = None,
    languages: Sequence[str] = (),
    tags: bool = False,
    actor: str = log.OPERATOR,
) -> int:
    """A new identity's id, of a process or a person; one that was removed comes back as it is said now.

    IdentityTrouble where the address will not do or is there, or where the mailbox does not go with it.
    """
    try:
        address = composing.checked(address).lower()
    except composing.Unwritable as error:
        raise IdentityTrouble(str(error)) from None
    if not box.smtp:
        raise IdentityTrouble(f"Nothing can be sent through {box.name}: it has no SMTP server.")
    if (process is None) == (user is None):
        raise IdentityTrouble("Say whose address it is: a process's or a person's.")
    if box.owner is not None and box.owner != user:
        raise IdentityTrouble(f"{box.name} is a private mailbox; only its owner sends through it.")
    there = session.execute(select(identity).where(identity.c.address == address)).first()
    if there is not None and there.removed_at is None:
        raise IdentityTrouble(f"There is {address} already.")
    if user is not None and session.scalar(
        select(process_address.c.process).where(process_address.c.address == address)
    ):
        raise IdentityTrouble(f"{address} is an address of a process.")
    row = {
        "address": address, "name": composing.clean(name)[:200], "signature": signature.strip() or None,
        "mailbox": box.id, "sent_folder": sent_folder or None, "process": process, "user": user,
        "languages": json.dumps(list(languages)) if languages else None, "created_at": now, "removed_at": None,
        "tags": True if tags else None, "canary_every": None,
    }  # fmt: skip
    gone: proof.Digests = {}
    if there is not None:
        session.execute(update(identity).where(identity.c.id == there.id).values(**row))
        made: int = there.id
        if (there.process, there.user) != (process, user):  # whom its former owner let use it
            gone = _forget_people(session, made)
    else:
        made = cast(int, session.scalar(insert(identity).values(**row).returning(identity.c.id)))
    # What is sent from it has receipts that name it.
    sources.at(session, sources.OUTBOX, address, process_scope(process) if process else user_scope(user or 0), now)
    rows = proof.joined(proof.of_ids(session, "identity", [made]), gone)
    details = {"address": address, "mailbox": box.name}
    log.write(session, [log.Event("identity.added", actor, f"identity:{made}", details, rows)], now)
    return made


def _forget_people(session: Session, id_: int) -> proof.Digests:
    """Who else may send from it, and with what signature, is forgotten; the digests say so."""
    gone: proof.Digests = {}
    for table in (identity_right, identity_signature):
        people = session.scalars(table.delete().where(table.c.identity == id_).returning(table.c.user)).all()
        if people:
            gone[table.name] = {f"{id_}/{one}": None for one in people}
    return gone


def remove(session: Session, id_: int, now: int, actor: str = log.OPERATOR) -> bool:
    """Nothing is sent from it any more but what waits already; False where there is none."""
    done = session.execute(
        update(identity).where(identity.c.id == id_, identity.c.removed_at.is_(None)).values(removed_at=now)
    )
    if done.rowcount:
        rows = proof.of_ids(session, "identity", [id_])
        log.write(session, [log.Event("identity.removed", actor, f"identity:{id_}", rows=rows)], now)
    return bool(done.rowcount)


def permit(session: Session, id_: int, person: int, allowed: bool, now: int, actor: str = log.OPERATOR) -> bool:
    """A person may send from an address that is not theirs, or may no more; False where that was so already."""
    here = (identity_right.c.identity == id_) & (identity_right.c.user == person)
    there = session.scalar(select(identity_right.c.user).where(here)) is not None
    if there == allowed:
        return False
    if allowed:
        session.execute(insert(identity_right).values(identity=id_, user=person, since=now))
        rows = proof.stored(session, "identity_right", here)
    else:
        session.execute(identity_right.delete().where(here))
        rows = {"identity_right": {f"{id_}/{person}": None}}
    kind = "identity.permitted" if allowed else "identity.withdrawn"
    log.write(session, [log.Event(kind, actor, f"identity:{id_}", {"user": f"user:{person}"}, rows)], now)
    return True


def get(session: Session, id_: int) -> Identity:
    """The identity of this id, removed or not; LookupError where there is none."""
    row = session.execute(select(identity).where(identity.c.id == id_)).first()
    if row is None:
        raise LookupError(f"identity {id_}")
    return _identity(row)


def by_address(session: Session, address: str) -> Identity | None:
    """The identity of this address, unless it was removed."""
    query = select(identity).where(identity.c.address == address.strip().lower(), identity.c.removed_at.is_(None))
    row = session.execute(query).first()
    return _identity(row) if row is not None else None


def every(session: Session) -> list[Identity]:
    """All that were not removed, by address."""
    query = select(identity).where(identity.c.removed_at.is_(None)).order_by(identity.c.address)
    return [_identity(row) for row in session.execute(query)]


def permitted(session: Session, id_: int) -> list[str]:
    """The addresses of those who may send from it person by person."""
    query = select(user.c.email).join(identity_right, identity_right.c.user == user.c.id)
    return list(session.scalars(query.where(identity_right.c.identity == id_).order_by(user.c.email)))


def usable(session: Session, by: Viewer) -> list[Identity]:
    """Those this one may send from now, by address."""
    given: set[int] = set()
    if by.user is not None:
        query = select(identity_right.c.identity).where(identity_right.c.user == by.user)
        given = set(session.scalars(query))
    return [one for one in every(session) if one.id in given or by.may(Role.SENDS, one.scope)]


LONGEST_SIGNATURE = 10_000  # characters


def signature(session: Session, one: Identity, person: int | None) -> str:
    """How this person signs mail from this address: in words of their own, or as the address does."""
    here = (identity_signature.c.identity == one.id) & (identity_signature.c.user == person)
    own = session.scalar(select(identity_signature.c.text).where(here)) if person is not None else None
    return own if own is not None else one.signature


def own_signatures(session: Session, person: int) -> dict[int, str]:
    """The signatures of this person's own words, by identity."""
    rows = session.execute(select(identity_signature).where(identity_signature.c.user == person))
    return {row.identity: row.text for row in rows}


def sign(session: Session, id_: int, person: int, text: str, actor: str, now: int) -> bool:
    """This person signs mail from this address so from now on ("": as the address does); False where that was so."""
    text = text.strip()[:LONGEST_SIGNATURE]
    here = (identity_signature.c.identity == id_) & (identity_signature.c.user == person)
    if (session.scalar(select(identity_signature.c.text).where(here)) or "") == text:
        return False
    session.execute(identity_signature.delete().where(here))
    rows: proof.Digests = {"identity_signature": {f"{id_}/{person}": None}}
    if text:
        session.execute(insert(identity_signature).values(identity=id_, user=person, text=text))
        rows = proof.stored(session, "identity_signature", here)
    details = {"user": f"user:{person}", "text": text}
    log.write(session, [log.Event("identity.signed", actor, f"identity:{id_}", details, rows)], now)
    return True


def choose(usable: Sequence[Identity], written_to: Iterable[str], scope: str | None = None) -> Identity | None:
    """Pure: the one an answer goes out from unless another is chosen: what the mail was written to, else whose it is.

    `written_to` in the order of the mail's recipients.
    """
    by_name = {one.address: one for one in usable}
    for address in written_to:
        if found := by_name.get(address.lower()):
            return found
    of_scope = [one for one in usable if one.scope == scope]
    own = [one for one in usable if one.user is not None]
    return next(iter([*of_scope, *own, *usable]), None)


def _identity(row: Row[Any]) -> Identity:
    return Identity(
        row.id, row.address, row.name, row.signature or "", row.mailbox, row.sent_folder, row.process, row.user,
        tuple(json.loads(row.languages)) if row.languages else (), row.removed_at,
        bool(row.tags), row.canary_every,
    )  # fmt: skip
