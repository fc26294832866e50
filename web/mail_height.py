"""About how high the HTML of a mail is in frames of several widths: a frame that runs nothing cannot say so itself.

A small layout of its own: lines of text, cells beside each other, pictures as large as they say, the styles that take
room, quotes folded. Pure, and linear in what it looks at; where it is wrong there is white space or a scroll bar.
"""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

WIDTHS = (260, 310, 370, 440, 530, 640, 770, 920)  # CSS pixels: from each on, up to the next
TALLEST = 1600  # CSS pixels; beyond it one scrolls within
LEAST = 60
_SPARE = 1.05, 12  # faces differ: so much more is given

_SEEN = 1.5 * TALLEST  # what is below needs no looking at
_LARGEST = 400_000  # characters looked at
_MOST = 4_000  # elements: a mail of more is taller than any frame
_DEEPEST = 50
_RULES = 300
_NARROW = 600  # up to here messages/frame.html lets tables shrink
_FONT, _LEADING, _EDGE, _SIDE, _FOLD = 15.0, 1.5, 12.0, 16.0, 22.0  # as messages/frame.html has them, CSS pixels
_LETTER = 0.52  # of the font's size: a letter of a wide ordinary face
_NARROW_LETTER = 0.47  # of Arial, which every system has or stands in for by one as wide
_CYRILLIC = 0.63
_MONOSPACE = 0.602
_SQUARE = 1.0  # of the font's size: a letter of Chinese, Japanese, Korean

_PIECE = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,15})([^<>]*)>")
_ATTRIBUTE = re.compile(
    r"""\b(style|width|height|cellpadding|cellspacing|class|id|colspan|rowspan|type|border)\s{0,3}=\s{0,3}"""
    r"""(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""",
    re.IGNORECASE,
)
_DECLARATION = re.compile(
    r"(?:^|[;\s])((?:max-)?(?:width|height)|font-size|font-family|line-height|display|white-space|(?:padding|margin)"
    r"(?:-top|-bottom|-left|-right)?)\s{0,3}:\s{0,3}([^;]{1,60})",
    re.IGNORECASE,
)
_LENGTH = re.compile(r"(\d{1,5}(?:\.\d{1,4})?|\.\d{1,4})\s?(px|pt|em|rem|%|cm)?", re.IGNORECASE)
_SELECTOR = re.compile(r"[a-z0-9]*(?:\.[\w-]+)?\Z", re.IGNORECASE)
_NOTHING = "\xa0\u200c\u200b\ufeff\u034f\xad"  # letters nobody sees
_SPACES = re.compile(r"[ \t\r\n\f]+")
# Where a quote begins that is folded, by the marks that most mails have (`html_quotes` goes by more).
_QUOTE = re.compile("gmail_quote|yahoo_quoted|protonmail_quote|moz-cite-prefix")
_LAST_QUOTE = re.compile("divRplyFwdMsg|appendonsend|OutlookMessageHeader", re.IGNORECASE)  # all that follows is quoted

_VOID = frozenset(("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"))
_UNSEEN = frozenset(("script", "style", "title", "template", "noscript", "object", "iframe", "svg", "math"))
# fmt: off
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt",
    "fieldset", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main",
    "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
))
# fmt: on
_CELLS = ("td", "th")
_ENDED_BY = {"li": ("li",), "td": _CELLS, "th": _CELLS, "tr": (*_CELLS, "tr"), "tbody": (*_CELLS, "tr")}
_SIZES = {"h1": 2.0, "h2": 1.5, "h3": 1.17, "h5": 0.83, "h6": 0.67, "small": 0.83, "big": 1.2}
_MARGINS = {"h1": 0.67, "h2": 0.83, "h3": 1.0, "h4": 1.33, "h5": 1.67, "h6": 2.33, "blockquote": 0.5, "hr": 0.5}
_MARGINS |= dict.fromkeys(("p", "ul", "ol", "dl", "pre", "figure"), 1.0)
_INDENTS = {"ul": 40.0, "ol": 40.0, "dd": 40.0, "blockquote": 17.0}

