"""Brakes on mail that goes out by itself: what was too much, and letting it go on. For managers and admins."""

from dataclasses import dataclass

from flask import Blueprint, Flask, abort, flash, redirect, url_for
from flask.typing import ResponseReturnValue

from archive.outgoing import auto_replies
from archive.outgoing.auto_replies import Brake, Sent
from archive.people.roles import Role

from .language import gettext, ngettext
from .visit import Visitor, office, visitor

blueprint = Blueprint("brakes", __name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """A brake as a visitor sees it: each piece of evidence, and whether its mail may be seen."""

    brake: Brake
    says: str
    evidence: list[tuple[Sent, bool]]
    may_release: bool


def prepare(app: Flask) -> None:
    """Let templates show them."""
    app.context_processor(lambda: {"brakes_shown": _shown})


def _manages(who: Visitor, one: Brake) -> list[bool]:
    """For each mail that was sent, whether one sees what it answered and manages the process it was for."""
    return [each.visible and who.viewer.may(Role.MANAGES, each.scope) for each in one.evidence]


def _may(who: Visitor, one: Brake) -> bool:
    """Who lets mail go out again: admins; where it is not about all of it, whoever manages all that it was sent for."""
    managed = _manages(who, one)
    return who.user.admin or (one.kind != auto_replies.INSTALLATION and bool(managed) and all(managed))


def _shown() -> list[Shown]:
    who = visitor()
    with office().archive.reading() as session:
        some = [one for one in auto_replies.brakes(session, who.viewer) if who.user.admin or any(_manages(who, one))]
    return [Shown(one, _says(one), [(each, each.visible) for each in one.evidence], _may(who, one)) for one in some]


def _says(one: Brake) -> str:
    if one.kind == auto_replies.CORRESPONDENT:
        return ngettext(
            "Nothing more goes by itself to one correspondent, who got %(num)d mail in a week.",
            "Nothing more goes by itself to one correspondent, who got %(num)d mails in a week.",
            one.most,
        )
    if one.kind == auto_replies.CONVERSATION:
        return ngettext(
            "Nothing more goes by itself into one conversation, which got %(num)d mail in a week.",
            "Nothing more goes by itself into one conversation, which got %(num)d mails in a week.",
            one.most,
        )
    if one.kind == auto_replies.BINDING:
        return ngettext(
            "Nothing more goes by itself because of one folder, which caused %(num)d mail in a day.",
            "Nothing more goes by itself because of one folder, which caused %(num)d mails in a day.",
            one.most,
        )
    return ngettext(
        "Nothing goes by itself any more: there was %(num)d mail in a day.",
        "Nothing goes by itself any more: there were %(num)d mails in a day.",
        one.most,
    )


@blueprint.post("/brakes/<number:id_>/release")
def release(id_: int) -> ResponseReturnValue:
    """Let mail go out by itself again."""
    who = visitor()
    with office().archive.transaction() as session:
        one = next((each for each in auto_replies.brakes(session, who.viewer) if each.id == id_), None)
        if one is None or not _may(who, one):
            abort(404)
        auto_replies.release(session, id_, who.viewer.actor, office().now())
    flash(gettext("Mail goes out by itself again. What was held back stays unanswered."))
    return redirect(url_for("health.show"), 303)
