"""What somebody may want to know before a mail goes, as the archive knows it (`archive.outgoing.guards`)."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from sqlalchemy import func, select

from . import sending
from .outgoing import bounced, guards, identities, outbox
from .outgoing.composing import Person, Unwritable
from .outgoing.guards import Caution
from .people.scopes import Viewer, visible
from .post import messages
from .search import hits, query
from .sending import Letter
from .store.archive import Session
from .store.schema import comment, message, outgoing, outgoing_recipient, process_address
from .work import tickets

_LATELY = 2_000  # mails whose senders and recipients are known
_MAILS = 200  # of a conversation
_ASKED = 20  # recipients that are looked for in other conversations, and new domains that are compared


def of(session: Session, viewer: Viewer, letter: Letter) -> list[Caution]:
    """All there is to know about a letter, as this viewer may know it; Unwritable as `sending.parsed`."""
    people = [one for _, one in sending.parsed(letter)]
    return [
        *_by_text(session, viewer, letter),
        *_by_number(letter, people),
        *_by_address(session, viewer, letter, [one.address.lower() for one in people]),
    ]


def quietly(session: Session, viewer: Viewer, letter: Letter) -> list[Caution]:
    """As `of`; nothing where it cannot be sent anyway."""
    try:
        return of(session, viewer, letter)
    except Unwritable:
        return []


def _by_text(session: Session, viewer: Viewer, letter: Letter) -> Iterator[Caution]:
    answered = messages.get(session, letter.answers, viewer) if letter.answers else None
    if answered is not None:
        there = [one.id for one in tickets.of_conversation(session, viewer, answered.conversation)]
        said = session.scalars(select(comment.c.text).where(comment.c.ticket.in_(there))).all()
        if found := guards.said_inside(filter(None, said), letter.text, letter.quote):
            yield Caution(guards.COMMENT, found)
    if not letter.attachments and (
        word := guards.speaks_of_a_file(letter.subject if not answered else "", letter.text)
    ):
        yield Caution(guards.NO_FILE, word)


def _by_number(letter: Letter, people: Sequence[Person]) -> Iterator[Caution]:
    if letter.kind == outbox.REPLY and len(people) > guards.CROWD:
        yield Caution(guards.MANY, str(len(people)))


def _by_address(session: Session, viewer: Viewer, letter: Letter, to: Sequence[str]) -> Iterator[Caution]:
    ours = {*session.scalars(select(process_address.c.address)), *(one.address for one in identities.every(session))}
    answered = messages.get(session, letter.answers, viewer) if letter.answers else None
    here: set[str] = set()
    if answered is not None:
        for mail in messages.of_conversation(session, answered.conversation, viewer, None, _MAILS):
            here |= {mail.from_address.lower()}
            here |= {address.lower() for some in mail.recipients.values() for _, address in some}
    strangers = [one for one in to if one not in here | ours]
    own = set(guards.domains(here | ours))
    if answered is not None:
        for one in strangers[:_ASKED]:
            if not set(guards.domains([one])) <= own and _elsewhere(session, viewer, one):
                yield Caution(guards.ELSEWHERE, one)
    if strangers:
        known = own | set(_known_domains(session, viewer))
        for domain in [one for one in dict.fromkeys(guards.domains(strangers)) if one not in known][:_ASKED]:
            if other := guards.alike(domain, known):
                yield Caution(guards.ALIKE, f"{domain} {other}")
    for one in bounced.among(session, to, viewer):
        yield Caution(guards.BOUNCED, one)


def _elsewhere(session: Session, viewer: Viewer, address: str) -> bool:
    """Whether this address has written to those whose mail the viewer sees."""
    return bool(list(hits.find(session, query.parse(f'from:"{address}"'), viewer, limit=1)))


def _known_domains(session: Session, viewer: Viewer) -> Iterable[str]:
    """Of those who wrote to us and got mail of ours lately, so far as the viewer sees it."""
    newest = select(message.c.id).order_by(message.c.id.desc()).limit(_LATELY).subquery()
    some = select(func.lower(message.c.from_address)).join(newest, newest.c.id == message.c.id)
    some = some.where(visible(message.c.id, viewer))
    to = select(outgoing_recipient.c.address).join(outgoing, outgoing.c.id == outgoing_recipient.c.outgoing)
    to = to.where(outgoing_recipient.c.state == outbox.SENT, outbox.visible_outgoing(viewer))
    sent = to.order_by(outgoing_recipient.c.outgoing.desc()).limit(_LATELY)
    return {*guards.domains(session.scalars(some)), *guards.domains(session.scalars(sent))}


def unseen(some: Iterable[Caution], seen: Collection[str]) -> list[Caution]:
    """Those that were not shown before."""
    return [one for one in some if one.key not in seen]
