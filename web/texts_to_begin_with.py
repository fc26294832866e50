"""Templates as the form for writing offers them: in the recipient's language first, filled with what is known."""

from collections.abc import Callable

from archive import installation
from archive.mail import tongues
from archive.outgoing import placeholders, templates
from archive.outgoing.identities import Identity
from archive.outgoing.templates import Template
from archive.people import processes, scopes
from archive.people.roles import Role
from archive.post import messages
from archive.post.messages import Message
from archive.store.archive import Session

from .language import in_order
from .visit import Visitor

Offered = list[tuple[str, list[tuple[str, str]]]]  # by process: what the form sends, and what people see

_LOOKED_AT = 10  # mails of a conversation


def offered(
    session: Session,
    who: Visitor,
    scope: str | None,
    answered: Message | None,
    text_of: Callable[[Session, Message], str],
    chosen: Identity | None,
) -> Offered:
    """What one may begin with, those of `scope` first."""
    some = _mine(session, who)
    if not some:
        return []
    wanted = _languages(session, who, answered, text_of, chosen)
    groups: Offered = []
    for process in in_order([one for one in who.processes if one.id in {each.process for each in some}], "name"):
        lines = []
        for one in some:
            if one.process == process.id:
                first = one.language(wanted)
                codes = [first, *(code for code in one.texts if code != first)]
                lines += [(f"{one.id} {code}", f"{one.name} · {tongues.KNOWN[code]}") for code in codes]
        place = 0 if scopes.process_scope(process.id) == scope else len(groups)
        groups.insert(place, (process.name, lines))
    return groups


def _mine(session: Session, who: Visitor) -> list[Template]:
    theirs = [one.id for one in who.processes if who.viewer.may(Role.SENDS, scopes.process_scope(one.id))]
    return templates.every(session, theirs) if theirs else []


def _languages(
    session: Session,
    who: Visitor,
    answered: Message | None,
    text_of: Callable[[Session, Message], str],
    chosen: Identity | None,
) -> list[str | None]:
    """In which languages they may want to be written to, the likeliest first."""
    found: list[str | None] = []
    if answered is not None:
        found.append(tongues.guess(text_of(session, answered)))
        some = messages.of_conversation(session, answered.conversation, who.viewer, None, _LOOKED_AT)
        found.append(tongues.guess(" ".join(f"{one.subject} {one.snippet}" for one in some)))
    found += chosen.languages if chosen else ()
    found.append(installation.get(session, installation.LANGUAGE))
    return found


def filled(
    session: Session, who: Visitor, wanted: str, answered: Message | None, ticket: int | None, address: str
) -> str | None:
    """The text of a template that was chosen, as the form sends it; None where there is no such."""
    id_, _, code = wanted.partition(" ")
    one = next((one for one in _mine(session, who) if str(one.id) == id_), None)
    if one is None or code not in one.texts:
        return None
    of = next(each for each in processes.every(session) if each.id == one.process)
    name = answered.from_name or answered.from_address.partition("@")[0] if answered else ""
    values = {
        "ticket": str(ticket or ""),
        "sender_name": name,
        "process": of.name,
        "author": who.user.name,
        "address": address,
    }
    return placeholders.fill(one.texts[code].text, values)
