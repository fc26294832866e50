"""A mail of ours as whoever gets it sees it, read back from its own bytes: before it is queued, and while it waits.

Nothing is kept of it, so its HTML has no address of its own: it stands in the page, in a frame that runs nothing. Such
a frame is under the page's policy, which allows just the styles that stand in it, each by its hash.
"""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import lxml.html  # type: ignore[import-untyped]
from flask import Response, make_response, render_template

from archive.mail import identity, reader
from archive.mail.addresses import Address
from archive.mail.reader import Limits, Mail

from . import headers, letters, mail_height, plain_text, safe_html
from .language import ngettext
from .letters import File
from .plain_text import Block
from .safe_html import TooTangled
from .visit import office

MOST_PICTURES = 8 << 20  # bytes of pictures that stand in the page; others are named only
_MOST_STYLES = 50  # of ours there are a handful

People = Sequence[tuple[str, str]]  # names, may be empty, and addresses


@dataclass(frozen=True, slots=True)
class Composed:
    """What a page shows of it."""

    sender: People
    to: People
    cc: People
    bcc: People  # stands in no header: whoever sends it knows
    reply_to: People
    subject: str
    header: str
    frame: str  # a page; empty where the mail is plain text alone
    heights: tuple[tuple[int, int], ...]  # as `letters.Letter` has them
    text: list[Block]
    cut: bool  # there is more text than is shown
    files: list[File]
    styles: tuple[str, ...]  # what the page's policy has to allow


def read(raw: bytes, bcc: People = ()) -> Composed:
    """A mail of ours for a page."""
    mail = reader.read(raw)
    markup = reader.html(raw, mail)
    text = reader.text(raw, mail, Limits(body_bytes=4 * letters.SHOWN))
    frame, pictures = _frame(raw, mail, markup) if markup else ("", {})
    styles = _styles(frame) if frame else ()
    room = MOST_PICTURES
    for mark, picture in pictures.items():  # as often as it is named
        room -= frame.count(mark) * len(picture)
        frame = frame.replace(mark, base64.b64encode(picture).decode() if room >= 0 else "")
    return Composed(
        _people(mail.from_),
        _people(mail.to),
        _people(mail.cc),
        bcc,
        _people(mail.reply_to),
        mail.subject,
        raw[: identity.header_end(raw)].decode("utf-8", "replace").strip(),
        frame,
        tuple(zip(mail_height.WIDTHS, mail_height.heights(markup), strict=True)) if frame else (),
        plain_text.blocks(text[: letters.SHOWN], forwarded=letters.is_forward(mail.subject)),
        len(text) > letters.SHOWN,
        [letters.file(raw, leaf, markup) for leaf in mail.leaves if leaf.attachment and not leaf.mail],
        styles,
    )


def _people(some: Sequence[Address]) -> People:
    return [(one.name, one.address) for one in some]


def _frame(raw: bytes, mail: Mail, markup: str) -> tuple[str, dict[str, bytes]]:
    """The page in the frame, and what pictures belong where its marks stand."""
    pictures: dict[str, bytes] = {}
    addresses: dict[str, str] = {}
    room = MOST_PICTURES
    for leaf in mail.leaves:
        if leaf.content_id and leaf.content_type in letters.PICTURES and not leaf.mail and leaf.end - leaf.start < room:
            room -= leaf.end - leaf.start
            mark = secrets.token_hex(16)
            pictures[mark] = reader.content(raw, leaf)
            addresses[leaf.content_id] = f"data:{leaf.content_type};base64,{mark}"
    try:
        forwarded = letters.is_forward(mail.subject)
        cleaned, text = office().laundry.clean(markup, addresses, pictures=False, forwarded=forwarded), ""
        body, sheet = safe_html.with_folds_named(cleaned.html, _quoted_lines), cleaned.sheet
    except TooTangled:
        body, sheet, text = "", "", reader.html_words(markup)
    page = render_template(
        "messages/frame.html", body=body, sheet=sheet, text=text[: letters.SHOWN], cut=len(text) > letters.SHOWN
    )
    return page, pictures


def _quoted_lines(number: int) -> str:
    return ngettext("%(num)d quoted line", "%(num)d quoted lines", number)


def _styles(frame: str) -> tuple[str, ...]:
    """What stands in `style` elements and attributes, as a policy names it (CSP 3, 6.7.3)."""
    tree = lxml.html.document_fromstring(frame)
    found = [one.text or "" for one in tree.iter("style")] + [one.get("style") for one in tree.xpath("//*[@style]")]
    hashes = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in dict.fromkeys(found))
    return tuple(f"'sha256-{one}'" for one in hashes)[:_MOST_STYLES]


def page(shown: str, one: Composed | None) -> Response:
    """A page that shows it, under a policy that lets its frame look as it should."""
    response = make_response(shown)
    if one is not None and one.styles:
        response.headers["Content-Security-Policy"] = headers.with_styles(one.styles)
    return response