Style = Mapping[str, str]


def heights(markup: str) -> tuple[int, ...]:
    """CSS pixels for each of WIDTHS."""
    shown = _without_comments(markup[:_LARGEST])
    tree = _parsed(shown, _rules(shown))
    if tree is None:
        return (TALLEST,) * len(WIDTHS)
    inner = [_laid_out(tree, width) for width in WIDTHS]
    # Pictures grow with the width and text shrinks: between two widths neither is cut.
    reached = [max(pair) for pair in zip(inner, [*inner[1:], inner[-1]], strict=True)]
    return tuple(min(max(round(one * _SPARE[0] + _SPARE[1]), LEAST), TALLEST) for one in reached)


# --- what there is ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Element:
    tag: str
    style: Style
    attributes: Style
    children: "list[_Element | str]" = field(default_factory=list)
    wide: tuple[float, float] | None = None  # of a cell's content: unbreakable, and on one line


def _without_comments(markup: str) -> str:
    kept, at = [], 0
    while (start := markup.find("<!--", at)) >= 0:
        kept.append(markup[at:start])
        end = markup.find("-->", start + 4)
        if end < 0:
            return "".join(kept)
        at = end + 3
    return "".join([*kept, markup[at:]])


def _rules(markup: str) -> dict[str, dict[str, str]]:
    """What style sheets say of elements and classes, so far as it takes room; not those for other widths."""
    found: dict[str, dict[str, str]] = {}
    lower, at = markup.lower(), 0
    while (start := lower.find("<style", at)) >= 0 and len(found) < _RULES:
        end = lower.find("</style", start)
        sheet = markup[markup.find(">", start) + 1 : end if end >= 0 else None]
        at = end if end >= 0 else len(markup)
        for rule in sheet[:60_000].partition("@media")[0].split("}"):
            selectors, _, body = rule.partition("{")
            said = _declared(body)
            for one in selectors.split(",")[:20] if said else ():
                if _SELECTOR.match(one.strip()):
                    found.setdefault(one.strip().lower(), {}).update(said)
    return found


def _declared(text: str) -> dict[str, str]:
    return {name.lower(): value.strip().lower() for name, value in _DECLARATION.findall(text[:3000])}


def _parsed(markup: str, rules: Mapping[str, Style]) -> _Element | None:
    """The elements and texts that are shown; None where there are too many."""
    root = _Element("body", {}, {})
    open_ = [root]
    at = count = 0
    unseen = ""
    for found in _PIECE.finditer(markup):
        closing, tag = found[1], found[2].lower()
        if unseen:
            if closing and tag == unseen:
                unseen, at = "", found.end()
            continue
        if text := markup[at : found.start()]:
            open_[-1].children.append(html.unescape(text))
        at = found.end()
        if closing:
            _close(open_, tag)
        elif tag in _UNSEEN:
            unseen = tag
        elif tag not in ("html", "head", "body"):
            count += 1
            if count > _MOST:
                return None
            while open_[-1].tag in _ENDED_BY.get(tag, ()) or (open_[-1].tag == "p" and tag in _BLOCKS):
                open_.pop()
            one = _element(tag, found[3], rules)
            open_[-1].children.append(one)
            if tag not in _VOID and not found[3].endswith("/") and len(open_) < _DEEPEST:
                open_.append(one)
    if not unseen:
        open_[-1].children.append(html.unescape(markup[at:]))
    return root


def _close(open_: list[_Element], tag: str) -> None:
    for depth in range(len(open_) - 1, 0, -1):
        if open_[depth].tag == tag:
            del open_[depth:]
            return
        if open_[depth].tag == "table" and tag not in ("div", "center", "body"):
            return


def _element(tag: str, written: str, rules: Mapping[str, Style]) -> _Element:
    attributes = {name.lower(): a or b or c for name, a, b, c in _ATTRIBUTE.findall(written[:2000])}
    style: dict[str, str] = dict(rules.get(tag, {}))
    for name in attributes.get("class", "").lower().split()[:10]:
        style |= rules.get(f".{name}", {})
        style |= rules.get(f"{tag}.{name}", {})
    style |= _declared(html.unescape(attributes.get("style", "")))
    return _Element(tag, style, attributes)


