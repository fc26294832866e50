"""HTML of outsiders made harmless: looks kept, nothing runs, nothing is fetched unless asked for. Pure.

Three passes. lxml reads the markup first and gives it back well nested: it bounds the depth, while css-inline and nh3
grow slow or overflow the stack on twenty thousand nested elements. css-inline moves style sheets into attributes. nh3
parses as browsers do and lets through only what is listed here; it comes last, so nothing it gave out is changed.
Markup made to be slow still is; `laundry` runs this where it may be killed.
"""

import html
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import css_inline
import lxml.etree  # type: ignore[import-untyped]
import lxml.html  # type: ignore[import-untyped]
import nh3
import tinycss2  # type: ignore[import-untyped]
import tinycss2.ast  # type: ignore[import-untyped]

from . import html_quotes, media_rules

LARGEST = 2_000_000  # characters
_MOST_STYLE = 300_000  # characters of style attributes looked at in one mail; what exceeds that goes unstyled
_MOST_RULES = 3_000_000  # style rules times elements: what inlining may cost


class TooTangled(Exception):
    """The markup is too large or too deeply nested to be shown; its text can be."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Markup that may be shown in a sandboxed frame."""

    html: str
    blocked: int  # pictures on other servers that are not loaded
    sheet: str  # rules for narrow and wide windows


def clean(
    markup: str, *, inline: Callable[[str], str | None], pictures: bool = False, forwarded: bool = False
) -> Cleaned:
    """The harmless form of a mail's HTML; TooTangled where there is none.

    Quotes in it are folded, except those of a mail that is `forwarded`; `with_folds_named` gives the folds their words.

    `inline` gives the address under which a part of the mail with this Content-ID is found (RFC 2392), `pictures` lets
    pictures be loaded from other servers.
    """
    nested, sheets = _well_nested(markup, forwarded)
    tidy = _inlined(nested)
    judge = _Judge(inline, pictures)
    judge.rules = media_rules.kept(sheets, _TAGS, judge.declarations)
    cleaned = nh3.clean(
        tidy,
        tags=_TAGS,
        clean_content_tags=_GONE,
        attributes=_ATTRIBUTES,
        attribute_filter=judge.attribute,
        strip_comments=True,
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        url_schemes={"http", "https", "mailto", "cid", "data"},
        url_relative="pass_through",  # the judge lets none through; ours would not pass otherwise
    )
    return Cleaned(cleaned, judge.blocked, judge.rules.sheet)


_FOLD = re.compile(f"<summary>{html_quotes.MARK}([0-9]{{1,7}}){html_quotes.MARK}</summary>")


def with_folds_named(cleaned: str, name: Callable[[int], str]) -> str:
    """Harmless markup whose folds say how much is in them; `name` says it of a number of lines."""
    return _FOLD.sub(lambda found: f"<summary>{html.escape(name(int(found[1])))}</summary>", cleaned)


# --- first pass: well nested -----------------------------------------------------------------------------------

_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*>", re.IGNORECASE)
# What no parser of XML takes in a string; browsers drop or replace it as well.
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _well_nested(markup: str, forwarded: bool) -> tuple[str, list[str]]:
    if len(markup) > LARGEST:
        raise TooTangled("too large")
    text = _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", _XML_DECLARATION.sub("", markup))
    parser = lxml.html.HTMLParser(
        recover=True, no_network=True, remove_comments=True, remove_pis=True, huge_tree=False, encoding="utf-8"
    )
    if not text.strip():
        return "", []
    try:
        tree = lxml.html.document_fromstring(text.encode("utf-8"), parser=parser)
    except lxml.etree.ParserError:
        return "", []  # nothing but comments
    if any("depth" in fault.message for fault in parser.error_log):
        raise TooTangled("nested too deeply")
    _paint_body(tree)
    html_quotes.fold(tree, forwarded=forwarded)
    sheets = [style.text or "" for style in tree.iter("style")]
    if any("@media" in sheet.lower() for sheet in sheets):
        _say_ids(tree)
    return str(lxml.etree.tostring(tree, method="html", encoding="unicode")), sheets


def _say_ids(tree: "lxml.html.HtmlElement") -> None:
    """Say ids as classes: sheets may ask for them, and nothing else in the frame shall."""
    for element in tree.iter("*"):
        if name := element.get("id"):
            element.set("class", f"{element.get('class', '')} {media_rules.id_name(name)}".strip())


