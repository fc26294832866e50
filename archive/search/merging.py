"""Brings the parts of the index together: each transaction adds one, and what was taken out of one lies in another."""

import sqlite3

from ..store.archive import Session

_PAGES = 500  # written in one step: below a tenth of a second
_KEPT_FREE = 32  # pages of the file that nothing lies in, for what is written next; more are given back
_PARTS = 2  # of one level are merged; with more, what was taken out stays on the disk for long


def merge(session: Session) -> bool:
    """One step, within a transaction; False where there was nothing to do.

    FTS5 merges by itself what intake adds, eight parts at a time and while it writes. Words that follow later are put
    in place of a mail's first ones, which go from the disk only when both parts are merged: for 20,000 mails that is a
    quarter of the index. PostgreSQL has its own way (autovacuum).
    """
    connection = session.connection.driver_connection
    if not isinstance(connection, sqlite3.Connection):
        return False
    if session.exec_driver_sql("SELECT v FROM search_config WHERE k = 'usermerge'").scalar() != _PARTS:
        session.exec_driver_sql("INSERT INTO search(search, rank) VALUES ('usermerge', ?)", (_PARTS,))
    before = connection.total_changes
    session.exec_driver_sql("INSERT INTO search(search, rank) VALUES ('merge', ?)", (_PAGES,))
    if connection.total_changes - before > 1:  # the statement counts as one itself (SQLite, fts5.html 6.8)
        return True
    return _give_back(connection)


def _give_back(connection: sqlite3.Connection) -> bool:
    """Let the file shrink by a few of the pages that merging freed; not one of earlier versions, which cannot."""

    def asked(pragma: str) -> int:
        return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])

    free = asked("freelist_count")
    if free <= _KEPT_FREE or not asked("auto_vacuum"):
        return False
    for _ in range(min(_PAGES, free - _KEPT_FREE)):  # one at a time: Python takes one step of a statement without rows
        connection.execute("PRAGMA incremental_vacuum(1)")
    return asked("freelist_count") < free
