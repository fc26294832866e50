"""The one place outside the search backends that knows which database it is: SQLite or PostgreSQL.

SQLite has one writer at a time, who says so when the transaction begins, and a file of its own for the key store.
PostgreSQL has many: what two of them do at once is decided by unique constraints and conditional updates, and whoever
was slower does it again (`Overtaken`); the key store is a schema of its own in the same database.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Table,
    bindparam,
    cast,
    create_engine,
    event,
    func,
    insert,
    literal,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, OperationalError

PAGE_BYTES = 8192
CACHE_KIB = 32768
KEYS = "keys"  # the key store's schema, or the name of its file
OLDEST = 13  # of PostgreSQL

_SECONDS_TO_CONNECT = 10
# A server that vanished is noticed within a minute, and not after the two hours of the system's defaults.
_KEPT_ALIVE = {"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
_SESSION = {
    "jit": "off",  # compiling short questions only costs
    # What a machine that lost its power or its mind was holding is free again for the others.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "15min",
}
_LINE = 0x506F7374  # of those that were overtaken; any number that is the same for all
_DEADLOCK, _SERIALIZATION = "40P01", "40001"  # SQLSTATEs


class Overtaken(Exception):
    """Another transaction was quicker: this one rests on what is no more so, and is to be done again from its start."""


# --- opening ----------------------------------------------------------------------------------------------------------


def engine(url: str) -> Engine:
    """A database by its URL, set up as an archive needs it; ImportError or NoSuchModuleError without its driver."""
    parsed = _with_driver(make_url(url))
    if parsed.get_backend_name() == "sqlite":
        made = create_engine(parsed, connect_args={"timeout": 60, "check_same_thread": False})
        event.listen(made, "connect", _prepare_sqlite)
        event.listen(made, "begin", _begin_sqlite)
        return made
    if parsed.get_backend_name() != "postgresql":
        raise ImportError("it is neither SQLite nor PostgreSQL")
    made = create_engine(
        parsed,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,  # in service again by itself after the server was restarted
        pool_size=8,
        max_overflow=24,
        connect_args={"connect_timeout": _SECONDS_TO_CONNECT, "client_encoding": "utf8", **_KEPT_ALIVE},
    )
    event.listen(made, "connect", _prepare_postgresql)
    return made


def _with_driver(url: URL) -> URL:
    """As people write it, postgres:// and postgresql:// alike, to the driver there is."""
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    return url


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    # In a file that has pages it changes nothing, and waits for whoever writes at the moment.
    new = connection.execute("PRAGMA page_count").fetchone() == (0,)
    for pragma in (
        f"page_size = {PAGE_BYTES}",
        *(["auto_vacuum = INCREMENTAL"] if new else []),  # what merging the index frees can be given back
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"cache_size = -{CACHE_KIB}",
        "wal_autocheckpoint = 4000",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A read that later writes would fail at once if somebody else wrote in between: writers say so at the start.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    from psycopg.types.string import StrDumperUnknown

    class Clean(StrDumperUnknown):
        """PostgreSQL takes no NUL in text, and refuses a whole statement for one that somebody typed."""

        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    connection.adapters.register_dumper(str, Clean)
    connection.autocommit = True
    chosen = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items())
    connection.execute(
        f"SELECT {chosen}, set_config('synchronous_commit', "
        "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END"
        ", false)"  # what was acknowledged is durable, whatever the server's own setting
    )
    connection.autocommit = False


def key_store(of: Engine) -> Engine:
    """Where the key store of an archive's database is: never among its tables."""
    if of.dialect.name == "sqlite":
        beside = Path(of.url.database or "").with_name(f"{KEYS}.sqlite")
        return engine(of.url.set(database=str(beside)).render_as_string(hide_password=False))
    return of.execution_options(schema_translate_map={None: KEYS})


def make_room_for_keys(store: Engine) -> None:
    """The place in which the key store's table is made; harmless to repeat."""
    if store.dialect.name == "postgresql":
        with store.begin() as session:
            session.execute(text(f"CREATE SCHEMA IF NOT EXISTS {KEYS}"))


