"""Drafts kept while somebody types: by the script every two seconds and on leaving, without it by a button."""

from flask import Blueprint, abort, flash, redirect, request
from flask.typing import ResponseReturnValue

from archive import draft_files
from archive.outgoing.composing import Attachment
from archive.work import drafts

from .language import gettext
from .sign_in import local
from .visit import office, visitor

blueprint = Blueprint("drafts", __name__)

_KINDS = {kind.replace(" ", "-"): kind for kind in drafts.KINDS}


def attached() -> list[Attachment]:
    """The files that came with a form."""
    return [
        Attachment(one.filename, one.mimetype or "application/octet-stream", one.read())
        for one in request.files.getlist("files")
        if one.filename
    ]


@blueprint.post("/tickets/<number:ticket>/drafts/<kind>")
def keep(ticket: int, kind: str) -> ResponseReturnValue:
    """Keep `text`; where there is none, or `discard` is asked for, what was kept is forgotten.

    The script asks for nothing to be shown (`quiet`); whoever pressed the button goes `back`.
    """
    if kind not in _KINDS:
        abort(404)
    who, form = visitor(), request.form
    text = "" if "discard" in form else form.get("text", "")
    discarded = kind == "reply" and ("discard" in form or not text.strip())
    files = attached() if kind == "reply" and "discard" not in form else []
    with office().archive.transaction() as session:
        if not drafts.put(session, who.viewer, ticket, _KINDS[kind], text, office().now()):
            abort(404)
    if files:
        draft_files.add(office().archive, who.user.id, ticket, files, office().now())
    elif discarded and "quiet" not in form:
        draft_files.remove(office().archive, who.user.id, ticket, office().now())
    if "quiet" in form:
        return "", 204
    flash(gettext("The draft is kept.") if text.strip() else gettext("The draft is discarded."))
    return redirect(local(form.get("back", "")), 303)
