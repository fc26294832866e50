"""Processes and mailboxes as they are set up: who belongs, which addresses, what is watched. Only to be read."""

from dataclasses import dataclass

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from archive.outgoing import identities
from archive.people import members, processes
from archive.people.members import Assumed
from archive.people.processes import Process
from archive.post import bindings
from archive.post.bindings import Binding

from . import addresses
from .members import may_manage
from .rail import may_look_after
from .visit import office, visitor

blueprint = Blueprint("processes", __name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """A process, who belongs to it, and what is watched for it."""

    process: Process
    members: tuple[str, ...]
    bindings: tuple[Binding, ...]
    mine: bool  # the visitor may read its mail
    managed: bool  # and may say who belongs to it
    hands_in: bool  # may hand mail to it, and reads none
    assumed: tuple[Assumed, ...]  # roles that people gave to themselves lately; for those who belong to it


@blueprint.get("/processes")
def show() -> ResponseReturnValue:
    """The processes one belongs to, and one's own mailboxes; for admins all, for none of them a mail more."""
    who = visitor()
    with office().archive.reading() as session:
        every = processes.every(session) if who.user.admin else [*who.processes, *who.hands_in]
        reading = processes.members(session, [one.id for one in every])
        told = members.assumed(session, [one.id for one in every], office().now())
        watched = [one for one in bindings.every(session) if may_look_after(who, one)]
        boxes = [one for one in bindings.mailboxes(session) if who.user.admin or one.owner == who.user.id]
        sends = any(addresses.shown_to(who, one) for one in identities.every(session))
    mine = {one.id for one in who.processes}
    shown = [
        Shown(
            one,
            reading.get(one.id, ()),
            tuple(binding for binding in watched if binding.process == one.id),
            one.id in mine,
            may_manage(who, one),
            one in who.hands_in,
            tuple(told.get(one.id, ())) if one.id in mine or may_manage(who, one) else (),
        )
        for one in every
    ]
    own = [one for one in watched if one.user == who.user.id]
    bound = {one.mailbox.id for one in watched}
    unbound = [one for one in boxes if one.id not in bound]
    return render_template("processes/show.html", shown=shown, own=own, unbound=unbound, sends=sends)
