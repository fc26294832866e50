"""Many mails in the outbox at once, as `archive.sending` would have queued them one by one."""

import itertools
from collections.abc import Iterable, Sequence

from archive.front import now
from archive.intake import Intake
from archive.outgoing import composing, outbox
from archive.outgoing.composing import Person, Written
from archive.outgoing.identities import Identity
from archive.sending import secret
from archive.store.archive import Archive

_TOGETHER = 250  # in one transaction


def queue(archive: Archive, identity: Identity, mails: Iterable[tuple[Sequence[str], str, str]]) -> list[int]:
    """Recipients, subject and text of each; returns their numbers."""
    me, key, made = Person(identity.name, identity.address), secret(archive), list[int]()
    intake, coming = Intake(archive), iter(mails)
    while some := list(itertools.islice(coming, _TOGETHER)):
        written, raws = [], []
        for addresses, subject, text in some:
            people = [Person("", one) for one in addresses]
            message_id = composing.message_id(identity.address, key, now())
            raws.append(composing.compose(Written(me, people, [], subject, text, message_id, now())))
            to = [(outbox.TO, one) for one in people]
            written.append(
                outbox.Mail(identity, "operator", identity.scope, outbox.NEW, message_id, subject, to, {}, 0)
            )
        with intake.keeping(raws, now()) as kept, archive.transaction() as session:
            made += [
                outbox.queue(session, mail, raw, sealed, now())
                for mail, raw, sealed in zip(written, raws, kept, strict=True)
            ]
    intake.close()
    return made
