"""From what a person wrote to a mail in the outbox: rights, composing, bytes durable, then the row.

The pages and `postroom reply` go this one way.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from .intake import Intake
from .mail import addresses, tongues
from .mail import identity as mail_identity
from .mail.reader import content, read
from .outgoing import composing, identities, outbox, placeholders, reply_settings, templates
from .outgoing.composing import Attachment, Person, Unwritable, Written
from .outgoing.identities import Identity
from .people import processes, users
from .people.roles import Role
from .people.scopes import Viewer, process_scope
from .post import contents, messages
from .post.messages import Message
from .store.archive import Archive, Session
from .store.dialects import among, hold
from .store.keys import KeyTrouble
from .store.packs import Damaged
from .store.schema import blob, conversation, message, message_scope, ticket

MOST_BYTES = 50 << 20  # of a mail; servers take less
UNREADABLE = (Damaged, LookupError, OSError, KeyTrouble)  # what reading one mail may say; others may be had
_NAMED = re.compile(r'"(?:[^"\\]|\\.)*("?)')  # a name in quotes, in which anything may stand; or not closed


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


_TOO_LARGE = _say("A mail of more than %(most)s MB is not sent.")
_NOBODY = _say("Nobody is to get this mail; write an address under To.")
_LOOKED_AT = _say(
    "A second person looks at mail from %(address)s first, and does not see this conversation. Choose another address,"
    " or hand the conversation over to that process."
)
_UNCLEAR = _say("“%(what)s” cannot be understood as addresses.")

_HEADER = 1 << 20  # bytes of a mail's header that are looked at


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as somebody wrote it, addresses as they were typed."""

    identity: int
    kind: str  # outbox.NEW, REPLY, FORWARD
    to: str
    subject: str
    text: str
    cc: str = ""
    bcc: str = ""
    quote: str = ""
    markdown: bool = True
    attachments: Sequence[Attachment] = ()
    answers: int | None = None  # the message that is answered or forwarded
    scope: str | None = None  # on whose behalf that one is answered; None: the identity's own
    undo: int = outbox.UNDO  # ms in which it can be taken back
    not_before: int | None = None  # UTC ms
    unless_answered: bool = False
    once: str = ""  # the same for what is sent twice by mistake; empty: every letter is one of its own

    def as_typed(self) -> dict[str, Any]:
        """What is needed to go on with it; files stand in the mail itself."""
        typed = {name: getattr(self, name) for name in ("to", "cc", "bcc", "subject", "text", "quote", "markdown")}
        return {**typed, "attachments": [one.name for one in self.attachments]}


def secret(archive: Archive) -> bytes:
    """The key of this installation's Message-IDs."""
    return composing.secret(archive)


def send(
    archive: Archive,
    by: Callable[[Session], Viewer],
    letter: Letter,
    now: int,
    check: Callable[[Session], None] = lambda _: None,
) -> int:
    """Queue a letter; its number in the outbox. `by` says on whose behalf, as things stand in a transaction.

    `check` is called in the transaction that queues it, and raises where it is not to be sent after all. A letter that
    says `once` what is queued already is not queued again: the number is that one's.

    Unwritable, a sentence, where it cannot be sent as it is; LookupError where the identity, the message or the right
    to either is not there.
    """
    with archive.reading() as session:
        answered = _allowed(session, by(session), letter)[1]
    recipients = parsed(letter)
    with archive.reading() as session:
        mail, raw = _composed(session, archive, by(session), letter, answered, recipients, now)
    intake = Intake(archive)
    try:
        with intake.keeping([raw], now) as (kept,), archive.transaction() as session:
            _wait_for_others(session, letter)
            _allowed(session, by(session), letter)  # as things are now
            if letter.once and (before := outbox.by_message_id(session, mail.message_id)) is not None:
                return before[0]
            check(session)
            return outbox.queue(session, mail, raw, kept, now)
    except IntegrityError:  # the same at the same moment: it waited for the other
        with archive.reading() as session:
            before = outbox.by_message_id(session, mail.message_id) if letter.once else None
        if before is None:
            raise
        return before[0]
    finally:
        intake.close()


