"""The one place outside the search backends that knows which database it is."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from .archive import Session


def insert_missing(session: Session, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, passing over those that are there already by any unique constraint."""
    if not rows:
        return
    if session.dialect.name == "sqlite":
        session.execute(sqlite.insert(table).on_conflict_do_nothing(), rows)
    else:
        session.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)


def insert_counted(session: Session, table: Table, rows: Sequence[dict[str, Any]]) -> Iterable[int]:
    """Insert rows of a table whose column `id` counts up; returns the ids in the rows' order."""
    if not rows:
        return ()
    if session.dialect.name == "sqlite":
        # One writer at a time: the ids of one statement follow each other, and need no RETURNING row by row.
        session.execute(insert(table), rows)
        last: int = session.scalar(select(func.max(table.c.id))) or 0
        return range(last - len(rows) + 1, last + 1)
    return session.scalars(insert(table).returning(table.c.id, sort_by_parameter_order=True), rows)


def unsound(session: Session) -> list[str]:
    """What the database itself finds wrong with its pages and indexes; PostgreSQL has no such question."""
    if session.dialect.name != "sqlite":
        return []
    found = [str(one) for one in session.exec_driver_sql("PRAGMA integrity_check(100)").scalars()]
    return [] if found == ["ok"] else found
