"""Patterns of rules: wildcards and regular expressions, in an engine whose time is linear (RE2), and what is wrong in
them, in words. Pure; no pattern can hang, whoever wrote it and whatever mail it meets."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

LONGEST = 500  # characters of one pattern
MOST = 200  # lines of one condition
_MEMORY = 1 << 20  # bytes that one compiled pattern may take
_LARGEST = 2000  # instructions of a compiled pattern
# Time goes with the size of the pattern and of the text: what is looked at is bounded by both.
_TEXT = 100_000  # characters
_STEPS = 10_000_000  # characters times instructions
_VALUE = 100  # characters of what a pattern captures


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with what somebody typed: a sentence with placeholders, for the catalogues, and what stands there.

    `line` counts from 1 where it is about one line of several.
    """

    text: str
    values: Mapping[str, str] = field(default_factory=dict)
    line: int | None = None

    def __str__(self) -> str:
        """In English."""
        said = self.text % self.values
        return f"Line {self.line}: {said[:1].lower() + said[1:]}" if self.line is not None else said


class Flawed(Exception):
    """A pattern that cannot be used."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(str(flaw))
        self.flaw = flaw


def say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line, ready to be compared."""

    typed: str
    names: tuple[str, ...]  # of what it captures
    _compiled: Any
    _reach: int  # characters that are looked at

    def found(self, text: str) -> Mapping[str, str] | None:
        """What it captures in a text, by name and tidied up; None where it is not found. The beginning of a long text
        is looked at."""
        match = self._compiled.search(text[: self._reach] if len(text) > self._reach else text)
        if match is None:
            return None
        return {name: tidy(value) for name, value in match.groupdict().items() if value} if self.names else {}


def wildcard(typed: str, *, whole: bool) -> Pattern:
    """`*` for anything, `?` for one character, upper and lower case alike; compared with the whole text, or found
    anywhere in it. Flawed where it is too long."""
    return _wildcard(_short(typed), whole)


def regular(typed: str) -> Pattern:
    """A regular expression as RE2 has it, found anywhere in the text. Flawed where it is none."""
    return _regular(_short(typed))


def any_of(some: Sequence[Pattern]) -> Callable[[str], bool]:
    """Whether any of several patterns may be found in a text: one look for all of them where they are small enough.

    Most mail meets no line of most rules.
    """
    together = _together(tuple(one._compiled.pattern for one in some), some[0]._compiled.options.case_sensitive)
    reach = min(one._reach for one in some)
    if together is None or len(some) == 1:
        return lambda _text: True
    return lambda text: len(text) > reach or together.search(text) is not None


@lru_cache(maxsize=256)
def _together(typed: tuple[str, ...], exact: bool) -> Any:
    import re2

    try:
        compiled = re2.compile("|".join(f"(?:{one})" for one in typed), _options(folded=not exact))
    except re2.error:  # too large, or a name stands twice
        return None
    return compiled if compiled.programsize <= _LARGEST else None


def tidy(value: str) -> str:
    """What a mail says, fit to be put elsewhere: one line, nothing that steers, not too long."""
    return " ".join("".join(one if one.isprintable() else " " for one in value).split())[:_VALUE].strip()


def _short(typed: str) -> str:
    if len(typed) > LONGEST:
        raise Flawed(Flaw(say("The pattern is too long: at most %(most)s characters."), {"most": str(LONGEST)}))
    return typed


@lru_cache(maxsize=1024)
def _wildcard(typed: str, whole: bool) -> Pattern:
    import re2  # slow to load, and needed only where there are rules

    inside = "".join(".*" if one == "*" else "." if one == "?" else re2.escape(one) for one in typed)
    return _pattern(typed, re2.compile(f"^(?:{inside})$" if whole else inside, _options(folded=True)))


