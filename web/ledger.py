"""What became of every mail ever seen in a watched folder, as of the last look at it, and compared with its server.

These pages talk to no mail server: they ask the gateway for a comparison, and show how far it is and what it found.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.post import bindings, comparisons, ledger, messages, receipts, troubles
from archive.post.bindings import Binding
from archive.post.comparisons import Comparison, Mail
from archive.post.ledger import Tally, Untaken
from archive.post.messages import Message
from archive.store.archive import Session

from . import audit, health
from .bindings import may_steer
from .language import gettext, ngettext
from .rail import may_look_after
from .visit import Visitor, office, visitor

blueprint = Blueprint("ledger", __name__)

SHOWN = 100  # mails that are not taken, each with its reason


@dataclass(frozen=True, slots=True)
class Generation:
    """The outcomes under one UIDVALIDITY, the commonest first."""

    uidvalidity: int
    present: bool
    outcomes: tuple[tuple[str, int], ...]
    unmoved: int


@dataclass(frozen=True, slots=True)
class Differing:
    """A mail in which ledger and folder differ, as the page names it."""

    mail: Mail
    message: Message | None  # what is archived of it, where the visitor may see that
    reason: str  # why it had not been taken


@dataclass(frozen=True, slots=True)
class Difference:
    """Mails that differ in the same way: what is so, and what to do."""

    says: str
    remedy: str
    some: tuple[Differing, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Compared:
    """How a comparison stands, for the page."""

    one: Comparison | None
    under_way: bool
    unanswered: bool
    trouble: tuple[str, str] | None
    differences: tuple[Difference, ...]
    made_anew: bool  # the folder, since it was last looked at
    may_ask: bool


@blueprint.get("/health/<number:id_>/ledger")
def show(id_: int) -> ResponseReturnValue:
    """The ledger of one binding, for whoever looks after it."""
    who = visitor()
    with office().archive.reading() as session:
        one = _found(session, who, id_)
        tallies = ledger.tallies(session, one.id)
        untaken = {} if _private(who, one) else _untaken(session, one)
        compared = _compared(session, who, one)
    return render_template(
        "health/ledger.html",
        binding=one,
        seen=sum(tally.counts.total() for tally in tallies),
        generations=[_generation(tally, one.uidvalidity) for tally in tallies],
        untaken=[(uid, reason(one)) for uid, one in sorted(untaken.items())[:SHOWN]],
        more=max(len(untaken) - SHOWN, 0),
        compared=compared,
    )


@blueprint.get("/health/<number:id_>/ledger/comparison")
def comparison(id_: int) -> ResponseReturnValue:
    """How far a comparison is, or what it found: a part of the page. 204 while it is as far as the page knows."""
    who = visitor()
    with office().archive.reading() as session:
        one = _found(session, who, id_)
        compared = _compared(session, who, one)
    if compared is None:
        abort(404)
    if compared.under_way and compared.one is not None and compared.one.state == request.args.get("state"):
        return Response(status=204)
    audit.part()
    return render_template("health/comparison.html", binding=one, compared=compared)


@blueprint.post("/health/<number:id_>/ledger/compare")
def compare(id_: int) -> ResponseReturnValue:
    """Have the ledger compared with what the server has now."""
    who = visitor()
    with office().archive.transaction() as session:
        one = _found(session, who, id_)
        if not _may_ask(who, one):
            abort(404)
        comparisons.ask(session, one.id, office().now())
    return redirect(url_for("ledger.show", id_=id_, _anchor="compared"), 303)


def _found(session: Session, who: Visitor, id_: int) -> Binding:
    try:
        one = bindings.get(session, id_)
    except LookupError:
        abort(404)
    if not may_look_after(who, one):
        abort(404)
    return one


def _private(who: Visitor, one: Binding) -> bool:
    """Whether it is another's own, of which others learn numbers alone."""
    return one.user is not None and one.user != who.user.id


def _untaken(session: Session, one: Binding) -> Mapping[int, Untaken]:
    return {} if one.uidvalidity is None else ledger.untaken(session, one.id, one.uidvalidity)


def _may_ask(who: Visitor, one: Binding) -> bool:
    """Who may have the server asked; nobody where the folder is paused, for no connection is made then."""
    return may_steer(who, one) and one.ended_at is None and one.paused_at is None


# --- compared with the server ----------------------------------------------------------------------------------------


