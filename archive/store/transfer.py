"""An archive's rows brought from one database into another, of whichever kind."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from . import dialects
from .archive import Session
from .schema import enclosed, enclosed_text, indexed, lease, limited, metadata

# What belongs to the database it is in: its search index is made anew, nobody holds anything in the other one.
_LEFT_OUT = {indexed, enclosed, enclosed_text, limited, lease}
_AT_ONCE = 1000  # rows


def copy(source: Session, target: Session) -> None:
    """Every row, as the source sees it, into the empty tables of the target, both of this version.

    The search index is not among them: whoever calls this begins it anew.
    """
    for table in metadata.sorted_tables:
        if table in _LEFT_OUT:
            continue
        streamed = source.execution_options(yield_per=_AT_ONCE).execute(select(table))
        for some in streamed.mappings().partitions():
            dialects.insert_rows(target, table, list(_plain(some)))
        dialects.count_on(target, table)


def _plain(rows: Any) -> Iterator[dict[str, Any]]:
    return ({str(name): value for name, value in row.items()} for row in rows)
