"""Mails that rules want answered by themselves: each is composed and queued, or refused with its reason (RFC 3834).

Nothing the sender wrote stands in such an answer: neither their text nor their subject nor their name, but for the
Message-IDs by which programs tie it to what it answers.
"""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import select

from . import installation, sending
from .intake import Intake
from .mail import tongues
from .outgoing import auto_replies, composing, humans, identities, outbox, placeholders, templates
from .outgoing.auto_replies import Due
from .outgoing.composing import Person, Unwritable, Written
from .outgoing.identities import Identity
from .people import processes
from .people.scopes import MACHINE, process_scope
from .post import messages
from .post.messages import Message
from .store.archive import Archive, Session
from .store.dialects import Overtaken
from .store.schema import ticket


def round_(
    archive: Archive,
    clock: Callable[[], int],
    check: Callable[[Session], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Deal with all that waits; how many were queued. The caller sees to it that nobody else does so meanwhile.

    `check` is called in each transaction before it writes, and raises where somebody else does by now. When it is
    `stopping` the rest is left for later.
    """
    done = 0
    while True:
        with archive.reading() as session:
            some = auto_replies.due(session)
        if not some:
            return done
        for one in some:
            if stopping():
                return done
            done += _deal(archive, one, clock(), check)


def _deal(archive: Archive, one: Due, now: int, check: Callable[[Session], None]) -> int:
    try:
        with archive.reading() as session:
            made = _composed(archive, session, one, now)
    except sending.UNREADABLE:
        made = auto_replies.UNREADABLE
    with archive.transaction() as session:
        check(session)
        if isinstance(made, str):
            auto_replies.end(session, one, auto_replies.REFUSED, now, reason=made)
            return 0
        if (reason := auto_replies.braked(session, one, now)) is not None:
            auto_replies.end(session, one, auto_replies.STOPPED, now, reason=reason)
            return 0
    mail, raw = made
    intake = Intake(archive)
    try:
        with intake.keeping([raw], now) as (kept,), archive.transaction() as session:
            check(session)
            queued = outbox.queue(session, mail, raw, kept, now)
            if not auto_replies.end(session, one, auto_replies.QUEUED, now, outgoing=queued):
                raise Overtaken("Another program answered this mail.")
    finally:
        intake.close()
    return 1


def _composed(archive: Archive, session: Session, one: Due, now: int) -> tuple[outbox.Mail, bytes] | str:
    """The answer, or why there is none."""
    if one.ambiguous:
        return auto_replies.AMBIGUOUS
    answered, template = messages.get(session, one.message, MACHINE), templates.get(session, one.template)
    # An old mail may come late: put into the folder by somebody, or after an outage.
    ages = [one.at, *((answered.arrived_at, answered.date or one.at) if answered else ())]
    if now - min(ages) > auto_replies.LATEST:
        return auto_replies.LATE
    if template is None or template.removed or not template.goes_by_itself or answered is None:
        return auto_replies.TEMPLATE
    chosen = _identity(session, one, answered)
    if chosen is None:
        return auto_replies.NO_ADDRESS
    if auto_replies.today(session, one, now):
        return auto_replies.TODAY
    of = next((each for each in processes.every(session) if process_scope(each.id) == one.scope), None)
    here = (ticket.c.scope == one.scope) & (ticket.c.conversation == one.conversation)
    number = session.scalar(select(ticket.c.id).where(here)) or 0
    wanted = [tongues.guess(f"{answered.subject} {answered.snippet}", list(template.texts)), *chosen.languages]
    text = template.texts[template.language([*wanted, installation.get(session, installation.LANGUAGE)])]
    values = dict.fromkeys(placeholders.NAMES, "")
    values |= {"ticket": str(number), "process": of.name if of else "", "address": chosen.address}
    subject = text.subject if "ticket" in placeholders.named(text.subject) else f"{text.subject} [{{{{ticket}}}}]"
    message_id = composing.message_id(chosen.address, sending.secret(archive), now)
    try:
        to = Person("", composing.checked(answered.from_address))
        written = Written(
            sender=Person(chosen.name, chosen.address),
            to=[to],
            cc=[],
            subject=placeholders.fill(subject, values),
            text=placeholders.fill(text.text, values),
            message_id=message_id,
            date=now,
            signature=chosen.signature,
            markdown=False,
            in_reply_to=sending.bracketed(answered.message_id),
            references=sending.references(archive, session, answered),
            headers=[
                ("Auto-Submitted", "auto-replied"),
                ("X-Auto-Response-Suppress", "All"),
                (humans.MARKER, humans.mark(message_id, sending.secret(archive))),
            ],
        )
        raw = composing.compose(written)
    except Unwritable:
        return humans.NOBODY
    mail = outbox.Mail(
        identity=chosen,
        author=f"rule:{one.rule}",
        scope=one.scope,
        kind=outbox.AUTO,
        message_id=message_id,
        subject=written.subject,
        recipients=[(outbox.TO, to)],
        written={"to": to.address, "subject": written.subject, "text": written.text, "markdown": False},
        not_before=now,
        answers=answered.id,
        conversation=answered.conversation,
    )
    return mail, raw


def _identity(session: Session, one: Due, answered: Message) -> Identity | None:
    """The process's own address: what the mail was written to, else any."""
    own = [each for each in identities.every(session) if each.scope == one.scope]
    to = [address for kind in ("to", "cc") for _, address in answered.recipients.get(kind, ())]
    return identities.choose([replace(each, user=None) for each in own], to, one.scope)