def _pattern(typed: str, compiled: Any) -> Pattern:
    reach = min(_TEXT, _STEPS // compiled.programsize)
    return Pattern(typed, tuple(compiled.groupindex), compiled, reach)


@lru_cache(maxsize=1024)
def _regular(typed: str) -> Pattern:
    import re2

    try:
        compiled = re2.compile(typed, _options(folded=False))
    except re2.error as error:
        raise Flawed(_explained(typed, error)) from None
    if compiled.programsize > _LARGEST:
        raise Flawed(Flaw(_SAID["pattern too large - compile failed"]))
    return _pattern(typed, compiled)


def _options(*, folded: bool) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.case_sensitive = not folded
    options.dot_nl = folded  # a wildcard's * goes over lines
    return options


# --- what is wrong, in words ---

_REPEATS = "+*?"


def _explained(typed: str, error: Exception) -> Flaw:
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    kind, _, rest = text.partition(": ")
    known = {
        "missing ]": _bracket,
        "missing )": _parenthesis,
        "missing argument to repetition operator": _nothing_repeated,
        "no argument for repetition operator": _nothing_repeated,
    }
    if kind in known:
        return known[kind](typed, rest)
    if (kind == "invalid perl operator" and rest[:4] in ("(?=", "(?!", "(?<=", "(?<!")) or rest[:3] in ("(?=", "(?!"):
        return Flaw(
            say("Looking ahead or behind, as in “%(what)s”, is not possible: it could take forever."), _what(rest)
        )
    if kind == "invalid escape sequence" and rest[1:2].isdigit():
        return Flaw(say("Referring back, as in “%(what)s”, is not possible: it could take forever."), _what(rest))
    return Flaw(_SAID.get(kind, say("This is no regular expression (%(what)s).")), _what(rest or text))


_SAID = {
    "unexpected )": say("The parenthesis “)” closes nothing. Put a “(” before it, or write “\\)”."),
    "bad repetition operator": say("“%(what)s” repeats twice. One of them is enough."),
    "invalid repetition size": say("“%(what)s” repeats too often, or ends before it begins: at most 1000 times."),
    "trailing \\": say("The backslash at the end stands before nothing. Write “\\\\” for a backslash."),
    "invalid character class range": say("“%(what)s” is no range: its first character has to come before its last."),
    "invalid escape sequence": say("“%(what)s” means nothing here. Leave the backslash out."),
    "invalid named capture group": say("“%(what)s” gives no name: write (?P<name>…), with letters, digits and _."),
    "invalid perl operator": say("“%(what)s” means nothing here. Write “\\(” for a parenthesis."),
    "duplicate capture group name": say("“%(what)s” stands twice. Give each its own name."),
    "pattern too large - compile failed": say("The pattern is too large. Make its repetitions shorter."),
}  # fmt: skip


def _what(rest: str) -> dict[str, str]:
    return {"what": rest[:40]}


def _bracket(typed: str, rest: str) -> Flaw:
    inside = rest.rstrip(_REPEATS)
    last = inside[-1:] if len(inside) > 1 else ""
    if not last:
        return Flaw(say("The bracket “[” is never closed. Write “\\[” for a bracket."))
    return Flaw(say("The bracket “[” is never closed. Add “]” after “%(last)s”."), {"last": last})


def _parenthesis(typed: str, _rest: str) -> Flaw:
    return Flaw(say("The parenthesis “(” is never closed. Add “)” after “%(last)s”."), {"last": typed[-1:]})


def _nothing_repeated(_typed: str, rest: str) -> Flaw:
    return Flaw(say("“%(what)s” repeats nothing. Put before it what is to be repeated."), _what(rest))


def lines(text: str) -> Iterator[tuple[int, str]]:
    """What stands on each line of a field, with its number; empty ones say nothing."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()


_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,31})\}")


def placeholders(text: str) -> list[str]:
    """The names in braces in an action's text."""
    return _NAME.findall(text)


def fill(text: str, captured: Mapping[str, str]) -> str | None:
    """A text with what was captured in place of the names; None where one was not."""
    if any(name not in captured for name in placeholders(text)):
        return None
    return _NAME.sub(lambda found: captured[found[1]], text)
