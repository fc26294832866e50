"""One's own signatures: how one signs mail from each address one may send from."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.outgoing import identities

from .language import gettext
from .visit import office, visitor

blueprint = Blueprint("signatures", __name__)


@blueprint.get("/signatures")
def show() -> ResponseReturnValue:
    """Each address, and how mail from it is signed."""
    who = visitor()
    with office().archive.reading() as session:
        usable = identities.usable(session, who.viewer)
        own = identities.own_signatures(session, who.user.id)
    return render_template("signatures/show.html", usable=usable, own=own, longest=identities.LONGEST_SIGNATURE)


@blueprint.post("/signatures")
def keep() -> ResponseReturnValue:
    """Sign so from now on; what is left empty is signed as the address is."""
    who = visitor()
    with office().archive.transaction() as session:
        for one in identities.usable(session, who.viewer):
            if (text := request.form.get(f"signature-{one.id}")) is not None:
                text = text.replace("\r\n", "\n")
                identities.sign(session, one.id, who.user.id, text, who.viewer.actor, office().now())
    flash(gettext("Your signatures are kept."))
    return redirect(url_for("signatures.show"), 303)