def room() -> int:
    """Bytes of files that fit into a mail, in base64."""
    return MOST_BYTES * 3 // 4


def too_large() -> Unwritable:
    """What is said of a mail that has more than MOST_BYTES."""
    return Unwritable(_TOO_LARGE, most=MOST_BYTES >> 20)


def _wait_for_others(session: Session, letter: Letter) -> None:
    """Whoever answers in the same conversation at this moment comes before this, and is seen, or waits for its end."""
    if letter.kind != outbox.REPLY or letter.answers is None:
        return
    here = select(message.c.conversation).where(message.c.id == letter.answers)
    held, found = None, session.scalar(here)
    while found is not None and found != held:  # it may become part of another one while we wait
        held = found
        hold(session, conversation, [held])
        found = session.scalar(here)


def queued_before(archive: Archive, session: Session, viewer: Viewer, letter_from: int, once: str) -> int | None:
    """The number of the mail that was queued for this `once`; None where there is none, or nobody gets that one."""
    chosen = next((one for one in identities.usable(session, viewer) if one.id == letter_from), None)
    return _once(session, archive, chosen, once)[1] if chosen and once else None


def _once(session: Session, archive: Archive, chosen: Identity, once: str) -> tuple[str, int | None]:
    """The Message-ID for it, and what is queued under that; another one where that was taken back or has failed."""
    for at in itertools.count():
        message_id = composing.message_id(chosen.address, secret(archive), 0, f"{once} {at}")
        before = outbox.by_message_id(session, message_id)
        if before is None or before[1] not in (outbox.CANCELLED, outbox.FAILED):
            return message_id, before[0] if before else None
    raise AssertionError


def preview(archive: Archive, by: Callable[[Session], Viewer], letter: Letter, now: int) -> bytes:
    """The mail as `send` would queue it, and nothing is written. Fails as that does."""
    with archive.reading() as session:
        viewer = by(session)
        answered = _allowed(session, viewer, letter)[1]
        return _composed(session, archive, viewer, letter, answered, parsed(letter), now)[1]


def _allowed(session: Session, viewer: Viewer, letter: Letter) -> tuple[Identity, Message | None]:
    """From this address, and into this conversation; LookupError where that may not be."""
    chosen = next((one for one in identities.usable(session, viewer) if one.id == letter.identity), None)
    if chosen is None:
        raise LookupError(f"identity {letter.identity}")
    if letter.answers is None:
        if letter.scope not in (None, chosen.scope):  # a new mail stands where its address belongs
            raise LookupError(f"a new mail in {letter.scope}")
        return chosen, None
    answered = messages.get(session, letter.answers, viewer)
    if answered is None:
        raise LookupError(f"message {letter.answers}")
    scope = letter.scope
    if scope is None and letter.kind == outbox.REPLY and viewer.user is not None:
        scope = chosen.scope
    if scope is not None:
        here = (message_scope.c.message == answered.id) & (message_scope.c.scope == scope)
        shut = (ticket.c.scope == scope) & (ticket.c.conversation == answered.conversation)
        shut &= ticket.c.restriction.in_(viewer.restrictions)
        there = select(message_scope.c.scope).where(here).union(select(ticket.c.scope).where(shut))
        if not viewer.may(Role.WORKS, scope) or session.scalar(there) is None:
            raise LookupError(f"message {letter.answers} in {scope}")
    return chosen, answered


def parsed(letter: Letter) -> list[tuple[str, Person]]:
    """Everybody who gets it, each once. Unwritable where there is nobody, or where one is no address."""
    found: dict[str, tuple[str, Person]] = {}
    for kind, typed in ((outbox.TO, letter.to), (outbox.CC, letter.cc), (outbox.BCC, letter.bcc)):
        line = composing.clean(typed.replace("\n", ",").replace("\r", ","))
        # The reader is forgiving towards mail that came; what is typed here should be what is meant.
        bare = _NAMED.sub(lambda named: "" if named[1] else '"', line)
        if any(char in bare for char in ':\\[]()"'):
            raise Unwritable(_UNCLEAR, what=line[:100])
        for one in addresses.people(line):
            person = Person(composing.clean(one.name)[:200], composing.checked(one.address or one.name))
            found.setdefault(person.address.lower(), (kind, person))
    if not found:
        raise Unwritable(_NOBODY)
    composing.check_number(len(found))
    return list(found.values())


