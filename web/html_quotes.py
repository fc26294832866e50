"""Where the HTML of a mail quotes another one: it is put into folds, each on its own, and nothing else is. Pure.

Mail programs mark what they quote by classes and ids of theirs; Outlook puts a header block before it and nothing
round it. An answer written between two quotes is never in a fold. Each element is looked at a bounded number of times.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TypeAlias

import lxml.etree  # type: ignore[import-untyped]
import lxml.html  # type: ignore[import-untyped]

from .quotes import is_header_block, points_down

FOLD_FROM = 3  # lines, about
MARK = "\N{INVISIBLE SEPARATOR}"  # round the number of lines, where a fold is yet to be named in words

Element: TypeAlias = "lxml.html.HtmlElement"

_CONTAINERS = frozenset(
    ("gmail_quote", "gmail_quote_container", "yahoo_quoted", "protonmail_quote", "tutanota_quote", "zmail_extra")
)
_CONTAINER_IDS = frozenset(("mail-editor-reference-message-container", "yahoo_quoted", "isreplycontent", "oreplymsg"))
_INTRODUCTIONS = frozenset(("moz-cite-prefix", "reply-intro", "gmail_attr"))
_HEADERS = frozenset(("divrplyfwdmsg", "appendonsend", "outlookmessageheader", "replyfwdmsg"))
_UNSEEN = frozenset(("head", "style", "script", "title", "template", "noscript"))
_BREAKS = frozenset(
    ("p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "blockquote", "table", "pre")
)
_COLUMNS = 90  # characters on a line, about


def fold(tree: Element, *, forwarded: bool = False) -> None:
    """Put what the mail quotes into `details`; open where nothing else is in it, or where it may hold answers."""
    walk = _Walk(forwarded)
    walk.through(next(tree.iter("body"), tree))
    for details in walk.folds:
        if details in walk.doubtful or not walk.said_anything:
            details.set("open", "open")


class _Walk:
    """One pass over a document, in its order."""

    def __init__(self, forwarded: bool) -> None:
        self.folds: list[Element] = []
        self.doubtful: set[Element] = set()
        self.said_anything = False
        self._forwarded = forwarded
        self._own: list[str] = []
        self._own_length = 0

    def through(self, root: Element) -> None:
        waiting: list[Element | str | None] = [root]
        taken: set[Element] = set()
        while waiting:
            one = waiting.pop()
            if one is None or isinstance(one, str):
                self._say(one)
                continue
            if one in taken:
                continue
            if not isinstance(one.tag, str) or one.tag in _UNSEEN:
                continue
            some, bare = _quoted(one)
            if some:
                taken.update(some)
                self._fold(some, bare)
                continue
            if one.tag == "img":
                self.said_anything = True
            for child in reversed(one):
                waiting += (child.tail, child)
            waiting.append(one.text)

    def _say(self, text: str | None) -> None:
        if text and not text.isspace():
            self.said_anything = True
            if self._own_length < 2000:
                self._own.append(text[:2000])
                self._own_length += len(text)

    def _fold(self, some: list[Element], bare: bool) -> None:
        lines = sum(_lines(one) for one in some)
        if lines < FOLD_FROM:
            for one in some:
                for text in one.itertext():
                    self._say(text)
            return
        details = lxml.html.Element("details")
        summary = lxml.etree.SubElement(details, "summary")
        summary.text = f"{MARK}{lines}{MARK}"
        own = " ".join(self._own)
        if bare and (self._forwarded or not own.strip() or points_down(own)):
            self.doubtful.add(details)
        first, last = some[0], some[-1]
        # Text behind a quote is the author's; text between two elements of one quote is the quote's.
        details.tail = None if bare else last.tail
        if not bare:
            last.tail = None
        first.getparent().replace(first, details)
        details.extend(some)
        self.folds.append(details)


def _quoted(one: Element) -> tuple[list[Element], bool]:
    """The elements that are one quote with this one, in order; whether nothing marks them but a header before."""
    if _is_quote(one):
        return [one], False
    names = _names(one)
    if names & _INTRODUCTIONS:
        following = one.getnext()
        if following is not None and _is_quote(following) and not (one.tail or "").strip():
            return [one, following], False
    if (names & _CONTAINERS or names & _CONTAINER_IDS) and not _is_forward(one) and not _holds_answers(one):
        return [one], False
    if names & _HEADERS:
        return _with_all_behind(one), True
    if one.tag in ("div", "p") and (lines := _header_lines(one)):
        if _lines(one, lines + 4) > lines + 2:
            return [one], True  # the quote itself is in it as well
        return _with_all_behind(_outermost(one)), True
    return [], False


def _names(one: Element) -> set[str]:
    """Classes and id, without the prefix by which Outlook makes those of others its own."""
    said = f"{one.get('class', '')[:500]} {one.get('id', '')[:100]}".lower()
    return {name.removeprefix("x_") for name in said.split()}


def _is_quote(one: Element) -> bool:
    if one.tag != "blockquote":
        return False
    return one.get("type", "").lower() == "cite" or "quote" in one.get("class", "").lower()


def _is_forward(one: Element) -> bool:
    """Whether a container begins with a line of dashes: what follows was sent to be read."""
    begins = next((text.strip() for text in islice(one.itertext(), 20) if text.strip()), "")
    return begins.startswith("-----") or "forward" in one.get("class", "").lower()


def _holds_answers(container: Element) -> bool:
    """Whether somebody wrote between the quotes in a container, or behind them."""
    quotes = [child for child in container if child.tag == "blockquote"]
    if not quotes:
        return False
    passed = introduced = False
    for child in container:
        if child.tag == "blockquote":
            passed = True
        elif _names(child) & _INTRODUCTIONS and not passed:
            introduced = True
        elif (passed or introduced) and _says(child):
            return True
        if passed and (child.tail or "").strip():
            return True
    return False


def _says(one: Element) -> bool:
    return any(text.strip() for text in one.itertext()) or one.tag == "img" or next(one.iter("img"), None) is not None


def _with_all_behind(one: Element) -> list[Element]:
    before = one.getprevious()
    rule = before is not None and before.tag == "hr" and not (before.tail or "").strip()
    return [*([before] if rule else []), one, *one.itersiblings()]


def _outermost(one: Element) -> Element:
    """The element that holds this one and nothing else."""
    parent = one.getparent()
    while parent is not None and parent.tag == "div" and len(parent) == 1 and not (parent.text or "").strip():
        one, parent = parent, parent.getparent()
    return one


def _header_lines(one: Element) -> int:
    """How many lines of a header block an element begins with."""
    begins = next((text for text in islice(one.itertext(), 4) if text.strip()), "")
    if len(begins) > 200 or not _begins_a_header(begins):
        return 0
    return is_header_block(list(islice(_text_lines(one), 16)), 0)


def _begins_a_header(text: str) -> bool:
    """Whether a text may begin a header block."""
    stripped = text.strip().rstrip(":： ")
    return is_header_block([f"{stripped.split(':')[0]}: x", "Date: x", "Subject: x"], 0) > 0


def _text_lines(one: Element) -> Iterator[str]:
    """The text of an element in the lines a reader sees, about; empty ones are left out."""
    line: list[str] = []
    for event, element in lxml.etree.iterwalk(one, events=("start", "end")):
        if not isinstance(element.tag, str):
            continue
        if element.tag in _BREAKS and "".join(line).strip():
            yield " ".join("".join(line).split())
            line = []
        text = element.text if event == "start" else element.tail if element is not one else None
        if text and element.tag not in _UNSEEN:
            line.append(text)
    if "".join(line).strip():
        yield " ".join("".join(line).split())


def _lines(one: Element, most: int = 1_000_000) -> int:
    return sum(1 + len(line) // _COLUMNS for line in islice(_text_lines(one), most))
