"""What is enclosed in a mail, to be looked at before it is downloaded: small pictures, and a page for each file."""

from flask import Blueprint, Flask, abort, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue

from archive.confinement import Busy
from archive.mail import reader
from archive.mail.leaves import Leaf
from archive.post import messages
from archive.post.messages import Message
from archive.store.packs import Damaged

from . import headers, letters
from .darkroom import LARGE, LARGEST, SMALL, Darkroom, Developed
from .visit import office, visitor

blueprint = Blueprint("previews", __name__)

# One pixel one can see through.
_NOTHING = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\1D\0;"


def prepare(app: Flask) -> None:
    """Give an application its darkroom, and the pages made in it."""
    app.extensions["postroom-darkroom"] = Darkroom()
    app.register_blueprint(blueprint)


def close(app: Flask) -> None:
    """End what works in an application's darkroom."""
    app.extensions["postroom-darkroom"].close()


def _developed(id_: int, path: str, page: int, side: int) -> tuple[Message, letters.File, Developed | None]:
    """A message, the file at a path of it, and its picture; 404 where the visitor may not see it or it is no picture.

    Who may see it is asked before what was made earlier is given out.
    """
    archive = office().archive
    darkroom: Darkroom = current_app.extensions["postroom-darkroom"]
    with archive.reading() as session:
        found = messages.get(session, id_, visitor().viewer)
        if found is None:
            abort(404)
        try:
            with letters.opened(archive, session, found) as raw:
                leaf: Leaf | None = letters.leaf_at(letters.understood(raw, found), path)
                if leaf is None:
                    abort(404)
                file = letters.file(raw, leaf)
                if not file.viewable:
                    abort(404)
                content = reader.content(raw, leaf) if file.size <= LARGEST else b""
        except (Damaged, LookupError):
            abort(404)
    try:
        made = darkroom.develop((id_, path), lambda: content, pdf=file.pdf, page=page, side=side) if content else None
    except Busy:
        if side == LARGE:
            abort(503)
        made = None
    return found, file, made


@blueprint.get("/messages/<number:id_>/attachments/<path>/picture")
def picture(id_: int, path: str) -> ResponseReturnValue:
    """A picture of a file, or of one page of it: `page` from 1, `large` where it is to be read.

    Where there is no small one, the sign below it is to be seen.
    """
    page = request.args.get("page", "1")
    if not (page.isascii() and page.isdigit() and 0 < int(page[:9]) <= 10_000):
        abort(404)
    side = LARGE if "large" in request.args else SMALL
    _, _, made = _developed(id_, path, int(page[:9]) - 1, side)
    if made is None and side == LARGE:
        abort(404)
    response = make_response(made.jpeg if made else _NOTHING)
    response.headers["Content-Type"] = "image/jpeg" if made else "image/gif"
    response.headers["Content-Disposition"] = "inline"
    response.headers["Content-Security-Policy"] = headers.ENCLOSURE
    return response


@blueprint.get("/messages/<number:id_>/attachments/<path>/view")
def view(id_: int, path: str) -> ResponseReturnValue:
    """A file as pictures of its pages."""
    found, file, made = _developed(id_, path, 0, LARGE)
    return render_template("messages/view.html", message=found, file=file, made=made)