# --- how much room it takes -------------------------------------------------------------------------------------------


def _pixels(text: str | None, font: float, of: float = 0.0) -> float | None:
    """A length in CSS pixels; None where there is none. `of` is what percentages are of."""
    found = _LENGTH.match(text.strip()) if text else None
    if found is None:
        return None
    number, unit = float(found[1]), (found[2] or "px").lower()
    if unit == "%":
        return number * of / 100 if of else None
    return number * {"px": 1.0, "pt": 4 / 3, "em": font, "rem": 16.0, "cm": 37.8}[unit]


def _sides(style: Style, what: str, font: float, of: float) -> list[float | None]:
    """Top, right, bottom, left of a margin or padding; None where nothing is said."""
    given = [_pixels(one, font, of) for one in style.get(what, "").split()[:4]]
    sides: list[float | None] = [None] * 4
    if given:
        sides = [given[min(number, len(given) - 1)] if number < 2 else None for number in range(4)]
        sides[2] = given[2] if len(given) > 2 else sides[0]
        sides[3] = given[3] if len(given) > 3 else sides[1]
    for number, side in enumerate(("top", "right", "bottom", "left")):
        if f"{what}-{side}" in style:
            sides[number] = _pixels(style[f"{what}-{side}"], font, of)
    return sides


@dataclass(slots=True)
class _Letters:
    """How text is set."""

    size: float
    leading: str  # as line-height says it
    face: str = ""
    pre: bool = False

    @property
    def line(self) -> float:
        stated = _pixels(self.leading, self.size, self.size) or 0.0
        if self.leading.replace(".", "", 1).isdigit():
            stated *= self.size
        return stated or 1.2 * self.size

    def within(self, one: _Element) -> "_Letters":
        style = one.style
        size = self.size * _SIZES.get(one.tag, 1.0)
        stated = _pixels(style.get("font-size"), self.size, self.size)
        if stated is not None:
            size = stated
        pre = one.tag == "pre" or (self.pre and not style.get("white-space", "pre").startswith("n"))
        return _Letters(
            min(size, 80.0),
            style.get("line-height", self.leading),
            "monospace" if one.tag in ("pre", "code", "tt", "kbd") else style.get("font-family", self.face),
            pre or "pre" in style.get("white-space", ""),
        )

    def width(self, text: str) -> float:
        if self.face == "monospace" or text.isascii():
            letter = _MONOSPACE if self.face == "monospace" else _LETTER
            if self.face.startswith(("arial", "helvetica", '"helvetica', "'helvetica")):
                letter = _NARROW_LETTER
            return len(text) * letter * self.size
        square = sum(char >= "\u2e80" for char in text)
        cyrillic = sum("\u0400" <= char < "\u0530" for char in text)
        latin = len(text) - square - cyrillic
        return (latin * _LETTER + cyrillic * _CYRILLIC + square * _SQUARE) * self.size


