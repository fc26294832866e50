"""What became of every mail ever seen in a watched folder, as of the last look at it."""

from dataclasses import dataclass

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from archive.post import bindings, ledger
from archive.post.ledger import Tally, Untaken

from .language import gettext
from .rail import may_look_after
from .visit import office, visitor

blueprint = Blueprint("ledger", __name__)

SHOWN = 100  # mails that are not taken, each with its reason


@dataclass(frozen=True, slots=True)
class Generation:
    """The outcomes under one UIDVALIDITY, the commonest first."""

    uidvalidity: int
    present: bool
    outcomes: tuple[tuple[str, int], ...]
    unmoved: int


@blueprint.get("/health/<number:id_>/ledger")
def show(id_: int) -> ResponseReturnValue:
    """The ledger of one binding, for whoever looks after it."""
    who = visitor()
    with office().archive.reading() as session:
        one = next((each for each in bindings.every(session, ended=True) if each.id == id_), None)
        if one is None or not may_look_after(who, one):
            abort(404)
        tallies = ledger.tallies(session, one.id)
        private = one.user is not None and one.user != who.user.id
        untaken: dict[int, Untaken] = {}
        if one.uidvalidity is not None and not private:
            untaken = ledger.untaken(session, one.id, one.uidvalidity)
    return render_template(
        "health/ledger.html",
        binding=one,
        seen=sum(tally.counts.total() for tally in tallies),
        generations=[_generation(tally, one.uidvalidity) for tally in tallies],
        untaken=[(uid, reason(one)) for uid, one in sorted(untaken.items())[:SHOWN]],
        more=max(len(untaken) - SHOWN, 0),
    )


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
