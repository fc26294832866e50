"""What a mail's style sheets say for narrow and wide windows, written anew so that it can be kept. Pure.

Style sheets become attributes before a mail is shown; an attribute cannot say "on a phone". Of rules under conditions
only those about the width of the window stay, only with selectors made of elements, classes and ids, and each value is
judged like that of an attribute. Classes and ids get names of ours, so that they mean nothing else in the frame.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import tinycss2  # type: ignore[import-untyped]
import tinycss2.ast  # type: ignore[import-untyped]

_MOST = 200_000  # characters of style sheets that are read
_MOST_RULES = 500
_CONDITION = re.compile(
    r"\A(?:only\s+)?(?:screen|all)?(?:\s*and\s*)?"
    r"\(\s*(?P<what>(?:min|max)-(?:device-)?width)\s*:\s*(?P<px>\d{1,5}(?:\.\d{1,3})?)\s*(?P<unit>px|em|rem)\s*\)"
    r"(?:\s*and\s*\(\s*(?P<what2>(?:min|max)-(?:device-)?width)\s*:\s*(?P<px2>\d{1,5}(?:\.\d{1,3})?)\s*(?P<unit2>px|em|rem)\s*\))?\Z"
)
_NAME = re.compile(r"[A-Za-z_-][\w-]{0,60}\Z", re.ASCII)
_PREFIX = "m-"


@dataclass(frozen=True, slots=True)
class Rules:
    """The sheet that may stand in the frame, and the names in it that elements have to keep."""

    sheet: str
    names: frozenset[str]

    def classes(self, said: str) -> str | None:
        """What remains of a class attribute."""
        return " ".join(_PREFIX + name for name in dict.fromkeys(said.split()) if name in self.names) or None


NONE = Rules("", frozenset())


def id_name(name: str) -> str:
    """The class by which an element with this id is known."""
    return f"id-{name}"


def kept(sheets: list[str], tags: frozenset[str], declarations: Callable[[str], list[str]]) -> Rules:
    """The rules about the width of the window in a mail's style sheets. `declarations` gives harmless ones."""
    text = "\n".join(sheets)[:_MOST]
    if "@media" not in text.lower():
        return NONE
    names: set[str] = set()
    out: list[str] = []
    left = _MOST_RULES
    for rule in tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True):
        if rule.type != "at-rule" or rule.lower_at_keyword != "media" or rule.content is None:
            continue
        conditions = _conditions(tinycss2.serialize(rule.prelude))
        if not conditions:
            continue
        inner: list[str] = []
        for style in tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True):
            left -= 1
            if left < 0 or style.type != "qualified-rule":
                continue
            selectors = [(made, used) for made, used in _selectors(style.prelude, tags) if made]
            # Attributes come before sheets; what the author meant for this width would lose against them.
            said = [
                one if one.endswith("!important") else f"{one} !important"
                for one in declarations(tinycss2.serialize(style.content))
                if not set(one) & set("<>{}\\@")
            ]
            if selectors and said:
                inner.append(f"{', '.join(made for made, _ in selectors)} {{ {'; '.join(said)} }}")
                names.update(*(used for _, used in selectors))
        if inner:
            out.append(f"@media {conditions} {{ {' '.join(inner)} }}")
    return Rules("\n".join(out), frozenset(names))


def _conditions(prelude: str) -> str:
    """Conditions about the width, separated by commas; others are left out."""
    return ", ".join(filter(None, (_condition(one) for one in prelude[:1000].split(","))))


def _condition(one: str) -> str:
    found = _CONDITION.match(" ".join(one.lower().split()))
    if not found:
        return ""
    said = f"({found['what'].replace('device-', '')}: {found['px']}{found['unit']})"
    if found["what2"]:
        said += f" and ({found['what2'].replace('device-', '')}: {found['px2']}{found['unit2']})"
    return f"screen and {said}"


def _selectors(prelude: "list[tinycss2.ast.Node]", tags: frozenset[str]) -> Iterator[tuple[str, set[str]]]:
    one: list[tinycss2.ast.Node] = []
    for token in [*prelude, None]:
        if token is None or (token.type == "literal" and token.value == ","):
            yield _selector(one, tags)
            one = []
        else:
            one.append(token)


def _selector(tokens: "list[tinycss2.ast.Node]", tags: frozenset[str]) -> tuple[str, set[str]]:
    """A selector with names of ours, and the names; nothing where it asks for something else."""
    out, used = "", set()
    dot = False
    for token in tokens:
        kind, value = token.type, getattr(token, "value", "")
        if dot and kind != "ident":
            return "", set()
        if kind == "whitespace":
            out += " "
        elif kind == "ident" and dot:
            if not _NAME.match(value):
                return "", set()
            used.add(value)
            out, dot = f"{out}.{_PREFIX}{value}", False
        elif kind == "ident":
            if value.lower() not in tags and value.lower() != "body":
                return "", set()
            out += value.lower()
        elif kind == "hash" and _NAME.match(value):
            used.add(id_name(value))
            out += f".{_PREFIX}{id_name(value)}"
        elif kind == "literal" and value == ".":
            dot = True
        elif kind == "literal" and value in (">", "+", "~", "*"):
            out += value
        elif kind == "[] block" and (name := _class_asked_for(token.content)):
            used.add(name)
            out += f".{_PREFIX}{name}"
        else:
            return "", set()
    return ("", set()) if dot else (out.strip(), used)


def _class_asked_for(tokens: "list[tinycss2.ast.Node]") -> str | None:
    """The name in `[class=name]`, `[class~=name]` or `[class*=name]`, as sheets are written round faults of readers."""
    said = [token for token in tokens if token.type not in ("whitespace", "comment")]
    if len(said) != 3 or said[0].type != "ident" or said[0].lower_value != "class":
        return None
    if said[1].type != "literal" or said[1].value not in ("=", "~=", "*=") or said[2].type not in ("string", "ident"):
        return None
    name: str = said[2].value
    return name if _NAME.match(name) else None
