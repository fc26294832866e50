"""Changes that somebody with access to the files might make, one at a time, drawn at random."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from archive.events import proof

from ..home import URL, Home

Row = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """What was done, and how any finding that locates it begins."""

    what: str
    where: tuple[str, ...]
    needs_key: bool = False  # it alters a key as it is wrapped: only its owner can tell


# Tables whose rows are answered for, and those of the log itself, with their primary keys; `pack` only in part.
_KEYS: dict[str, tuple[str, ...]] = {
    **{name: (one.id, *one.rest) for name, one in proof.PROVED.items() if name != "second_reading"},
    "process_address": ("address",),
    "event": ("id",),
    "event_detail": ("event",),
    "seal": ("id",),
    "stretch": ("pack", "start"),
    "pack": ("id",),
}
_MAIL = ("message", "receipt", "blob", "leaf", "delivery", "message_scope", "ticket", "event", "event_detail")
# A pack's row says when it was made, which nobody relies on. What `message` leaves out stands in `second_reading`.
_NOT_COVERED = {
    "pack": {"created_at"},
    **{name: set(one.without) for name, one in proof.PROVED.items() if name != "message"},
}


class Tables:
    """An archive's tables as somebody with a program of his own gets at them: no rule stands in his way but the
    columns' types and what is unique."""

    def __init__(self, folder: Path, name: str) -> None:
        note = folder / URL
        self.on_server = note.exists()
        if self.on_server:
            self._server = psycopg.connect(note.read_text(), autocommit=True, row_factory=dict_row)
            self._server.execute(f"SET search_path = {'public' if name == 'archive' else name}".encode())
            self._server.execute("SET session_replication_role = replica")  # no foreign keys
        else:
            self._file = sqlite3.connect(folder / f"{name}.sqlite", isolation_level=None)
            self._file.row_factory = sqlite3.Row

    def rows(self, statement: str, *values: object) -> list[Row]:
        """What a statement answers."""
        if self.on_server:
            return self._server.execute(statement.replace("?", "%s").encode(), values or None).fetchall()
        return [dict(row) for row in self._file.execute(statement, values)]

    def change(self, statement: str, *values: object) -> int:
        """How many rows it changed; `ValueError` where the database will not have it."""
        try:
            if self.on_server:
                return self._server.execute(statement.replace("?", "%s").encode(), values or None).rowcount
            return self._file.execute(statement, values).rowcount
        except (sqlite3.IntegrityError, OverflowError) as error:
            raise ValueError from error
        except (psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError) as error:
            raise ValueError from error

    def nullable(self, table: str, column: str) -> bool:
        """Whether a column may be empty."""
        if self.on_server:
            asked = "SELECT is_nullable FROM information_schema.columns WHERE table_name = ? AND column_name = ?"
            return bool(self.rows(asked, table, column)[0]["is_nullable"] == "YES")
        return not next(one["notnull"] for one in self.rows(f'PRAGMA table_info("{table}")') if one["name"] == column)

    def unique(self, table: str) -> set[str]:
        """Columns of unique indexes."""
        if self.on_server:
            asked = (
                "SELECT a.attname AS name FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid "
                "AND a.attnum = ANY(i.indkey) WHERE i.indisunique AND i.indrelid = ?::text::regclass"
            )
            return {one["name"] for one in self.rows(asked, f'"{table}"')}
        indexes = [one["name"] for one in self.rows(f'PRAGMA index_list("{table}")') if one["unique"]]
        return {one["name"] for index in indexes for one in self.rows(f'PRAGMA index_info("{index}")')}

    def close(self) -> None:
        """Nothing has it open any more: it can be copied."""
        if self.on_server:
            self._server.close()
        else:
            self._file.close()


