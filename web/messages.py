"""One message: its header, its source, and what can be downloaded of it. Bytes of outsiders are never shown inline."""

import re
import tempfile
from collections.abc import Iterator
from typing import IO
from urllib.parse import quote

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive.mail import headers as mail_headers
from archive.mail import identity, reader
from archive.mail.reader import Mail, Raw
from archive.post import messages
from archive.post.messages import Copy, Message
from archive.store.archive import Session
from archive.store.packs import Damaged

from . import headers, letters
from .visit import office, visitor

blueprint = Blueprint("messages", __name__)

SOURCE_SHOWN = 200_000  # bytes
HEADER_SHOWN = 100_000  # bytes
_PIECE = 1 << 16
_SPOOLED = 8 << 20
# Kinds a program may be told of; anything else is bytes.
_TOLD = frozenset(
    (*letters.PICTURES, "application/pdf", "application/zip", "text/plain", "text/csv", "text/calendar", "audio/mpeg")
)


def _found(session: Session, id_: int) -> Message:
    found = messages.get(session, id_, visitor().viewer)
    if found is None:
        abort(404)
    return found


def _copies(session: Session, id_: int) -> list[Copy]:
    """The copies the visitor may see: the one asked for, or all."""
    copies = messages.copies(session, id_, visitor().viewer)
    wanted = request.args.get("copy")
    if wanted is None:
        return copies
    chosen = [one for one in copies if str(one.receipt) == wanted]
    if not chosen:
        abort(404)
    return chosen


@blueprint.get("/messages/<number:id_>")
def show(id_: int) -> ResponseReturnValue:
    """The message where it stands: in its conversation."""
    with office().archive.reading() as session:
        found = _found(session, id_)
        newer = messages.of_conversation(session, found.conversation, visitor().viewer, None, 50)
    before = None if any(one.id == id_ for one in newer) else id_ + 1
    wanted = url_for("conversations.show", id_=found.conversation, at=id_, before=before, _anchor=f"m{id_}")
    return redirect(wanted, 302)


@blueprint.get("/messages/<number:id_>/headers")
def header(id_: int) -> ResponseReturnValue:
    """The header as its author wrote it, and what transport added to each copy the visitor may see."""
    archive = office().archive
    with archive.reading() as session:
        found = _found(session, id_)
        copies = _copies(session, id_)
        try:
            with letters.opened(archive, session, found) as raw:
                written = _fields(raw[: min(identity.header_end(raw), HEADER_SHOWN)])
            added = [
                (one, _fields(identity.trace_headers(messages.trace(archive, session, one))[:HEADER_SHOWN]))
                for one in copies
            ]
        except (Damaged, LookupError):
            abort(404)
    return render_template("messages/headers.html", message=found, written=written, added=added)


def _fields(block: bytes) -> list[tuple[str, str]]:
    """Names and values, values decoded but with their folds."""
    fields, _, _ = mail_headers.split(block + b"\r\n", 0, len(block) + 2, HEADER_SHOWN)
    return [(name.decode("ascii"), mail_headers.text(value)) for name, value in fields]


@blueprint.get("/messages/<number:id_>/source")
def source(id_: int) -> ResponseReturnValue:
    """The mail as it came, in letters; as it was written, where no copy may be seen."""
    with office().archive.reading() as session:
        found = _found(session, id_)
        copies = _copies(session, id_)
        raw = _whole(session, found, copies)
    with raw:
        text = readable(raw.read(SOURCE_SHOWN))
    cut = found.size > SOURCE_SHOWN
    return render_template("messages/source.html", message=found, text=text, cut=cut, copied=bool(copies))


def readable(begins: bytes) -> str:
    """The bytes of a mail in letters; what moves a cursor is made visible."""
    text = begins.decode("utf-8", "replace").replace("\r\n", "\n")
    return re.sub("[\x00-\x08\x0b-\x1f\x7f]", "\N{REPLACEMENT CHARACTER}", text)


@blueprint.get("/messages/<number:id_>/mail.eml")
def eml(id_: int) -> ResponseReturnValue:
    """A copy byte for byte as it was received; the content alone where no copy may be seen."""
    with office().archive.reading() as session:
        found = _found(session, id_)
        raw = _whole(session, found, _copies(session, id_))
    return whole_mail(raw, (found.subject[:80] or "mail") + ".eml")


def whole_mail(raw: IO[bytes], name: str) -> Response:
    """A mail in a file, which is closed in the end, to be saved under a name."""
    length = raw.seek(0, 2)
    raw.seek(0)
    response = Response(_pieces(raw), mimetype="message/rfc822")
    response.content_length = length
    return _enclosure(response, name)


def _whole(session: Session, found: Message, copies: list[Copy]) -> IO[bytes]:
    """The copy in a file, read to its end before a byte is given out: only then is it sure to be what came."""
    archive = office().archive
    file = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115  closed by whoever reads it
    try:
        pieces = messages.raw(archive, session, copies[0]) if copies else messages.written(archive, session, found.id)
        for piece in pieces:
            file.write(piece)
    except (Damaged, LookupError):
        file.close()
        abort(404)
    file.seek(0)
    return file


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece


@blueprint.get("/messages/<number:id_>/attachments/<path>")
def attachment(id_: int, path: str) -> ResponseReturnValue:
    """Something enclosed, decoded."""
    archive = office().archive
    with archive.reading() as session:
        found = _found(session, id_)
        file = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115  closed by whoever reads it
        try:
            with letters.opened(archive, session, found) as raw:
                name, kind = _decode(raw, letters.understood(raw, found), path, file)
        except (Damaged, LookupError):
            file.close()
            abort(404)
    length = file.tell()
    file.seek(0)
    response = Response(_pieces(file), mimetype=kind if kind in _TOLD else "application/octet-stream")
    response.content_length = length
    return _enclosure(response, name)


def _decode(raw: Raw, mail: Mail, path: str, into: IO[bytes]) -> tuple[str, str]:
    """Write a leaf's content; its name and kind. LookupError where there is no such leaf."""
    leaf = letters.leaf_at(mail, path)
    if leaf is None:
        raise LookupError(path)
    for piece in reader.content_chunks(raw, leaf):
        into.write(piece)
    return letters.name_of(leaf), leaf.content_type


def _enclosure(response: Response, name: str) -> Response:
    response.headers["Content-Disposition"] = disposition(name)
    response.headers["Content-Security-Policy"] = headers.ENCLOSURE
    return response


_UNFIT = re.compile(r'[\x00-\x1f\x7f-\x9f"*/:<>?\\|\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+')


def disposition(name: str) -> str:
    """A Content-Disposition that saves under this name and can be nothing else (RFC 6266, RFC 8187).

    Gone from the name: what a file system would take for a path, line ends, and marks that turn the direction of
    writing, by which "exe.pdf" is made of another ending.
    """
    tidy = " ".join(_UNFIT.sub("_", name).split()).lstrip(".") or "file"
    if len(tidy) > 120:
        stem, dot, ending = tidy.rpartition(".")
        tidy = f"{stem[: 119 - len(ending)]}.{ending}" if dot and len(ending) < 12 else tidy[:120]
    plain = tidy.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_").replace(";", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(tidy, safe='')}"