def _composed(
    session: Session,
    archive: Archive,
    viewer: Viewer,
    letter: Letter,
    answered: Message | None,
    recipients: Sequence[tuple[str, Person]],
    now: int,
) -> tuple[outbox.Mail, bytes]:
    chosen, _ = _allowed(session, viewer, letter)
    replies = letter.kind == outbox.REPLY and answered is not None
    message_id = composing.message_id(chosen.address, secret(archive), now)
    if letter.once:
        message_id, _ = _once(session, archive, chosen, letter.once)
    said: Mapping[str, str] = {}
    if replies and answered:
        said = reply_settings.of_conversation(session, answered.conversation, letter.scope or chosen.scope)
    written = Written(
        sender=Person(chosen.name, chosen.address),
        to=[one for kind, one in recipients if kind == outbox.TO],
        cc=[one for kind, one in recipients if kind == outbox.CC],
        subject=letter.subject,
        text=letter.text,
        message_id=message_id,
        date=now,
        quote=letter.quote,
        signature=_signature(session, chosen, viewer, answered, said),
        markdown=letter.markdown,
        attachments=letter.attachments,
        reply_to=composing.with_tag(chosen.address, message_id, secret(archive)) if chosen.tags else "",
        in_reply_to=bracketed(answered.message_id) if replies and answered else "",
        references=references(archive, session, answered) if replies and answered else (),
        headers=_headers(said),
    )
    here, looked_at = letter.scope or chosen.scope, _wants_second_look(session, chosen.scope)
    if viewer.user is not None and looked_at and here != chosen.scope:
        # Those who would look at it do not see where it is written.
        raise Unwritable(_LOOKED_AT, address=chosen.address)
    mail = outbox.Mail(
        identity=chosen,
        author=viewer.actor,
        scope=here,
        kind=letter.kind,
        message_id=message_id,
        subject=composing.clean(letter.subject),
        recipients=recipients,
        written=letter.as_typed(),
        not_before=max(letter.not_before or 0, now + min(max(letter.undo, 0), outbox.LONGEST_UNDO)),
        answers=answered.id if answered else None,
        conversation=answered.conversation if answered else None,
        unless_answered=letter.unless_answered,
        review=viewer.user is not None and _wants_second_look(session, here),
    )
    raw = composing.compose(written)
    if len(raw) > MOST_BYTES:
        raise too_large()
    return mail, raw


def _wants_second_look(session: Session, scope: str) -> bool:
    """Whether a second person is to look at mail of this process first."""
    return any(one.second_look and process_scope(one.id) == scope for one in processes.every(session))


def _headers(said: Mapping[str, str]) -> list[tuple[str, str]]:
    """Those that rules set."""
    found = [reply_settings.header(value) for name, value in said.items() if name.startswith(reply_settings.HEADER)]
    return [one for one in found if one is not None]


def _signature(
    session: Session, chosen: Identity, viewer: Viewer, answered: Message | None, said: Mapping[str, str]
) -> str:
    """As a rule says, with a template's text in the language of the mail; else as this person signs."""
    by_rule = templates.get(session, int(said[reply_settings.SIGNATURE])) if reply_settings.SIGNATURE in said else None
    if by_rule is None or by_rule.removed or answered is None:
        return identities.signature(session, chosen, viewer.user)
    wanted = [tongues.guess(f"{answered.subject} {answered.snippet}"), *chosen.languages]
    author = users.get(session, viewer.user) if viewer.user is not None else None
    named = next((one.name for one in processes.every(session) if process_scope(one.id) == chosen.scope), "")
    values = {**dict.fromkeys(placeholders.NAMES, ""), "process": named, "address": chosen.address}
    values["author"] = author.name if author else ""
    return placeholders.fill(by_rule.texts[by_rule.language(wanted)].text, values)