def _compared(session: Session, who: Visitor, of: Binding) -> Compared | None:
    """How the comparison of a folder stands; None where it is no business of the visitor, or nobody looks there."""
    if _private(who, of) or of.mailbox.owner not in (None, who.user.id) or of.ended_at is not None:
        return None
    one, now = comparisons.get(session, of.id), office().now()
    trouble = None
    if one is not None and one.state == comparisons.FAILED:
        trouble = health.said(troubles.KINDS.get(one.trouble_kind or ""), one.trouble_values)
        if trouble and one.trouble_kind == "password" and of.mailbox.owner is not None:
            trouble = trouble[0], health.enter_it()
    differences: tuple[Difference, ...] = ()
    if one is not None and one.found is not None:
        differences = tuple(_differences(session, who, of, one.found))
    return Compared(
        one,
        one is not None and one.under_way(now),
        one is not None and one.unanswered(now),
        trouble,
        differences,
        bool(one and one.found and of.uidvalidity not in (None, one.found.uidvalidity)),
        _may_ask(who, of),
    )


def _differences(session: Session, who: Visitor, of: Binding, found: comparisons.Found) -> Iterator[Difference]:
    shown = {mail.uid for one in found.differences.values() for mail in one.some}
    ids = receipts.messages(session, of.id, found.uidvalidity, shown)
    seen = messages.of_ids(session, ids.values(), who.viewer)
    untaken = ledger.untaken(session, of.id, found.uidvalidity) if "missing" in found.differences else {}
    for kind, one in found.differences.items():
        says = _says(kind, one.number)
        if says is None:  # of another version
            continue
        some = tuple(
            Differing(mail, seen.get(ids.get(mail.uid, 0)), reason(untaken[mail.uid]) if mail.uid in untaken else "")
            for mail in one.some
        )
        yield Difference(*says, some, one.number - len(some))


def _says(kind: str, number: int) -> tuple[str, str] | None:
    """What is so with mails that differ like this, and what to do."""
    if kind == "unseen":
        return (
            ngettext(
                "%(num)d mail is on the server and not in the archive yet.",
                "%(num)d mails are on the server and not in the archive yet.",
                number,
            ),
            gettext("The next look takes what is new. If it stays there, see what is wrong with this folder."),
        )
    if kind == "missing":
        return (
            ngettext(
                "%(num)d mail was not taken, and is not on the server any more.",
                "%(num)d mails were not taken, and are not on the server any more.",
                number,
            ),
            gettext(
                "What was not taken is not in the archive. Ask whoever uses this mailbox in a mail program where it is."
            ),
        )
    if kind == "open":
        return (
            ngettext(
                "%(num)d mail is in the archive, and its original is not in the folder any more.",
                "%(num)d mails are in the archive, and their originals are not in the folder any more.",
                number,
            ),
            gettext("Nothing is lost. The next look finds out what became of the originals."),
        )
    if kind == "to_move":
        return (
            ngettext(
                "%(num)d mail is in the archive, and its original is still to be moved.",
                "%(num)d mails are in the archive, and their originals are still to be moved.",
                number,
            ),
            gettext("The next look moves what is archived."),
        )
    if kind == "back":
        return (
            ngettext(
                "%(num)d mail is in the archive and was moved, and is in the folder again.",
                "%(num)d mails are in the archive and were moved, and are in the folder again.",
                number,
            ),
            gettext(
                "That happens when a backup of the server was put back. What is moved out of the folder and in again "
                "is taken."
            ),
        )
    return None


def reason(one: Untaken) -> str:
    """Why a mail is not taken, in the visitor's language; another version's reason stays in English."""
    return gettext(one.reason) if one.reason in ledger.REASONS else one.reason


def _generation(tally: Tally, present: int | None) -> Generation:
    outcomes = tuple((_said(outcome), number) for outcome, number in tally.counts.most_common())
    return Generation(tally.uidvalidity, tally.uidvalidity == present, outcomes, tally.unmoved)


def _said(outcome: str) -> str:
    return {
        ledger.ARCHIVED: gettext("Archived"),
        ledger.COPY: gettext("Archived as a copy of a message that was there before"),
        ledger.TAKEN_AWAY: gettext("Archived; somebody else took the original away before it was moved"),
        ledger.QUARANTINED: gettext("In quarantine; the original stays in the folder"),
        ledger.LEFT: gettext("Left in the folder, for a reason"),
        ledger.WAITING: gettext("Waits in the folder for the next look"),
        ledger.GONE: gettext("Gone before it could be taken"),
    }.get(outcome, outcome)
