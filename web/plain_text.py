"""Plain text bodies as HTML: escaped, links made clickable, quoted text folded and never removed. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup, escape

from .quotes import Kind, points_down, stretches

FOLD_FROM = 3  # lines of quoted text; fewer stay as they are

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINK = re.compile(
    r"(?P<web>https?://[^\s<>\"]+)"
    r"|(?P<mail>[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})",
    re.IGNORECASE,
)
_AFTER_A_LINK = ".,;:!?'*_"
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a body: what somebody wrote, what he quoted, or how he signs."""

    quoted: bool
    lines: int  # without those that say who is quoted
    html: Markup
    signature: bool = False
    open: bool = False  # to be read, although it is quoted

    @property
    def folded(self) -> bool:
        """Whether it is worth folding."""
        return self.quoted and self.lines >= FOLD_FROM


def blocks(text: str, *, flowed: bool = False, delsp: bool = False, forwarded: bool = False) -> list[Block]:
    """The body in blocks, in order. `flowed` and `delsp` as its Content-Type says (RFC 3676).

    In a mail that is `forwarded`, what follows a header block is to be read.
    """
    lines = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    if flowed:
        lines = list(_unflowed(lines, delsp))
    found: list[Block] = []
    own = ""
    for kind, attribution, some in _parts(lines):
        marked = kind is Kind.MARKED
        html = linked("\n".join([*some[:attribution], *(map(_unquoted, some[attribution:]) if marked else some)]))
        opened = kind is Kind.BARE and (forwarded or not own.strip() or points_down(own))
        found.append(Block(marked or kind is Kind.BARE, len(some) - attribution, html, kind is Kind.SIGNATURE, opened))
        if kind is Kind.OWN:
            own += "\n".join(some)[:2000]
    return found


def _parts(lines: list[str]) -> Iterator[tuple[Kind, int, list[str]]]:
    """Stretches without empty lines at their ends; a quote too short to be folded leaves its attribution outside."""
    for one in stretches(lines):
        said = list(one.lines)
        if one.attribution:
            rest = _trimmed(said[one.attribution :])
            if len(rest) < FOLD_FROM:
                yield Kind.OWN, 0, _trimmed(said[: one.attribution])
                yield Kind.MARKED, 0, rest
            else:
                yield Kind.MARKED, one.attribution, [*said[: one.attribution], *rest]
        elif trimmed := _trimmed(said):
            yield one.kind, 0, trimmed


def _unflowed(lines: list[str], delsp: bool) -> Iterator[str]:
    """Lines joined again that were broken softly: they end in a space, and the next has the same quote depth."""
    paragraph, depth_before = "", -1
    for line in lines:
        depth = len(line) - len(line.lstrip(">"))
        text = line[depth:].removeprefix(" ")  # space-stuffing (RFC 3676 4.4)
        signature = text == "-- "
        if depth_before >= 0 and (depth != depth_before or signature):
            yield paragraph
            depth_before = -1
        if depth_before < 0:
            paragraph = ">" * depth + " " * bool(depth)
        if text.endswith(" ") and not signature:
            paragraph += text[:-1] if delsp else text
            depth_before = depth
        else:
            yield paragraph + text
            depth_before = -1
    if depth_before >= 0:
        yield paragraph


def _trimmed(run: list[str]) -> list[str]:
    first, last = 0, len(run)
    while first < last and not run[first].strip():
        first += 1
    while last > first and not run[last - 1].strip():
        last -= 1
    return run[first:last]


def _unquoted(line: str) -> str:
    return line.removeprefix(">").removeprefix(" ")


def linked(text: str) -> Markup:
    """Text escaped, addresses in it made links that tell nobody where one came from."""
    out: list[str] = []
    at = 0
    for found in _LINK.finditer(text):
        target = _without_what_follows(found[0])
        if found.start() < at or len(target) > 2000:
            continue
        out.append(str(escape(text[at : found.start()])))
        address = target if found.lastgroup == "web" else f"mailto:{target}"
        out.append(
            f'<a href="{escape(address)}" rel="noopener noreferrer nofollow" target="_blank">{escape(target)}</a>'
        )
        at = found.start() + len(target)
    out.append(str(escape(text[at:])))
    return Markup("".join(out))  # noqa: S704  every piece was escaped above


def _without_what_follows(link: str) -> str:
    """A link without the punctuation of the sentence it stands in."""
    end = len(link)
    opened = {mark: link.count(mark) for mark in "([{"}
    closed = {mark: link.count(mark) for mark in ")]}"}
    while end:
        last = link[end - 1]
        if last in _PAIRS and closed[last] > opened[_PAIRS[last]]:
            closed[last] -= 1
        elif last not in _AFTER_A_LINK:
            break
        end -= 1
    return link[:end]
