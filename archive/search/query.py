"""What people type into the search field, understood."""

import re
from dataclasses import dataclass

LONGEST = 2000  # characters
MOST_TERMS = 64

_TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')


@dataclass(frozen=True, slots=True)
class Term:
    """A word, or several that must stand together."""

    text: str
    prefix: bool = False  # the last word may go on
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """All of these terms, none of the negated ones."""

    terms: tuple[Term, ...]

    @property
    def wanted(self) -> tuple[Term, ...]:
        """The terms that have to be there."""
        return tuple(term for term in self.terms if not term.negated)

    @property
    def unwanted(self) -> tuple[Term, ...]:
        """The terms that may not be there."""
        return tuple(term for term in self.terms if term.negated)


def parse(text: str) -> Query:
    """The terms in what was typed. Never fails: what holds no letter or digit counts for nothing."""
    terms = []
    text = (
        text[:LONGEST].encode("utf-8", "replace").decode()
    )  # a terminal gives half characters, no database takes them
    for minus, quoted, word in _TERM.findall(text):
        term = quoted or word
        prefix = not quoted and term.endswith("*")
        if any(char.isalnum() for char in term):
            terms.append(Term(term.rstrip("*") if prefix else term, prefix, bool(minus)))
    return Query(tuple(terms[:MOST_TERMS]))
