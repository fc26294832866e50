"""Processes and mailboxes as they are set up: who belongs, which addresses, what is watched. Only to be read."""

from dataclasses import dataclass

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from archive.people import processes
from archive.people.processes import Process
from archive.post import bindings
from archive.post.bindings import Binding

from .rail import may_look_after
from .visit import office, visitor

blueprint = Blueprint("processes", __name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """A process, who belongs to it, and what is watched for it."""

    process: Process
    members: tuple[str, ...]
    bindings: tuple[Binding, ...]
    mine: bool  # the visitor belongs to it, and may read its mail


@blueprint.get("/processes")
def show() -> ResponseReturnValue:
    """The processes one belongs to, and one's own mailboxes; for admins all, for none of them a mail more."""
    who = visitor()
    with office().archive.reading() as session:
        every = processes.every(session) if who.user.admin else list(who.processes)
        members = processes.members(session, [one.id for one in every])
        watched = [one for one in bindings.every(session) if may_look_after(who, one)]
        boxes = [one for one in bindings.mailboxes(session) if who.user.admin or one.owner == who.user.id]
    mine = {one.id for one in who.processes}
    shown = [
        Shown(
            one,
            members.get(one.id, ()),
            tuple(binding for binding in watched if binding.process == one.id),
            one.id in mine,
        )
        for one in every
    ]
    own = [one for one in watched if one.user == who.user.id]
    bound = {one.mailbox.id for one in watched}
    unbound = [one for one in boxes if one.id not in bound]
    return render_template("processes/show.html", shown=shown, own=own, unbound=unbound)
