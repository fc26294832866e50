"""Plain text bodies as HTML: escaped, links made clickable, quoted text folded and never removed. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup, escape

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
    """A stretch of a body: what somebody wrote, or what he quoted."""

    quoted: bool
    lines: int
    html: Markup

    @property
    def folded(self) -> bool:
        """Whether it is worth folding."""
        return self.quoted and self.lines >= FOLD_FROM


def blocks(text: str, *, flowed: bool = False, delsp: bool = False) -> list[Block]:
    """The body in blocks, in order. `flowed` and `delsp` as its Content-Type says (RFC 3676)."""
    lines = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    if flowed:
        lines = list(_unflowed(lines, delsp))
    return [
        Block(quoted, len(some), linked("\n".join(map(_unquoted, some) if quoted else some)))
        for quoted, some in _runs(lines)
    ]


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


def _runs(lines: list[str]) -> Iterator[tuple[bool, list[str]]]:
    """Lines that belong together; empty ones between quoted ones are quoted too, those at the ends of a run go."""
    run: list[str] = []
    quoted = False
    for line in lines:
        starts_other = line.startswith(">") != quoted and bool(line.strip())
        if starts_other:
            yield from _trimmed(quoted, run)
            run, quoted = [], not quoted
        run.append(line)
    yield from _trimmed(quoted, run)


def _trimmed(quoted: bool, run: list[str]) -> Iterator[tuple[bool, list[str]]]:
    first, last = 0, len(run)
    while first < last and not run[first].strip():
        first += 1
    while last > first and not run[last - 1].strip():
        last -= 1
    if first < last:
        yield quoted, run[first:last]


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
