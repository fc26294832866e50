"""Whether a mail belongs to the conversation it names, as somebody says it."""

import json
from typing import Any

from flask import Blueprint, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from archive.work import strays

from .conversations import place
from .language import gettext
from .visit import office, visitor

blueprint = Blueprint("joining", __name__)


@blueprint.post("/strays/<number:id_>")
def decide(id_: int) -> ResponseReturnValue:
    """Put a mail where it says it belongs (`do` join), say that it does not (dismiss), or take that back (ask)."""
    who, do, now = visitor(), request.values.get("do", ""), office().now()
    try:
        with office().archive.transaction() as session:
            if do == "join":
                at = strays.join(session, who.viewer, id_, now)
                flash(gettext("One conversation."))
            elif do == "ask":
                strays.ask_again(session, who.viewer, id_, now)
                at = int(request.form.get("at", "0")[:18])
            elif do == "dismiss":
                one = strays.dismiss(session, who.viewer, id_, now)
                at = one.near if request.form.get("at") == str(one.near) else one.conversation
                undo = [("do", "ask"), ("at", str(at))]
                said = {"says": gettext("They stay apart."), "undo": undo, "at": url_for("joining.decide", id_=id_)}
                flash(json.dumps(said), "did")
            else:
                abort(404)
    except (LookupError, ValueError):
        abort(404)
    where = place(who, request.form.get("in", ""))
    more: dict[str, Any] = {"in": where.key if where else None}
    return redirect(url_for("conversations.show", id_=at, **more), 303)