def bracketed(message_id: str) -> str:
    """A Message-ID as headers have it."""
    return f"<{message_id.strip('<>')}>" if message_id else ""


def references(archive: Archive, session: Session, answered: Message) -> list[str]:
    """Those of the mail that is answered, and that mail itself comes last (RFC 5322 3.6.4)."""
    written = b"".join(messages.content(archive, session, answered.id))
    head = written[: min(mail_identity.header_end(written), _HEADER)]
    return [bracketed(one) for one in read(head).references]


def whole(archive: Archive, session: Session, one: outbox.Outgoing) -> bytes:
    """The bytes of a mail in the outbox."""
    return raw(archive, session, one.blob)


def raw(archive: Archive, session: Session, id_: int) -> bytes:
    """The bytes of a mail that is kept in one piece."""
    return next(raws(archive, session, [id_]))()


def raws(archive: Archive, session: Session, ids: Sequence[int]) -> Iterator[Callable[[], bytes]]:
    """What reads each of these mails, in this order; the questions of the database are asked at once.

    Reading says one of UNREADABLE where that one is not to be had.
    """
    places = {
        row.id: contents.place(row) for row in session.execute(select(blob).where(among(blob.c.id, ids, session)))
    }
    wrapped = archive.keys.wrapped(places)

    def read_one(id_: int) -> bytes:
        keys = {id_: archive.keys.unwrap(id_, wrapped[id_])} if id_ in wrapped else {}
        return b"".join(contents.read_blob(archive, keys, places[id_]))

    return (partial(read_one, one) for one in ids)


def enclosed(whole: bytes) -> list[Attachment]:
    """The files of a mail of ours."""
    mail = read(whole)
    found = [leaf for leaf in mail.leaves if leaf.attachment and not leaf.mail and leaf.container is None]
    return [Attachment(one.name or "attachment", one.content_type, content(whole, one)) for one in found]


# --- what stands in the form at first -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer or a mail passed on, as the form shows it first."""

    identity: int | None
    to: str
    cc: str
    subject: str
    quote: str


def begin(
    kind: str,
    everybody: bool,
    answered: Message,
    text: str,
    introduced_by: str,
    usable: Sequence[Identity],
    scope: str | None,
) -> Begun:
    """Pure: whom an answer goes to, from which address, under which subject, with what quoted.

    `introduced_by` is the line above what is quoted. Our own addresses get no answer, unless nobody else is there.
    """
    people = (*answered.recipients.get("to", ()), *answered.recipients.get("cc", ()))
    written_to = [composing.without_tag(address) for _, address in people]
    chosen = identities.choose(usable, [*written_to, answered.from_address], scope)
    quote = f"{introduced_by}\n{composing.quoted(text)}" if text.strip() else ""
    if kind == outbox.FORWARD:
        subject = composing.forward_subject(answered.subject)
        return Begun(chosen.id if chosen else None, "", "", subject, quote)
    ours = {one.address for one in usable}
    sender = [(answered.from_name, answered.from_address)]
    to: list[tuple[str, str]] = list(answered.recipients.get("reply_to", ())) or sender
    if answered.from_address.lower() in ours:  # we go on where we wrote ourselves
        to = list(answered.recipients.get("to", ()))
    cc: list[tuple[str, str]] = []
    if everybody:
        cc = [*answered.recipients.get("to", ()), *answered.recipients.get("cc", ())]
    seen: set[str] = set()
    return Begun(
        chosen.id if chosen else None,
        _listed(to, seen),
        _listed([one for one in cc if composing.without_tag(one[1]) not in ours], seen),
        composing.reply_subject(answered.subject),
        quote,
    )


def _listed(people: Sequence[tuple[str, str]], seen: set[str]) -> str:
    """As somebody would type them; nobody twice."""
    shown = []
    for name, address in people:
        if address and address.lower() not in seen:
            seen.add(address.lower())
            bare = composing.clean(name).replace('"', "").replace("\\", "")
            plain = bare.isascii() and bare.replace(" ", "").isalnum()
            shown.append(f"{bare if plain else chr(34) + bare + chr(34)} <{address}>" if bare else address)
    return ", ".join(shown)