@dataclass(slots=True)
class _Flow:
    """One column of lines and blocks, filled from above."""

    width: float
    narrow: bool  # the frame is
    y: float = 0.0
    gapped: float = 0.0  # by margins, which collapse
    _run: float = 0.0  # on the line that is not full yet
    _line: float = 0.0
    said: bool = False
    folded: bool = False
    ended: bool = False  # all that follows is in a fold
    opened: float = 0.0  # of quotes before which nothing was said: folded as well, if something is said below
    in_quote: bool = False

    def text(self, text: str, letters: _Letters) -> None:
        if letters.pre:
            first, *more = text[:_LARGEST].split("\n")
            self._fill_lines(first.split(" "), letters)
            for one in more:
                self.end_line(letters)
                self._fill_lines(one.split(" "), letters)
                if self.y > _SEEN:
                    break
            self.said, self.folded = self.said or bool(text.strip()), False
            return
        words = [word for word in _SPACES.split(text) if word]
        if any(word.strip(_NOTHING) for word in words):
            self.said, self.folded = True, False
        self._fill_lines(words, letters)

    def _fill_lines(self, words: list[str], letters: _Letters) -> None:
        space, line, room = letters.width(" "), letters.line, max(self.width, 20.0)
        for word in words:
            wide = letters.width(word)
            self._make_room(wide)
            if wide > room:  # it is broken wherever the line ends
                full = wide // room
                self.solid(full * line)
                wide -= full * room
            self._run += wide + space
            self._line = max(self._line, line)
            if self.y > _SEEN:
                return

    def _make_room(self, wide: float) -> None:
        if self._run and self._run + wide > self.width:
            self.end_line()

    def picture(self, wide: float, high: float) -> None:
        """Stands on the line like a letter."""
        self._make_room(wide)
        self._run += wide
        self._line = max(self._line, high)
        self.said, self.folded = True, False

    def end_line(self, letters: _Letters | None = None) -> None:
        """The line is full; with `letters`, there is one even if it is empty."""
        if self._run or letters is not None:
            self.solid(self._line or (letters.line if letters else 0.0))
            self._run = self._line = 0.0

    def solid(self, height: float) -> None:
        """Something that margins do not go through."""
        if height > 0:
            self.y += self.gapped + height
            self.gapped = 0.0

    def gap(self, height: float) -> None:
        self.gapped = max(self.gapped, height)

    @property
    def height(self) -> float:
        return self.y + self.gapped


def _laid_out(root: _Element, width: int) -> float:
    flow = _Flow(width - 2 * _SIDE, width <= _NARROW)
    _fill(flow, root, _Letters(_FONT, str(_LEADING)))
    flow.end_line()
    return flow.height - (flow.opened if flow.said else 0.0) + 2 * _EDGE


def _fill(flow: _Flow, parent: _Element, letters: _Letters) -> None:
    for child in parent.children:
        if flow.ended or flow.y > _SEEN:
            return
        if isinstance(child, str):
            flow.text(child, letters)
        elif not _hidden(child):
            _place(flow, child, letters.within(child))


def _hidden(one: _Element) -> bool:
    return one.style.get("display", "").startswith("none") or one.style.get("max-height", "").startswith("0")


def _place(flow: _Flow, one: _Element, letters: _Letters) -> None:
    marks = f"{one.attributes.get('class', '')} {one.attributes.get('id', '')}"
    if flow.said and _LAST_QUOTE.search(marks):
        flow.end_line()
        _fold(flow)
        flow.ended = True
    elif not flow.in_quote and (_QUOTE.search(marks) or (one.tag == "blockquote" and "type" in one.attributes)):
        _quote(flow, one, letters)
    elif one.tag == "br":
        flow.end_line(letters)
    elif one.tag == "img":
        _picture(flow, one, letters)
    elif one.tag == "table":
        flow.end_line()
        top, _, bottom, _ = _sides(one.style, "margin", letters.size, flow.width)
        flow.gap(top or 0.0)
        flow.solid(_table(flow, one, letters))
        flow.gap(bottom or 0.0)
    elif one.tag in _BLOCKS or one.style.get("display", "").startswith("block"):
        _block(flow, one, letters)
    else:
        _fill(flow, one, letters)


def _quote(flow: _Flow, one: _Element, letters: _Letters) -> None:
    """Folded, where it is longer than three lines; open, where nothing else is in the mail."""
    flow.end_line()
    before, said, after_fold = flow.height, flow.said, flow.folded
    flow.in_quote = True
    _block(flow, one, letters)
    flow.in_quote, flow.said = False, said
    added = flow.height - before
    if added <= 3 * letters.line and not after_fold:
        return
    if said:
        flow.y, flow.gapped, flow.folded = before, 0.0, after_fold
        _fold(flow)
    else:
        flow.opened += added
        flow.solid(0.0 if after_fold else _FOLD)
        flow.folded = True


def _fold(flow: _Flow) -> None:
    if not flow.folded:
        flow.solid(_FOLD)
        flow.folded = True


