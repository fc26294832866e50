"""A message made ready for a page: its bytes opened, its body and its enclosures found."""

import mimetypes
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap

from archive.mail import reader
from archive.mail.reader import Leaf, Limits, Mail, Raw
from archive.post import contents, messages
from archive.post.contents import Content
from archive.post.messages import Message
from archive.search import index
from archive.search import limited as reasons
from archive.store.archive import Archive, Session
from archive.store.packs import Damaged

from . import mail_height, plain_text, safe_html
from .language import gettext

IN_MEMORY = 8 << 20  # bytes; a larger mail is opened in a file without a name
SHOWN = 200_000  # characters of a body on a page
LARGEST_HTML = safe_html.LARGEST
_EXACT = 64 << 10  # bytes; of a larger enclosure the size is reckoned, not counted
_ANY = ("application/octet-stream", "application/force-download", "application/download", "binary/octet-stream")
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_PICTURE_NAMES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
_VIEWABLE = frozenset(
    (*PICTURES, "image/jpg", "image/pjpeg", "image/x-png", "image/bmp", "image/x-ms-bmp", "image/tiff")
)


@dataclass(frozen=True, slots=True)
class File:
    """Something enclosed."""

    path: str
    name: str
    content_type: str
    size: int  # bytes decoded; about, for a large one
    within: bool  # in a mail that is enclosed itself
    inline: bool  # a picture the HTML shows
    limited: str = ""  # why its text is not searchable, or not all of it: a sentence

    @property
    def picture(self) -> bool:
        """Whether it is a picture."""
        return self.content_type.startswith("image/")

    @property
    def pdf(self) -> bool:
        """Whether it is a PDF file, or is called one."""
        named = self.content_type in _ANY and self.name.lower().endswith(".pdf")
        return self.content_type in ("application/pdf", "application/x-pdf") or named

    @property
    def viewable(self) -> bool:
        """Whether pictures can be made of it."""
        named = self.content_type in _ANY and self.name.lower().endswith(_PICTURE_NAMES)
        return self.pdf or named or self.content_type in _VIEWABLE


@dataclass(frozen=True, slots=True)
class Letter:
    """What a page shows of a message."""

    message: Message
    text: list[plain_text.Block]
    cut: bool  # there is more text than is shown
    html: bool
    remote: int  # pictures on other servers, about
    heights: tuple[tuple[int, int], ...]  # of the HTML in CSS pixels, about: from which width on, and how high
    files: list[File]
    trouble: str | None = None


@contextmanager
def opened(archive: Archive, session: Session, one: Message) -> Iterator[Raw]:
    """A message's content; Damaged where it is gone or altered."""
    with _opened(messages.content(archive, session, one.id), one.size) as raw:
        yield raw


@contextmanager
def _opened(pieces: Iterator[bytes], size: int) -> Iterator[Raw]:
    if size <= IN_MEMORY:
        yield b"".join(pieces)
        return
    with tempfile.TemporaryFile() as file:
        file.writelines(pieces)
        file.flush()
        with mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
            yield mapped


def letters(archive: Archive, session: Session, some: Sequence[Message]) -> list[Letter]:
    """The messages for a page; one whose bytes are damaged says so instead of failing the page."""
    places = contents.of(session, [one.id for one in some])
    keys = archive.keys.get([blob for place in places.values() for blob in place.blobs])
    limited = index.limited_of(session, [one.id for one in some])
    return [_letter(archive, keys, places.get(one.id), one, limited.get(one.id, {})) for one in some]


def _letter(
    archive: Archive, keys: Mapping[int, bytes], place: Content | None, one: Message, limited: Mapping[str, str]
) -> Letter:
    try:
        if place is None:
            raise LookupError(one.id)
        with _opened(contents.read(archive, keys, place), place.size) as raw:
            return _read(raw, one, limited)
    except (Damaged, LookupError):
        trouble = gettext("The kept bytes of this mail are gone or were altered. Tell whoever looks after Postroom.")
        return Letter(one, [], False, False, 0, (), [], trouble)


def understood(raw: Raw, one: Message) -> Mail:
    """What our reader says of a message's content; nothing of one that it could not read at intake: it may be fatal."""
    return reader.read(raw if one.reader else b"")