def _paint_body(tree: "lxml.html.HtmlElement") -> None:
    """Say the body's colours as a style: the element that will stand for it knows no others."""
    for body in tree.iter("body"):
        said = (("background-color", body.get("bgcolor")), ("color", body.get("text")))
        style = "".join(f"{name}: {value};" for name, value in said if value)
        if style:
            body.set("style", style + body.get("style", ""))


# --- second pass: style sheets into attributes -------------------------------------------------------------------

_BODY = re.compile(r'<body((?:[^">]|"[^"]*")*)>')


def _inlined(markup: str) -> str:
    if "<style" in markup:
        if markup.count("{") * markup.count("<") > _MOST_RULES:
            return markup  # shown without its style sheets
        try:
            markup = css_inline.inline(markup, load_remote_stylesheets=False)
        except (css_inline.InlineError, ValueError):
            return markup
    # What the body looks like would go with it: a fragment has none.
    _, body, rest = markup.partition("<body")
    found = _BODY.match(body + rest)
    if found is None:
        return markup
    return f"<div{found[1]}>{rest[found.end() - len(body) :].rpartition('</body>')[0] or rest}</div>"


# --- third pass: only what is listed ---------------------------------------------------------------------------


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _names("""
    a abbr acronym address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del
    details dfn dir div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main
    mark menu nav ol p pre q s samp section small span strike strong sub summary sup table tbody td tfoot th thead
    time tr tt u ul var wbr
""")
# Gone with all that is in them; of any other element only the tags go.
_GONE = _names("""
    applet area audio base canvas embed frame frameset iframe link map math meta noembed noframes noscript object
    param plaintext script select slot source style svg template textarea title track video xmp
""")
_ATTRIBUTES = {
    "*": {"align", "bgcolor", "class", "dir", "lang", "style", "title", "valign", "width", "height"},
    "a": {"href"},
    "blockquote": {"type"},
    "details": {"open"},
    "font": {"color", "face", "size"},
    "hr": {"color", "noshade", "size"},
    "img": {"alt", "border", "hspace", "src", "vspace"},
    "li": {"type", "value"},
    "ol": {"reversed", "start", "type"},
    "table": {"background", "border", "bordercolor", "cellpadding", "cellspacing", "frame", "rules", "summary"},
    "td": {"abbr", "background", "colspan", "nowrap", "rowspan", "scope"},
    "th": {"abbr", "background", "colspan", "nowrap", "rowspan", "scope"},
    "tr": {"background"},
    "ul": {"type"},
}
_LINKS = ("http://", "https://", "mailto:")
_REMOTE = ("http://", "https://")
_DATA = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\s]+\Z", re.IGNORECASE)