def _picture(flow: _Flow, one: _Element, letters: _Letters) -> None:
    wide = _pixels(one.style.get("width"), letters.size, flow.width) or _pixels(
        one.attributes.get("width"), letters.size, flow.width
    )
    high = _pixels(one.attributes.get("height"), letters.size)
    fixed = _pixels(one.style.get("height"), letters.size)
    if wide is not None and wide <= 1:
        return
    used = min(wide if wide is not None else 60.0, flow.width)
    if fixed is None:
        fixed = high * used / wide if high and wide else high or (60.0 if wide is None else min(used / 3, 200.0))
    flow.picture(used, fixed + 6)  # and what letters need below the line


def _block(flow: _Flow, one: _Element, letters: _Letters) -> None:
    flow.end_line()
    width = flow.width
    margin, padding = (_sides(one.style, what, letters.size, width) for what in ("margin", "padding"))
    usual = _MARGINS.get(one.tag, 0.0) * letters.size
    flow.gap(usual if margin[0] is None else margin[0])
    flow.solid(padding[0] or 0.0)
    stated = _pixels(one.style.get("width"), letters.size, width)
    most = _pixels(one.style.get("max-width"), letters.size, width)
    outer = sum(side or 0.0 for side in (margin[1], margin[3]))
    if margin[3] is None:
        outer += _INDENTS.get(one.tag, 0.0)
    room = min(one_ for one_ in (width - outer, stated, most) if one_ is not None)
    inner = room - sum(side or 0.0 for side in (padding[1], padding[3]))
    flow.width = max(inner, 20.0)
    begins = flow.y
    _fill(flow, one, letters)
    flow.end_line(letters if one.tag == "hr" else None)
    least = _pixels(one.style.get("height"), letters.size) or 0.0
    if flow.y - begins < least:
        flow.solid(least - (flow.y - begins))
    flow.solid(padding[2] or 0.0)
    flow.gap(usual if margin[2] is None else margin[2])
    flow.width = width


# --- tables -----------------------------------------------------------------------------------------------------------


def _rows(table: _Element) -> Iterator[_Element]:
    for child in table.children:
        if isinstance(child, _Element) and not _hidden(child):
            if child.tag == "tr":
                yield child
            elif child.tag in ("tbody", "thead", "tfoot"):
                yield from _rows(child)


def _cells(row: _Element) -> list[_Element]:
    return [one for one in row.children if isinstance(one, _Element) and one.tag in _CELLS and not _hidden(one)]


def _number(one: _Element, name: str, usual: float) -> float:
    found = _pixels(one.attributes.get(name), _FONT)
    return usual if found is None else min(found, 100.0)


def _span(cell: _Element) -> int:
    return int(max(1, min(_number(cell, "colspan", 1), 20)))


def _table(flow: _Flow, table: _Element, letters: _Letters) -> float:
    """How high a table is."""
    spacing, padding = _number(table, "cellspacing", 2.0), _number(table, "cellpadding", 1.0)
    border = 1.0 if _number(table, "border", 0.0) else 0.0
    rows = [(_cells(row), letters.within(row)) for row in _rows(table)]
    columns = max((sum(map(_span, cells)) for cells, _ in rows), default=0)
    if not columns:
        return 0.0
    written = table.style.get("width") or table.attributes.get("width")
    stated = _pixels(written, letters.size, flow.width)
    if stated is not None and flow.narrow and "%" not in (written or ""):
        stated = flow.width
    room = min(stated, flow.width) if stated is not None else flow.width
    room -= spacing * (columns + 1) + 2 * border
    widths = _shared(rows, min(columns, 60), room, padding + border, flow.narrow, filled=stated is not None)
    height = 2 * border + spacing
    for cells, of_row in rows:
        tallest, column = 0.0, 0
        for cell in cells:
            span = _span(cell)
            width = sum(widths[column : column + span]) + spacing * (span - 1)
            column += span
            high = _cell(flow, cell, width, padding, border, of_row)
            tallest = max(tallest, high / max(1.0, _number(cell, "rowspan", 1.0)))
        height += tallest + spacing
        if height > _SEEN:
            break
    return max(height, _number(table, "height", 0.0))


