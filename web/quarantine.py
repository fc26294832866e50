"""A mail that could not be recorded: why, and the mail itself, for those whose process it came to."""

import re
import tempfile

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from archive.people.scopes import process_scope, user_scope
from archive.post import bindings, messages
from archive.post.messages import Quarantined
from archive.store.archive import Session
from archive.store.packs import Damaged

from .language import gettext
from .messages import SOURCE_SHOWN, readable, whole_mail
from .visit import office, visitor

blueprint = Blueprint("quarantine", __name__)

_DATABASE = ("IntegrityError", "DataError", "ProgrammingError", "StatementError")
_NONSENSE = ("ValueError", "UnicodeError", "UnicodeDecodeError", "UnicodeEncodeError", "OverflowError")


def _found(session: Session, id_: int) -> Quarantined:
    """The mail, for those who would see it were it recorded."""
    held = next((one for one in messages.quarantined(session) if one.id == id_), None)
    if held is None or not visitor().viewer.sees(scope(held)):
        abort(404)
    return held


def scope(held: Quarantined) -> str:
    """Whom it would have come to."""
    return process_scope(held.scope_process) if held.scope_process is not None else user_scope(held.scope_user or 0)


@blueprint.get("/quarantine/<number:id_>")
def show(id_: int) -> ResponseReturnValue:
    """Why it is here, and its source."""
    archive = office().archive
    begins = b""
    with archive.reading() as session:
        held = _found(session, id_)
        try:
            for piece in messages.read_blob(archive, session, held.blob):
                begins += piece
                if len(begins) >= SOURCE_SHOWN:
                    break
        except (Damaged, LookupError):
            abort(404)
        ended = bindings.get(session, held.binding).ended_at is not None
    text = readable(begins[:SOURCE_SHOWN])
    return render_template(
        "quarantine/show.html", why=why, held=held, text=text, cut=held.size > SOURCE_SHOWN, ended=ended
    )


@blueprint.get("/quarantine/<number:id_>/mail.eml")
def eml(id_: int) -> ResponseReturnValue:
    """The mail byte for byte."""
    archive = office().archive
    file = tempfile.SpooledTemporaryFile(8 << 20)  # noqa: SIM115  closed by whoever reads it
    with archive.reading() as session:
        held = _found(session, id_)
        try:
            for piece in messages.read_blob(archive, session, held.blob):
                file.write(piece)
        except (Damaged, LookupError):
            file.close()
            abort(404)
    return whole_mail(file, f"quarantine-{held.id}.eml")


def why(reason: str) -> str:
    """A reason for people; the machine's own words stand beside it."""
    kind = re.match(r"[A-Za-z_]+", reason)
    named = kind[0] if kind else ""
    if named in _DATABASE:
        return gettext("The database does not take what stands in it.")
    if named in _NONSENSE:
        return gettext("Something in it makes no sense to Postroom.")
    if named in ("MemoryError", "RecursionError"):
        return gettext("It is too large or too deeply nested to be understood.")
    return gettext("Postroom stumbled over it.")
