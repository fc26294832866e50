"""Changes that somebody with access to the files might make, one at a time, drawn at random."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive.events import proof

Row = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """What was done, and how any finding that locates it begins."""

    what: str
    where: tuple[str, ...]
    needs_key: bool = False  # it alters a key as it is wrapped: only its owner can tell


# Tables whose rows are answered for, with their primary keys; `pack` and `blob_key` only in part.
_KEYS: dict[str, tuple[str, ...]] = {
    "user": ("id",),
    "process": ("id",),
    "process_address": ("address",),
    "membership": ("process", "user"),
    "mailbox": ("id",),
    "binding": ("id",),
    "blob": ("id",),
    "conversation": ("id",),
    "message": ("id",),
    "leaf": ("message", "start"),
    "attachment": ("message", "path"),
    "receipt": ("id",),
    "quarantine": ("id",),
    "left_alone": ("binding", "uidvalidity", "uid"),
    "gone": ("binding", "uidvalidity", "uid"),
    "delivery": ("message", "scope"),
    "message_scope": ("message", "scope"),
    "ticket": ("id",),
    "event": ("id",),
    "event_detail": ("event",),
    "seal": ("id",),
    "stretch": ("pack", "start"),
    "pack": ("id",),
}
_MAIL = ("message", "receipt", "blob", "leaf", "delivery", "message_scope", "ticket", "event", "event_detail")
# A pack's row says when it was made, which nobody relies on.
_NOT_COVERED = {"pack": {"created_at"}, **{name: set(proof.PROVED[name].without) for name in ("binding", "user")}}


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

    def _open(self, name: str = "archive") -> sqlite3.Connection:
        base = sqlite3.connect(self.folder / f"{name}.sqlite", isolation_level=None)
        base.row_factory = sqlite3.Row
        return base

    def _table(self) -> str:
        return self.draw.choice(list(_KEYS) if self.draw.random() < 0.5 else _MAIL)

    def _rows(self, base: sqlite3.Connection, table: str) -> list[Row]:
        return [dict(row) for row in base.execute(f'SELECT * FROM "{table}"')]

    def _put(self, base: sqlite3.Connection, table: str, row: Row) -> bool:
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        try:
            base.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(row.values()))
        except (sqlite3.IntegrityError, OverflowError):
            return False
        return True

    def _take(self, base: sqlite3.Connection, table: str, row: Row) -> None:
        where = " AND ".join(f'"{name}" = ?' for name in _KEYS[table])
        done = base.execute(f'DELETE FROM "{table}" WHERE {where}', [row[name] for name in _KEYS[table]])
        assert done.rowcount == 1

    def _alter(self) -> Change | None:
        table = self._table()
        base = self._open()
        try:
            rows = self._rows(base, table)
            if not rows:
                return None
            row = self.draw.choice(rows)
            name = self.draw.choice([name for name in row if name not in _NOT_COVERED.get(table, ())])
            nullable = not next(
                c["notnull"] for c in base.execute(f'PRAGMA table_info("{table}")') if c["name"] == name
            )
            other = {**row, name: self._another(row[name], nullable and name not in _KEYS[table])}
            if other == row:
                return None
            base.execute("BEGIN")
            self._take(base, table, row)
            fine = self._put(base, table, other)
            base.execute("COMMIT" if fine else "ROLLBACK")
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
            for name in {*_KEYS[table], *self._unique(base, table)}:
                value = row[name]
                row[name] = (
                    value + self.draw.randrange(1, 1 << 20) if isinstance(value, int) else self._another(value, False)
                )
            if not self._put(base, table, row):
                return None
            return Change(f"{table} {self._key(table, row)} inserted", self._where(table, row))
        finally:
            base.close()

    def _unique(self, base: sqlite3.Connection, table: str) -> set[str]:
        found: set[str] = set()
        for index in base.execute(f'PRAGMA index_list("{table}")').fetchall():
            if index["unique"]:
                found |= {column["name"] for column in base.execute(f'PRAGMA index_info("{index["name"]}")')}
        return found

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
            base.execute("BEGIN")
            changed = ({**one, **{n: two[n] for n in names}}, {**two, **{n: one[n] for n in names}})
            for row in (one, two):
                self._take(base, table, row)
            fine = all(self._put(base, table, row) for row in changed)
            base.execute("COMMIT" if fine else "ROLLBACK")
            if not fine:
                return None
            what = f"{table} {self._key(table, one)} and {self._key(table, two)} exchange {names}"
            return Change(what, self._where(table, one) + self._where(table, two))
        finally:
            base.close()

    def _cut_off(self) -> Change:
        """The newest seal and all that it holds never were."""
        base = self._open()
        last = dict(base.execute("SELECT * FROM seal ORDER BY id DESC LIMIT 1").fetchone())
        before = base.execute("SELECT max(last) FROM seal WHERE id < ?", (last["id"],)).fetchone()[0] or 0
        base.execute("DELETE FROM stretch WHERE seal = ?", (last["id"],))
        base.execute("UPDATE pack SET sealed = coalesce((SELECT max(end) FROM stretch WHERE pack = pack.id), 0)")
        base.execute("DELETE FROM seal WHERE id = ?", (last["id"],))
        base.execute("DELETE FROM event_detail WHERE event > ?", (before,))
        base.execute("DELETE FROM event WHERE id > ?", (before,))
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
        rows = [dict(row) for row in base.execute("SELECT * FROM blob_key")]
        one, two = self.draw.sample(rows, 2)
        kind = self.draw.choice(["flip", "flip in the file", "delete", "swap"])
        if kind == "delete":
            base.execute("DELETE FROM blob_key WHERE blob = ?", (one["blob"],))
        elif kind == "swap":
            base.execute("UPDATE blob_key SET wrapped = ? WHERE blob = ?", (two["wrapped"], one["blob"]))
            base.execute("UPDATE blob_key SET wrapped = ? WHERE blob = ?", (one["wrapped"], two["blob"]))
        elif kind == "flip":
            wrapped = self._flipped(one["wrapped"])
            base.execute("UPDATE blob_key SET wrapped = ? WHERE blob = ?", (wrapped, one["blob"]))
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


def copied(pristine: Path, folder: Path) -> Path:
    """The archive again, in place of whatever stood there."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pristine, folder)
    return folder