class Tamperer:
    """Makes a change in a copy of an archive that nothing has open."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.draw = random.Random(seed)

    def change(self) -> Change:
        """One change."""
        kinds: Sequence[tuple[int, Callable[[], Change | None]]] = (
            (40, self._alter),
            (14, self._delete),
            (10, self._insert),
            (10, self._swap),
            (12, self._pack),
            (7, self._keys),
            (7, self._heads),
            (2, self._cut_off),
        )
        while True:
            kind = self.draw.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])[0]
            made = kind()
            if made is not None:
                return made

    # --- rows ---

    def _open(self, name: str = "archive") -> Tables:
        return Tables(self.folder, name)

    def _table(self) -> str:
        return self.draw.choice(list(_KEYS) if self.draw.random() < 0.5 else _MAIL)

    def _rows(self, base: Tables, table: str) -> list[Row]:
        return base.rows(f'SELECT * FROM "{table}"')

    def _put(self, base: Tables, table: str, row: Row) -> bool:
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        try:
            base.change(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', *row.values())
        except ValueError:
            return False
        return True

    def _take(self, base: Tables, table: str, row: Row) -> None:
        where = " AND ".join(f'"{name}" = ?' for name in _KEYS[table])
        assert base.change(f'DELETE FROM "{table}" WHERE {where}', *(row[name] for name in _KEYS[table])) == 1

    def _alter(self) -> Change | None:
        table = self._table()
        base = self._open()
        try:
            rows = self._rows(base, table)
            if not rows:
                return None
            row = self.draw.choice(rows)
            name = self.draw.choice([name for name in row if name not in _NOT_COVERED.get(table, ())])
            nullable = base.nullable(table, name) and name not in _KEYS[table]
            other = {**row, name: self._another(row[name], nullable)}
            if other == row:
                return None
            base.change("BEGIN")
            self._take(base, table, row)
            fine = self._put(base, table, other)
            base.change("COMMIT" if fine else "ROLLBACK")
            if not fine:
                return None
            what = f"{table} {self._key(table, row)}: {name} {row[name]!r} -> {other[name]!r}"
            return Change(what, self._where(table, row) + self._where(table, other))
        finally:
            base.close()

    def _another(self, value: Any, nullable: bool) -> Any:
        draw = self.draw
        if value is not None and nullable and draw.random() < 0.2:
            return None
        match value:
            case None:
                return draw.choice([0, 1, 1_793_620_800_000, "x", "[]"])
            case bool():
                return not value
            case int():
                return value + draw.choice([1, -1, 1000, 1 << 32, draw.randrange(1, 1 << 20)])
            case str():
                at = draw.randrange(len(value) + 1)
                return draw.choice([value[:at] + "x" + value[at:], value[:at] + value[at + 1 :] or "y", value[::-1]])
            case _:
                return self._flipped(value) if value else b"\0"

    def _flipped(self, value: bytes) -> bytes:
        at = self.draw.randrange(len(value))
        return value[:at] + bytes([value[at] ^ (1 << self.draw.randrange(8))]) + value[at + 1 :]

    def _delete(self) -> Change | None:
        table = self._table()
        base = self._open()
        try:
            rows = self._rows(base, table)
            if not rows:
                return None
            row = self.draw.choice(rows)
            self._take(base, table, row)
            return Change(f"{table} {self._key(table, row)} deleted", self._where(table, row))
        finally:
            base.close()

    def _insert(self) -> Change | None:
        """A forged row: another's, under a key of its own."""
        table = self._table()
        if table == "pack":  # one more of them holds nothing and means nothing
            return None
        base = self._open()
        try:
            rows = self._rows(base, table)
            if not rows:
                return None
            row = dict(self.draw.choice(rows))
            for name in {*_KEYS[table], *base.unique(table)}:
                value = row[name]
                row[name] = (
                    value + self.draw.randrange(1, 1 << 20) if isinstance(value, int) else self._another(value, False)
                )
            if not self._put(base, table, row):
                return None
            return Change(f"{table} {self._key(table, row)} inserted", self._where(table, row))
        finally:
            base.close()

    def _swap(self) -> Change | None:
        """Two rows exchange a column, or all but their keys: another order."""
        table = self._table()
        base = self._open()
        try:
            rows = self._rows(base, table)
            if len(rows) < 2:
                return None
            one, two = self.draw.sample(rows, 2)
            covered = [n for n in one if n not in _KEYS[table] and n not in _NOT_COVERED.get(table, ())]
            if not covered:
                return None
            names = [self.draw.choice(covered)] if self.draw.random() < 0.5 else covered
            if all(one[name] == two[name] for name in names):
                return None
            base.change("BEGIN")
            changed = ({**one, **{n: two[n] for n in names}}, {**two, **{n: one[n] for n in names}})
            for row in (one, two):
                self._take(base, table, row)
            fine = all(self._put(base, table, row) for row in changed)
            base.change("COMMIT" if fine else "ROLLBACK")
            if not fine:
                return None
            what = f"{table} {self._key(table, one)} and {self._key(table, two)} exchange {names}"
            return Change(what, self._where(table, one) + self._where(table, two))
        finally:
            base.close()

    def _cut_off(self) -> Change:
        """The newest seal and all that it holds never were."""
        base = self._open()
        (last,) = base.rows("SELECT * FROM seal ORDER BY id DESC LIMIT 1")
        (row,) = base.rows("SELECT max(last) AS last FROM seal WHERE id < ?", last["id"])
        before = row["last"] or 0
        base.change("DELETE FROM stretch WHERE seal = ?", last["id"])
        base.change('UPDATE pack SET sealed = coalesce((SELECT max("end") FROM stretch WHERE pack = pack.id), 0)')
        base.change("DELETE FROM seal WHERE id = ?", last["id"])
        base.change("DELETE FROM event_detail WHERE event > ?", before)
        base.change("DELETE FROM event WHERE id > ?", before)
        base.close()
        return Change(f"cut off behind event {before}", ("heads.jsonl",))

    def _key(self, table: str, row: Row) -> str:
        return "/".join(str(row[name]) for name in _KEYS[table])

    def _where(self, table: str, row: Row) -> tuple[str, ...]:
        match table:
            case "event" | "event_detail":
                return (f"event {row['id' if table == 'event' else 'event']}",)
            case "seal":
                return (f"seal {row['id']}", "heads.jsonl")  # the newest is missed by what was written down
            case "stretch":
                return (f"pack {row['pack']}, stretch at {row['start']}", f"seal {row['seal']}")
            case "pack":
                return (f"pack {row['id']}",)
            case "process_address":
                return (f"process_address {row['process']}/{row['address']}",)
            case "message":
                return (f"message {row['id']}", f"second_reading {row['id']}")
            case _:
                return (f"{table} {self._key(table, row)}",)

    # --- files ---

    def _pack(self) -> Change:
        packs = sorted((self.folder / "blobs").glob("*.pack"))
        path = self.draw.choice(packs)
        data = path.read_bytes()
        where = (f"pack {int(path.stem)}",)
        kind = self.draw.choice(["flip", "flip", "flip", "cut", "swap", "gone"])
        if kind == "gone":
            path.unlink()
        elif kind == "cut":
            path.write_bytes(data[: self.draw.randrange(len(data))])
        elif kind == "swap":
            at, to = 0, 0
            while data[at : at + 16] == data[to : to + 16]:
                at, to = sorted(self.draw.sample(range(0, len(data) - 16, 16), 2))
            path.write_bytes(data[:at] + data[to : to + 16] + data[at + 16 : to] + data[at : at + 16] + data[to + 16 :])
        else:
            path.write_bytes(self._flipped(data))
        return Change(f"{path.name} {kind}", where)

    def _keys(self) -> Change | None:
        base = self._open("keys")
        rows = base.rows("SELECT * FROM blob_key")
        one, two = self.draw.sample(rows, 2)
        kind = self.draw.choice(["flip", "flip" if base.on_server else "flip in the file", "delete", "swap"])
        if kind == "delete":
            base.change("DELETE FROM blob_key WHERE blob = ?", one["blob"])
        elif kind == "swap":
            base.change("UPDATE blob_key SET wrapped = ? WHERE blob = ?", two["wrapped"], one["blob"])
            base.change("UPDATE blob_key SET wrapped = ? WHERE blob = ?", one["wrapped"], two["blob"])
        elif kind == "flip":
            base.change("UPDATE blob_key SET wrapped = ? WHERE blob = ?", self._flipped(one["wrapped"]), one["blob"])
        base.close()
        if kind == "flip in the file":
            path = self.folder / "keys.sqlite"
            data = path.read_bytes()
            at = data.find(one["wrapped"])
            if at < 0:
                return None
            wrapped = self._flipped(one["wrapped"])
            path.write_bytes(data[:at] + wrapped + data[at + len(wrapped) :])
        where = (f"blob {one['blob']}", f"blob {two['blob']}") if kind == "swap" else (f"blob {one['blob']}",)
        return Change(f"key of blob {one['blob']} {kind}", where, needs_key=kind != "delete")

    def _heads(self) -> Change | None:
        path = self.folder / "heads.jsonl"
        data = path.read_bytes()
        lines = data.splitlines(keepends=True)
        kind = self.draw.choice(["flip", "flip", "delete", "swap", "cut", "gone", "forge"])
        if kind == "gone":
            path.unlink()
        elif kind == "flip":
            path.write_bytes(self._flipped(data))
        elif kind == "cut":
            path.write_bytes(data[: self.draw.randrange(len(data) - 1)])
        elif kind == "delete":
            del lines[self.draw.randrange(len(lines))]
            path.write_bytes(b"".join(lines))
        elif kind == "swap":
            at = self.draw.randrange(len(lines) - 1)
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
            path.write_bytes(b"".join(lines))
        else:
            line = self.draw.choice(lines).replace(b'"seal": ', b'"seal": 1')
            path.write_bytes(data + line)
        return Change(f"heads.jsonl {kind}", ("heads.jsonl",))


def copied(pristine: Home, folder: Path) -> Home:
    """The archive again, in place of whatever stood there; nothing may be open in either."""
    if folder.exists():
        Home(folder, server=pristine.server).remove()
        shutil.rmtree(folder)
    return pristine.copy_to(folder)
