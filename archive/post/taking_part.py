"""Who takes part in a conversation, and whether who wrote a mail is let into it by a reference.

Somebody takes part whom From, To, Cc or Reply-To of one of its mails names, or who got one of ours. Whoever belongs to
us takes part in what he sees, and in nothing else: rights are those of the moment. What is looked up does not grow
with the archive: the mails that are named, many at a time, and of a conversation the newest ones.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import exists, select

from ..people import scopes
from ..people.scopes import Viewer, visible
from ..store.archive import Session
from ..store.schema import identity, message, outgoing, outgoing_recipient, user
from .routing import fold

STRANGER = "stranger"  # takes no part in it
CONTRADICTED = "contradicted"  # DMARC says that somebody else wrote it
NO_ACCESS = "no access"  # one of us who does not see it
REASONS = (STRANGER, CONTRADICTED, NO_ACCESS)

REPORT = "report"  # why a mail is there: it says what became of one of ours. Whom it names takes no part because of it

_CHUNK = 500
_NEWEST = 200  # mails of a conversation that are looked at for who takes part
_MOST = 1000  # recipients of mails of ours in a conversation
_FORWARD = "forward"  # `archive.outgoing.outbox`, which stands above


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a mail, and whom it names; addresses are folded (`routing.fold`)."""

    address: str  # "" where that is nobody, or several
    people: frozenset[str]  # From, To, Cc and Reply-To
    contradicted: Callable[[], bool]  # whether DMARC says that it is somebody else's
    scopes: frozenset[str] = frozenset()  # where the mail goes


def people(address: str, recipients: str) -> frozenset[str]:
    """Pure: whom a mail names, by what a message keeps of From and of its recipients (JSON, `archive.mail.facts`)."""
    named = [one for kind in json.loads(recipients).values() for _, one in kind]
    return frozenset(fold(one) for one in (address, *named) if one)


@dataclass(frozen=True, slots=True)
class _User:
    """One of us."""

    id: int
    disabled: bool


@dataclass(slots=True)
class _Talk:
    """A conversation: who takes part, and who wrote."""

    people: set[str] = field(default_factory=set)
    authors: set[str] = field(default_factory=set)


class Company:
    """Who takes part in what the mails of a batch name. Asked within intake's transaction."""

    def __init__(self, session: Session, here: Mapping[int, Author], known: Iterable[int]) -> None:
        """`here` are mails of the batch, `known` messages that are named."""
        self._session = session
        self._here = here
        named = set(known)
        self._of = _people(session, named)
        self._ours: dict[str, _User] | None = None
        self._viewers: dict[int, Viewer] = {}
        self._talks: dict[frozenset[int], _Talk] = {}

    def refuses(
        self, one: Author, named: int | None, conversation: Collection[int], batch: Collection[int], *, token: bool
    ) -> str | None:
        """Why this author is not let into a conversation by a reference; None: he is.

        `named` is the message of that reference, None a ghost; `conversation` its ids, `batch` what of the batch is in
        it; `token`: only we can have made the reference.
        """
        ours = self._one_of_us(one.address)
        if ours is not None:
            if one.contradicted():
                return CONTRADICTED
            return None if self._sees(ours, conversation, batch) else NO_ACCESS
        if token:
            return None
        if one.contradicted():
            return CONTRADICTED
        if not one.address:
            return STRANGER
        if named is not None:
            mail = self._here[named].people if named in self._here else self._of.get(named, frozenset())
            if one.address in mail:
                return None
        talk = self._talk(conversation, batch)
        # Of a ghost nobody knows whom it named: whoever referred to it first may have made it up.
        mutual = named is not None or bool(talk.authors & one.people)
        return None if mutual and one.address in talk.people else STRANGER

    def _one_of_us(self, address: str) -> _User | None:
        if self._ours is None:
            self._ours = _users(self._session, {one.address for one in self._here.values() if one.address})
        return self._ours.get(address)

    def _sees(self, who: _User, conversation: Collection[int], batch: Collection[int]) -> bool:
        if who.disabled:
            return False
        if who.id not in self._viewers:
            self._viewers[who.id] = scopes.viewer(self._session, who.id)
        viewer = self._viewers[who.id]
        if all(id_ in self._here for id_ in conversation):  # it begins in this batch
            return any(viewer.sees(scope) for id_ in batch if id_ in self._here for scope in self._here[id_].scopes)
        seen = select(message.c.id).where(message.c.conversation.in_(conversation), visible(message.c.id, viewer))
        return bool(self._session.scalar(select(exists(seen))))

    def _talk(self, conversation: Collection[int], batch: Collection[int]) -> _Talk:
        key = frozenset(conversation)
        if key not in self._talks:
            self._talks[key] = _talk(self._session, sorted(key))
        there = self._talks[key]
        some = [self._here[id_] for id_ in batch if id_ in self._here]
        return _Talk(
            there.people.union(*(one.people for one in some)), there.authors | {one.address for one in some} - {""}
        )


def _people(session: Session, ids: Collection[int]) -> dict[int, frozenset[str]]:
    listed, found = sorted(ids), dict[int, frozenset[str]]()
    for start in range(0, len(listed), _CHUNK):
        query = select(message.c.id, message.c.from_address, message.c.recipients).where(message.c.joined_by != REPORT)
        rows = session.execute(query.where(message.c.id.in_(listed[start : start + _CHUNK])))
        found.update((row.id, people(row.from_address, row.recipients)) for row in rows)
    return found


def _users(session: Session, addresses: Collection[str]) -> dict[str, _User]:
    """Who of us has these addresses, as an account's or to send from."""
    listed, found = sorted(addresses), dict[str, _User]()
    for start in range(0, len(listed), _CHUNK):
        some = listed[start : start + _CHUNK]
        own = select(identity.c.address, user.c.id, user.c.disabled_at).join(user, user.c.id == identity.c.user)
        rows = [*session.execute(own.where(identity.c.address.in_(some)))]
        of_account = select(user.c.email.label("address"), user.c.id, user.c.disabled_at)
        rows += session.execute(of_account.where(user.c.email.in_(some)))
        found |= {row.address: _User(row.id, row.disabled_at is not None) for row in rows}
    return found


def _talk(session: Session, conversation: Collection[int]) -> _Talk:
    found = _Talk()
    query = select(message.c.id, message.c.message_id, message.c.from_address, message.c.recipients)
    query = query.where(message.c.conversation.in_(conversation), message.c.joined_by != REPORT)
    rows = session.execute(query.order_by(message.c.id.desc()).limit(_NEWEST)).all()
    for row in rows:
        found.people |= people(row.from_address, row.recipients)
        found.authors.add(fold(row.from_address))
    # Whoever got one of ours, in Bcc, too: where it stands by now, not where it was written. By its Message-ID, which
    # has an index and proves nothing. What was passed on has a conversation of its own and belongs to both.
    ids = [row.id for row in rows]
    own = outgoing.c.message_id.in_([f"<{row.message_id}>" for row in rows]) & outgoing.c.message.in_(ids)
    passed_on = outgoing.c.answers.in_(ids) & outgoing.c.message.is_not(None) & (outgoing.c.kind == _FORWARD)
    got = select(outgoing_recipient.c.address).join(outgoing, outgoing.c.id == outgoing_recipient.c.outgoing)
    for ours in (own, passed_on):
        found.people |= {fold(one) for one in session.scalars(got.where(ours).limit(_MOST))}
    found.people.discard("")
    found.authors.discard("")
    return found