def _read(raw: Raw, one: Message, limited: Mapping[str, str]) -> Letter:
    mail = understood(raw, one)
    limits = Limits(body_bytes=4 * SHOWN)
    markup = reader.html(raw, mail, Limits(body_bytes=2 * LARGEST_HTML))
    if one.reader == 0:
        text, flowed, delsp = raw[:SHOWN].decode("utf-8", "replace"), False, False
    else:
        text = reader.text(raw, mail, limits)
        plain = [one for one in mail.leaves if one.content_type == "text/plain" and not one.attachment and not one.mail]
        flowed, delsp = any(one.flowed for one in plain), any(one.delsp for one in plain)
        if not text.strip() and markup:
            text = reader.html_words(markup[: 4 * SHOWN])
    return Letter(
        one,
        plain_text.blocks(text[:SHOWN], flowed=flowed, delsp=delsp, forwarded=is_forward(one.subject)),
        len(text) > SHOWN,
        bool(markup.strip()),
        safe_html.remote_pictures(markup),
        tuple(zip(mail_height.WIDTHS, mail_height.heights(markup), strict=True)) if markup else (),
        _files(raw, mail, markup, limited),
    )


def files(archive: Archive, session: Session, some: Sequence[Message]) -> dict[int, list[File]]:
    """What is enclosed in messages, and nothing else of them; of one whose bytes are damaged nothing."""
    places = contents.of(session, [one.id for one in some])
    keys = archive.keys.get([blob for place in places.values() for blob in place.blobs])
    found: dict[int, list[File]] = {}
    for one in some:
        try:
            with _opened(contents.read(archive, keys, places[one.id]), places[one.id].size) as raw:
                mail = understood(raw, one)
                found[one.id] = _files(raw, mail, reader.html(raw, mail, Limits(body_bytes=2 * LARGEST_HTML)), {})
        except (Damaged, LookupError):
            found[one.id] = []
    return found


_FORWARDED = re.compile(r"\s*(?:fwd?|wg|pd|tr|rv|enc|i|vs|přeposláno|přeposlané|přep|пересл)\s*:", re.IGNORECASE)


def is_forward(subject: str) -> bool:
    """Whether a subject says that the mail hands another one on, as programs of several languages put it."""
    return bool(_FORWARDED.match(subject[:100]))


def _files(raw: Raw, mail: Mail, markup: str, limited: Mapping[str, str]) -> list[File]:
    return [file(raw, leaf, markup, limited.get(leaf.path, "")) for leaf in mail.leaves if leaf.attachment]


def file(raw: Raw, leaf: Leaf, markup: str = "", limited: str = "") -> File:
    """What a page says of something enclosed; `limited` is the reason for which its text is not searchable."""
    return File(
        leaf.path,
        name_of(leaf),
        leaf.content_type,
        size(raw, leaf),
        bool(leaf.mail),
        bool(leaf.content_id and leaf.disposition != "attachment" and f"cid:{leaf.content_id}" in markup),
        gettext(reasons.SAYS[limited]) if limited in reasons.SAYS else "",
    )


def name_of(leaf: Leaf) -> str:
    """What an enclosure is called; one that has no name gets one from its kind and place."""
    if leaf.name:
        return leaf.name
    if leaf.content_type == "message/rfc822":
        return gettext("Mail %(path)s", path=leaf.path) + ".eml"
    ending = mimetypes.guess_extension(leaf.content_type) or ""
    return gettext("Part %(path)s", path=leaf.path) + ending


def size(raw: Raw, leaf: Leaf) -> int:
    """How large a leaf is decoded, in bytes; of a large one in base64 it is reckoned from its lines (RFC 2045 6.8)."""
    encoded = leaf.end - leaf.start
    if leaf.container is None and leaf.encoding not in ("base64", "quoted-printable"):
        return encoded
    if encoded <= _EXACT and leaf.container is None:
        return len(reader.content(raw, leaf))
    if leaf.encoding == "base64":
        return encoded * 3 // 4 * 76 // 78
    return encoded


def leaf_at(mail: Mail, path: str) -> Leaf | None:
    """The leaf of a path."""
    return next((leaf for leaf in mail.leaves if leaf.path == path), None)
