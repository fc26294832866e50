"""Placeholders of templates: {{ticket}} and a few others. Pure.

A text is filled by plain substitution, never run: what stands between the braces is one of these names, or the text is
refused. What is filled in is plain text: it cannot end a line, and nothing in it means anything to Markdown or HTML.
"""

import re
from collections.abc import Iterator, Mapping

from .composing import clean

NAMES = ("ticket", "sender_name", "process", "author", "address")
THEIRS = frozenset({"sender_name"})  # what the sender wrote: never in a mail that goes out by itself
LONGEST = 80  # characters of a value

_PLACE = re.compile(r"\{\{([^{}]{0,80})\}\}")
_MEANS_SOMETHING = re.compile(r"[\\`*_{}\[\]<>#|~!()&$^=:/\"]")


def unknown(text: str) -> Iterator[str]:
    """What stands between braces in a text and is no placeholder."""
    for found in _PLACE.finditer(text):
        if found[1].strip() not in NAMES:
            yield found[0][:60]
    rest = _PLACE.sub("", text)
    if "{{" in rest or "}}" in rest:
        yield "{{" if "{{" in rest else "}}"


def named(text: str) -> frozenset[str]:
    """The placeholders in a text."""
    return frozenset(found[1].strip() for found in _PLACE.finditer(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """A text with its values; KeyError for a placeholder that has none. What is filled in is not filled again."""
    return _PLACE.sub(lambda found: plain(values[found[1].strip()]), text)


def plain(value: str) -> str:
    """A value of one line that is nothing but words."""
    return " ".join(_MEANS_SOMETHING.sub(" ", clean(value)).split())[:LONGEST].strip()
