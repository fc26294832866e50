"""What is enclosed in a mail, to be looked at before it is downloaded: small pictures, and a page for each file."""

from dataclasses import dataclass

from flask import Blueprint, Flask, abort, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue

from archive.confinement import Busy
from archive.mail import reader
from archive.mail.leaves import Leaf
from archive.post import messages
from archive.post.messages import Message
from archive.store.packs import Damaged
from archive.work import merging, tickets

from . import headers, letters
from .darkroom import LARGE, LARGEST, SMALL, Darkroom, Developed
from .visit import office, visitor

blueprint = Blueprint("previews", __name__)

GALLERY = 100  # mails whose files stand in one gallery

# One pixel one can see through.
_NOTHING = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\1D\0;"


def prepare(app: Flask) -> None:
    """Give an application its darkroom, and the pages made in it."""
    app.extensions["postroom-darkroom"] = Darkroom()
    app.register_blueprint(blueprint)


def close(app: Flask) -> None:
    """End what works in an application's darkroom."""
    app.extensions["postroom-darkroom"].close()


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A file of a message the visitor may see, and those that are enclosed beside it."""

    message: Message
    file: letters.File
    files: list[letters.File]
    content: bytes  # none of what is too large or can be no picture

    @property
    def place(self) -> int:
        """Which of them it is, from 1."""
        return [one.path for one in self.files].index(self.file.path) + 1

    def beside(self, by: int) -> letters.File | None:
        """The next of them, or the one before."""
        place = self.place - 1 + by
        return self.files[place] if 0 <= place < len(self.files) else None


def _enclosed(id_: int, path: str, beside: bool = False) -> Enclosed:
    """The file at a path of a message; 404 where the visitor may not see it.

    Who may see it is asked before what was made earlier is given out.
    """
    archive = office().archive
    with archive.reading() as session:
        found = messages.get(session, id_, visitor().viewer)
        if found is None:
            abort(404)
        try:
            with letters.opened(archive, session, found) as raw:
                mail = letters.understood(raw, found)
                leaf: Leaf | None = letters.leaf_at(mail, path)
                if leaf is None:
                    abort(404)
                file = letters.file(raw, leaf)
                some = [letters.file(raw, one) for one in mail.leaves if one.attachment] if beside else []
                content = reader.content(raw, leaf) if file.viewable and file.size <= LARGEST else b""
        except (Damaged, LookupError):
            abort(404)
    return Enclosed(found, file, some if any(one.path == path for one in some) else [file], content)


def _developed(one: Enclosed, page: int, side: int) -> Developed | None:
    """A picture of it, or of a page of it; None where there is none."""
    darkroom: Darkroom = current_app.extensions["postroom-darkroom"]
    key = (one.message.id, one.file.path)
    try:
        return (
            darkroom.develop(key, lambda: one.content, pdf=one.file.pdf, page=page, side=side) if one.content else None
        )
    except Busy:
        if side == LARGE:
            abort(503)
        return None


@blueprint.get("/messages/<number:id_>/attachments/<path>/picture")
def picture(id_: int, path: str) -> ResponseReturnValue:
    """A picture of a file, or of one page of it: `page` from 1, `large` where it is to be read.

    Where there is no small one, the sign below it is to be seen.
    """
    page = request.args.get("page", "1")
    if not (page.isascii() and page.isdigit() and 0 < int(page[:9]) <= 10_000):
        abort(404)
    side = LARGE if "large" in request.args else SMALL
    one = _enclosed(id_, path)
    if not one.file.viewable:
        abort(404)
    made = _developed(one, int(page[:9]) - 1, side)
    if made is None and side == LARGE:
        abort(404)
    response = make_response(made.jpeg if made else _NOTHING)
    response.headers["Content-Type"] = "image/jpeg" if made else "image/gif"
    response.headers["Content-Disposition"] = "inline"
    response.headers["Content-Security-Policy"] = headers.ENCLOSURE
    return response


@blueprint.get("/messages/<number:id_>/attachments/<path>/view")
def view(id_: int, path: str) -> ResponseReturnValue:
    """A file as pictures of its pages, with a way to the next one of the mail."""
    one = _enclosed(id_, path, beside=True)
    return render_template("messages/view.html", one=one, made=_developed(one, 0, LARGE))


@blueprint.get("/conversations/<number:id_>/files")
def gallery(id_: int) -> ResponseReturnValue:
    """All that is enclosed in a conversation's mails, the newest first, as far as one may see them."""
    with office().archive.reading() as session:
        viewer = visitor().viewer
        with_it = merging.conversations(session, [one.id for one in tickets.of_conversation(session, viewer, id_)])
        some = messages.of_conversation(session, id_, viewer, None, GALLERY, with_it)
        if not some:
            abort(404)
        read = letters.letters(office().archive, session, [one for one in some if one.attachments])
    return render_template("conversations/files.html", id_=id_, subject=some[0].subject, letters=read[::-1])
