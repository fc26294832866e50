"""Patterns: what they find, what is wrong in them in words, and that none can hang."""

import time

import pytest

from archive.work import patterns
from archive.work.patterns import Flawed


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (r"(?i)doklad [0-9+", "The bracket “[” is never closed. Add “]” after “9”."),
        ("[", "The bracket “[” is never closed. Write “\\[” for a bracket."),
        ("(a|b", "The parenthesis “(” is never closed. Add “)” after “b”."),
        ("a)", "The parenthesis “)” closes nothing. Put a “(” before it, or write “\\)”."),
        ("*a", "“*” repeats nothing. Put before it what is to be repeated."),
        ("a**", "“**” repeats twice. One of them is enough."),
        ("a{1001}", "“{1001}” repeats too often, or ends before it begins: at most 1000 times."),
        ("\\", "The backslash at the end stands before nothing. Write “\\\\” for a backslash."),
        ("[z-a]", "“z-a” is no range: its first character has to come before its last."),
        (r"\8", "Referring back, as in “\\8”, is not possible: it could take forever."),
        ("(?=x)", "Looking ahead or behind, as in “(?=”, is not possible: it could take forever."),
        ("(?<!x)y", "Looking ahead or behind, as in “(?<!”, is not possible: it could take forever."),
        (r"\y", "“\\y” means nothing here. Leave the backslash out."),
        ("(?P<a b>x)", "“(?P<a b>” gives no name: write (?P<name>…), with letters, digits and _."),
        ("(?:.{900}){30}", "“{30}” repeats too often, or ends before it begins: at most 1000 times."),
        ("(?:[ab]{1,40}c?){25}d", "The pattern is too large. Make its repetitions shorter."),
        ("a" * 501, "The pattern is too long: at most 500 characters."),
    ],
)
def test_what_is_wrong_is_said_in_words(typed: str, says: str) -> None:
    with pytest.raises(Flawed) as flawed:
        patterns.regular(typed)
    assert str(flawed.value.flaw) == says


HOSTILE = [
    "(a+)+$", "(a|aa)+$", "(a|a?)+$", "(.*a){12}$", "(.*)*(.*)*(.*)*x", "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(a?){300}a{300}b", "(?:[ab]{1,30}c?){20}d", "[ab]*a[ab]{900}c$", "(x+x+)+y", "((((a*)*)*)*)*$b",
]  # fmt: skip


@pytest.mark.parametrize("typed", HOSTILE)
def test_no_pattern_hangs(typed: str) -> None:
    pattern = patterns.regular(typed)
    for text in ("a" * 1_000_000, "ab" * 500_000, "x" * 1_000_000, "aZ" * 500_000):
        began = time.process_time()
        pattern.found(text + "!")
        assert time.process_time() - began < 2  # the others take minutes, or the age of the universe


@pytest.mark.parametrize(
    ("typed", "text", "whole", "there"),
    [
        ("*@brzoza.example", "Faktury@BRZOZA.example", True, True),
        ("*@brzoza.example", "faktury@brzoza.example.evil.example", True, False),
        ("faktury@*", "faktury@anything", True, True),
        ("in?oice", "Your INVOICE is here", False, True),
        ("in?oice", "Your INVOICE is here", True, False),
        ("a*z", "a\nb\nz", True, True),
        ("a.c", "abc", True, False),  # nothing but * and ? means more than itself
        ("účet*", "ÚČET 5", True, True),
        ("[(+\\", "x[(+\\y", False, True),
        ("*" * 500, "a" * 100_000, True, True),
    ],
)
def test_wildcards(typed: str, text: str, whole: bool, there: bool) -> None:
    assert (patterns.wildcard(typed, whole=whole).found(text) is not None) is there


def test_what_is_captured_is_one_line_and_short() -> None:
    pattern = patterns.regular(r"(?s)Order (?P<number>.*)")
    found = pattern.found("Order 20\r\n31\x1b[0m\u202e" + "x" * 500)
    assert found is not None
    value = found["number"]
    assert (value[:9], len(value)) == ("20 31 [0m", 100)
    assert value.isprintable()


def test_a_name_that_captured_nothing_fills_nothing() -> None:
    assert patterns.fill("Order {number}", {"number": "2031"}) == "Order 2031"
    assert patterns.fill("Order {number} {other}", {"number": "2031"}) is None
    assert patterns.fill("{x}", {"x": "{y}", "y": "no"}) == "{y}"  # what stands in a mail is not filled again