def names_server(url: str | None) -> bool:
    """Whether a URL names a server's database, and no file; without one it is a file in the data folder."""
    return url is not None and make_url(url).get_backend_name() != "sqlite"


def file(of: Engine) -> Path | None:
    """The database's file; None where it is a server's."""
    return Path(of.url.database or "") if of.dialect.name == "sqlite" else None


def missing(of: Engine) -> bool:
    """Whether there is no such database at all; looking makes none. A server has one, or says that it has not."""
    path = file(of)
    return path is not None and not path.exists()


def one_writer(of: Engine) -> bool:
    """Whether writers have to wait for each other before they begin."""
    return of.dialect.name == "sqlite"


def reading(of: Engine) -> Engine:
    """For transactions that read, all of it as it stood at one moment."""
    if of.dialect.name == "sqlite":
        return of
    return of.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writing(of: Engine) -> Engine:
    """For transactions that write."""
    return of.execution_options(writes=True)


@contextmanager
def contended() -> Iterator[None]:
    """Turns what a database says to whoever was slower into Overtaken."""
    try:
        yield
    except IntegrityError as error:
        raise Overtaken(str(error.orig)) from error
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) in (_DEADLOCK, _SERIALIZATION):
            raise Overtaken(str(error.orig)) from error
        raise


@contextmanager
def destroying(of: Engine) -> Iterator[Connection]:
    """A transaction whose deleted rows leave no bytes behind in the database's own files: SQLite overwrites them and
    empties its log, unless somebody reads there for longer than writers wait; PostgreSQL does when it vacuums."""
    with writing(of).begin() as session:
        if of.dialect.name == "sqlite":
            session.exec_driver_sql("PRAGMA secure_delete = ON")
        yield session
    if of.dialect.name == "sqlite":
        with closing(of.raw_connection()) as connection:  # in no transaction
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


# --- writing ----------------------------------------------------------------------------------------------------------