def _cell(flow: _Flow, cell: _Element, width: float, padding: float, border: float, letters: _Letters) -> float:
    own = letters.within(cell)
    sides = [padding if side is None else side for side in _sides(cell.style, "padding", own.size, width)]
    inner = _Flow(max(width - sides[1] - sides[3] - 2 * border, 20.0), flow.narrow, said=flow.said)
    _fill(inner, cell, own)
    inner.end_line()
    flow.said = flow.said or inner.said
    least = _pixels(cell.style.get("height"), own.size) or _number(cell, "height", 0.0)
    return max(inner.height + sides[0] + sides[2] + 2 * border, least)


def _shared(
    rows: "list[tuple[list[_Element], _Letters]]",
    columns: int,
    room: float,
    padding: float,
    narrow: bool,
    *,
    filled: bool,
) -> list[float]:
    """The widths of a table's columns (CSS 2.1 17.5.2.2, about)."""
    least, most = [0.0] * columns, [0.0] * columns
    fixed: dict[int, float] = {}
    for cells, letters in rows:
        column = 0
        for cell in cells:
            span = _span(cell)
            if span == 1 and column < columns:
                small, large = _wide(cell, letters.within(cell))
                sides = _sides(cell.style, "padding", letters.size, room)
                beside = sum(padding if side is None else side for side in (sides[1], sides[3]))
                least[column] = max(least[column], small + beside)
                most[column] = max(most[column], large + beside)
                written = cell.style.get("width") or cell.attributes.get("width")
                if written and ("%" in written or not narrow):
                    fixed[column] = max(fixed.get(column, 0.0), _pixels(written, letters.size, room) or 0.0)
            column += span
    for column, width in fixed.items():
        most[column] = max(least[column], width)
        if width:
            least[column] = most[column]
    if sum(most) <= room:
        if not filled:
            return most
        free = [column for column in range(columns) if not fixed.get(column)] or list(range(columns))
        total = sum(most[column] for column in free) or 1.0
        more = room - sum(most)
        return [w + (more * (w or 1.0) / total if column in free else 0.0) for column, w in enumerate(most)]
    if sum(least) >= room:
        scale = room / sum(least)
        return [max(width * scale, 10.0) for width in least]
    scale = (room - sum(least)) / (sum(most) - sum(least))
    return [small + (large - small) * scale for small, large in zip(least, most, strict=True)]


def _wide(one: _Element, letters: _Letters) -> tuple[float, float]:
    """How wide content is where it breaks wherever it can, and where it does not break at all."""
    if one.wide is not None:
        return one.wide
    least = most = run = 0.0
    for child in one.children:
        if isinstance(child, str):
            words = child.split()
            least = max([least, *(letters.width(word) for word in words)])
            run += letters.width(" ".join(words)) + (letters.width(" ") if words else 0.0)
        elif not _hidden(child):
            small, large = _wide_of(child, letters.within(child))
            least = max(least, small)
            if child.tag in _BLOCKS or child.tag == "br":
                most, run = max(most, run, large), 0.0
            else:
                run += large
    # Anything breaks where it has to (overflow-wrap: anywhere), which is why a word is no hard bound.
    one.wide = (min(least, 220.0), max(most, run))
    return one.wide


def _wide_of(one: _Element, letters: _Letters) -> tuple[float, float]:
    stated = _pixels(one.style.get("width") or one.attributes.get("width"), letters.size)
    if one.tag == "img":
        return 20.0, stated or 60.0
    if one.tag == "table":
        inner = [[_wide(cell, letters.within(cell)) for cell in _cells(row)] for row in _rows(one)]
        small = max((sum(pair[0] for pair in row) for row in inner), default=0.0)
        large = max((sum(pair[1] for pair in row) for row in inner), default=0.0)
        return small, stated or large
    small, large = _wide(one, letters)
    return small, stated or large
