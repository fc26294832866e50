"""The kinds of search index, by the database they are in."""

from collections.abc import Sequence
from typing import Protocol, cast

from ..people.scopes import Viewer
from ..store.archive import Session
from . import fts5, postgres
from .marks import Marks
from .plan import Ask, Plan
from .words import Words


class Backend(Protocol):
    """A search index: rows of words and marks, by message. All within the caller's transaction."""

    @staticmethod
    def add(session: Session, rows: Sequence[tuple[Words, Marks]], /) -> None:
        """Index messages that are not in the index; each with its marks, among them the scopes that may see it."""

    @staticmethod
    def replace(session: Session, rows: Sequence[tuple[tuple[Words, Marks], tuple[Words, Marks]]], /) -> None:
        """Index messages anew that are in the index: each exactly as it was put in, and as it is from now on."""

    @staticmethod
    def change_scopes(session: Session, rows: Sequence[tuple[Words, Marks, Marks]], /) -> None:
        """Give messages that are in the index other marks: each with those it had and those it has from now on."""

    @staticmethod
    def remove(session: Session, rows: Sequence[tuple[Words, Marks]], /) -> None:
        """Take messages out: words and marks exactly as they were put in."""

    @staticmethod
    def empty(session: Session, /) -> None:
        """Take everything out; harmless to repeat."""

    @staticmethod
    def walk(session: Session, planned: Plan, visible_to: Viewer, before: int | None, limit: int, /) -> list[int]:
        """Ids of messages that answer, newest first, before an id; none where nothing can be found."""

    @staticmethod
    def judged(
        session: Session, planned: Plan, visible_to: Viewer, asks: Sequence[Ask], limit: int, /
    ) -> tuple[list[int], list[set[int]]]:
        """The newest messages that answer, newest first, and for each further question those that answer it too."""


BACKENDS = {"sqlite": cast(Backend, fts5), "postgresql": cast(Backend, postgres)}


def of(session: Session) -> Backend:
    """The index of this session's database."""
    return BACKENDS[session.dialect.name]