def insert_rows(session: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that name the same columns. In intake's batches the library's care for each row's values, of which
    SQLite needs none, costs as much as SQLite's own work."""
    if not rows:
        return
    if session.dialect.name == "sqlite":
        _insert_sqlite(session, table, rows)
    else:
        session.execute(insert(table), rows)


def _insert_sqlite(session: Connection, table: Table, rows: Sequence[dict[str, Any]], or_leave: bool = False) -> int:
    statement, names = _statement(session.dialect, table, tuple(rows[0]), or_leave)
    return session.exec_driver_sql(statement, [tuple(map(row.__getitem__, names)) for row in rows]).rowcount


@lru_cache(maxsize=64)
def _statement(dialect: Dialect, table: Table, columns: tuple[str, ...], or_leave: bool) -> tuple[str, Sequence[str]]:
    made = sqlite.insert(table).on_conflict_do_nothing() if or_leave else insert(table)
    compiled: Any = made.compile(dialect=dialect, column_keys=list(columns))
    return str(compiled), tuple(compiled.positiontup)


def insert_missing(session: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows, passing over those that are there already by any unique constraint; how many went in."""
    if not rows:
        return 0
    if session.dialect.name == "sqlite":
        return _insert_sqlite(session, table, rows, or_leave=True)
    kept_count = {"preserve_rowcount": True}
    statement = postgresql.insert(table).on_conflict_do_nothing()
    return session.execute(statement, rows, execution_options=kept_count).rowcount


def insert_counted(session: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> Iterable[int]:
    """Insert rows of a table whose column `id` counts up; returns the ids in the rows' order."""
    if not rows:
        return ()
    if session.dialect.name == "sqlite":
        # One writer at a time: the ids of one statement follow each other, and need no RETURNING row by row.
        insert_rows(session, table, rows)
        last: int = session.scalar(select(func.max(table.c.id))) or 0
        return range(last - len(rows) + 1, last + 1)
    return session.scalars(insert(table).returning(table.c.id, sort_by_parameter_order=True), rows)


def count_on(session: Connection, table: Table) -> None:
    """After rows were inserted with the ids they had: the next one gets an id that none of them has."""
    column = table.autoincrement_column
    if session.dialect.name == "sqlite" or column is None:  # SQLite looks what is there
        return
    name = session.dialect.identifier_preparer.format_table(table)
    sequence = session.scalar(func.pg_get_serial_sequence(name, column.name))
    last = session.scalar(select(func.max(column)))
    if sequence is not None and last is not None:
        session.execute(select(func.setval(sequence, last)))


def hold(session: Connection, table: Table, ids: Iterable[int]) -> bool:
    """Wait for whoever else holds these rows, and hold them until this transaction ends: what it reads from now on of
    what goes with them stays so. False where nobody else can be writing anyway."""
    wanted = sorted(set(ids))
    if session.dialect.name == "sqlite" or not wanted:
        return False
    query = select(table.c.id).where(among(table.c.id, wanted, session)).order_by(table.c.id)
    session.execute(query.with_for_update(key_share=True))  # rows that refer to these may be added meanwhile
    return True


def stand_in_line(session: Connection) -> None:
    """Wait until this transaction ends for others that were overtaken, too: so that they do not overtake each other
    for ever. Those that begin meanwhile pass by."""
    if session.dialect.name != "sqlite":
        session.execute(text("SELECT pg_advisory_xact_lock(:line)"), {"line": _LINE})


# --- asking -----------------------------------------------------------------------------------------------------------


def among(column: Column[Any], ids: Sequence[int], session: Connection) -> ColumnElement[bool]:
    """That a column is one of these numbers, however many: one parameter, whatever its length."""
    if session.dialect.name == "sqlite":
        each = func.json_each(bindparam(None, f"[{','.join(map(str, ids))}]")).table_valued("value")
        return column.in_(select(each.c.value))
    return column == func.any(bindparam(None, list(ids), postgresql.ARRAY(BigInteger)))


def clock(session: Connection) -> ColumnElement[int]:
    """The database's own time, UTC ms: the same for all machines that share it."""
    if session.dialect.name == "sqlite":
        return literal(time.time_ns() // 1_000_000)
    return cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)


def size(session: Connection) -> int:
    """What the database takes on disk, in bytes, the key store included."""
    if session.dialect.name == "sqlite":
        # Without SQLite's logs, which come and go.
        folder = Path(session.engine.url.database or "").parent
        return sum(path.stat().st_size for path in folder.glob("*.sqlite"))
    return session.scalar(text("SELECT pg_database_size(current_database())")) or 0


def unsound(session: Connection) -> list[str]:
    """What the database itself finds wrong with its pages and indexes; PostgreSQL has no such question."""
    if session.dialect.name != "sqlite":
        return []
    found = [str(one) for one in session.exec_driver_sql("PRAGMA integrity_check(100)").scalars()]
    return [] if found == ["ok"] else found


def described(session: Connection) -> str:
    """Which database it is, for people: name and version."""
    if session.dialect.name == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    version = session.scalar(text("SELECT current_setting('server_version')"))
    encoding = session.scalar(text("SELECT current_setting('server_encoding')"))
    return f"PostgreSQL {version}, {encoding}"


def unfit(session: Connection) -> list[str]:
    """Why this database will not do, as sentences with the remedy; none where it will."""
    if session.dialect.name == "sqlite":
        return []
    asked = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"
    version, encoding = session.execute(text(asked)).one()
    found = []
    if version < OLDEST * 10_000:
        found.append(f"PostgreSQL {version // 10_000} is too old; Postroom needs {OLDEST} or newer.")
    if encoding != "UTF8":
        found.append(
            f"The database's encoding is {encoding}. Make it anew: createdb --encoding UTF8 --template template0"
        )
    return found


def unsafe(session: Connection) -> list[str]:
    """What may lose mail that was acknowledged, as sentences with the remedy."""
    if session.dialect.name == "sqlite":
        return []
    found = []
    for setting in ("fsync", "full_page_writes"):
        if session.scalar(text("SELECT current_setting(:name)"), {"name": setting}) != "on":
            found.append(f"PostgreSQL runs with {setting} off: a power cut may lose mail. Set it to on.")
    return found
