"""A conversation for paper: every mail in full, quotes unfolded, with its header and a list of what is enclosed."""

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from archive.post import messages
from archive.work import merging

from . import letters
from .conversations import worked_on
from .visit import office, visitor

blueprint = Blueprint("printing", __name__)

MAILS = 200  # the newest, of a conversation that has more


@blueprint.get("/conversations/<number:id_>/print")
def show(id_: int) -> ResponseReturnValue:
    """The conversation as far as the visitor may see it, oldest mail first; HTML mail as text."""
    who, archive = visitor(), office().archive
    with archive.reading() as session:
        now, found = worked_on(session, who.viewer, id_)
        with_it = merging.conversations(session, [one.id for one in found])
        some = messages.of_conversation(session, now, who.viewer, None, MAILS + 1, with_it) if found else []
        if not some:
            abort(404)
        mails = letters.letters(archive, session, some[-MAILS:])
    subject = next((one.subject for one in found if one.subject), "")
    return render_template(
        "conversations/print.html", id_=now, subject=subject, letters=mails, more=len(some) > MAILS, now=office().now()
    )