class _Judge:
    """Says of one mail's attributes which stay, and as what."""

    def __init__(self, inline: Callable[[str], str | None], pictures: bool) -> None:
        self.blocked = 0
        self._inline = inline
        self._pictures = pictures
        self._styles: dict[str, str] = {}
        self._style_left = _MOST_STYLE
        self.rules = media_rules.NONE

    def attribute(self, tag: str, name: str, value: str) -> str | None:
        """The value to keep; None for nothing."""
        if name == "style":
            return self._style(value)
        if name == "class":
            return self.rules.classes(value)
        if name == "href":
            return value if value.strip().lower().startswith(_LINKS) else None
        if name in ("src", "background"):
            return self._picture(value)
        if name in ("width", "height", "border", "hspace", "vspace"):
            return value if _LENGTH.match(value) else None
        return value

    def _picture(self, address: str) -> str | None:
        address = address.strip()
        lower = address[:8].lower()
        if lower.startswith("cid:"):
            return self._inline(address[4:])
        if lower.startswith(_REMOTE):
            if self._pictures:
                return address
            self.blocked += 1
            return None
        return address if _DATA.match(address) else None

    def _style(self, text: str) -> str | None:
        if text not in self._styles:
            self._style_left -= len(text)
            if self._style_left < 0:
                return None
            self._styles[text] = "; ".join(self._declared(text))
        return self._styles[text] or None

    def declarations(self, text: str) -> list[str]:
        """The harmless declarations of a rule."""
        self._style_left -= len(text)
        return list(self._declared(text)) if self._style_left >= 0 else []

    def _declared(self, text: str) -> Iterator[str]:
        for one in tinycss2.parse_declaration_list(text, skip_comments=True, skip_whitespace=True):
            if one.type != "declaration" or one.lower_name not in _PROPERTIES:
                continue
            value = self._value(one.value)
            if value is not None:
                yield f"{one.lower_name}: {value}{' !important' if one.important else ''}"

    def _value(self, tokens: "Iterable[tinycss2.ast.Node]", depth: int = 0) -> str | None:
        """The value written anew from its tokens; None where one of them is not harmless."""
        out: list[str] = []
        for token in tokens:
            kind = token.type
            if kind == "url":
                address = self._picture(token.value)
                if address is None:
                    return None
                out.append(_url(address))
            elif kind == "function":
                name = token.lower_name
                if name == "url":
                    strings = [one for one in token.arguments if one.type not in ("whitespace", "comment")]
                    address = self._picture(strings[0].value) if _is_string(strings) else None
                    if address is None:
                        return None
                    out.append(_url(address))
                    continue
                inner = self._value(token.arguments, depth + 1) if name in _FUNCTIONS and depth < 8 else None
                if inner is None:
                    return None
                out.append(f"{name}({inner})")
            elif kind == "literal":
                if token.value not in (",", "/", "+", "-", "*"):
                    return None
                out.append(token.value)
            elif kind == "whitespace":
                out.append(" ")
            elif kind in ("ident", "number", "percentage", "dimension", "hash", "string"):
                out.append(token.serialize())
            elif kind != "comment":
                return None
        return "".join(out).strip() or None


def _is_string(tokens: "list[tinycss2.ast.Node]") -> bool:
    return len(tokens) == 1 and tokens[0].type == "string"


def _url(address: str) -> str:
    # Percent signs instead of what could end the string or the attribute, whichever way it is read.
    for mark, code in ((" ", "%20"), ('"', "%22"), ("'", "%27"), ("(", "%28"), (")", "%29"), ("\\", "%5C")):
        address = address.replace(mark, code)
    return f"url('{address}')" if address.isprintable() else "none"


_LENGTH = re.compile(r"\s*[0-9]{1,5}(?:\.[0-9]{1,3})?\s*(?:%|px|\*)?\s*\Z")
_FUNCTIONS = _names("""
    rgb rgba hsl hsla hwb lab lch oklab oklch calc min max clamp linear-gradient radial-gradient
    repeating-linear-gradient repeating-radial-gradient conic-gradient
""")
# How mail looks. Not here: position and z-index (nothing lies over anything), content and counters, filters,
# animations and transitions, cursors, behavior and bindings.
_PROPERTIES = _names("""
    background background-color background-image background-position background-repeat background-size
    border-collapse border-radius border-spacing border-top-left-radius border-top-right-radius
    border-bottom-left-radius border-bottom-right-radius box-shadow box-sizing caption-side clear color direction
    display empty-cells float font font-family font-size font-stretch font-style font-variant font-weight height
    letter-spacing line-height list-style list-style-position list-style-type margin margin-bottom margin-left
    margin-right margin-top max-height max-width min-height min-width opacity mso-hide overflow overflow-wrap
    padding padding-bottom padding-left padding-right padding-top table-layout text-align text-decoration
    text-decoration-color text-decoration-line text-decoration-style text-indent text-shadow text-transform
    text-wrap unicode-bidi vertical-align visibility white-space width word-break word-spacing word-wrap
""") | {
    f"border{side}{what}"
    for side in ("", "-top", "-right", "-bottom", "-left")
    for what in ("", "-color", "-style", "-width")
}

# --- what a page says about the frame without making it ---------------------------------------------------------

_SOME_PICTURE = re.compile(
    r"""\b(?:src|background)\s{0,9}=\s{0,9}["']?\s{0,9}https?:|url\(\s{0,9}["']?\s{0,9}https?:""", re.IGNORECASE
)


def remote_pictures(markup: str) -> int:
    """About how many pictures on other servers the markup names."""
    return sum(1 for _ in _SOME_PICTURE.finditer(markup[:LARGEST]))
