"""Replaying the log: which rows there must be, by the digests that events give, on a scratch disk of its own.

Events are played in their order; of each row the last word counts. What was settled, and how, is told by UID.
"""

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import proof

_TABLES = """
CREATE TABLE expected (
    kind INTEGER, id INTEGER, rest TEXT, digest TEXT, event INTEGER, PRIMARY KEY (kind, id, rest)
) WITHOUT ROWID;
CREATE TABLE copy (
    binding INTEGER, uidvalidity INTEGER, uid INTEGER, at INTEGER, how TEXT, event INTEGER,
    PRIMARY KEY (binding, uidvalidity, uid)
) WITHOUT ROWID;
CREATE TABLE reading (event INTEGER PRIMARY KEY, version INTEGER);
CREATE TABLE sealed (event INTEGER PRIMARY KEY, seal INTEGER, leaf BLOB);
"""
_KINDS = {name: number for number, name in enumerate(proof.PROVED)}
NEW_GENERATION = "new generation"


@dataclass(frozen=True, slots=True)
class Played:
    """An event with its details read."""

    id: int
    at: int
    kind: str
    actor: str
    subject: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the log says of a row."""

    digest: str
    event: int


class Scratch:
    """What replaying has yielded so far, in a temporary database that is gone when it is closed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="postroom-verify-")
        self._base = sqlite3.connect(f"{self._folder.name}/scratch", isolation_level=None)
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.execute("PRAGMA synchronous = OFF")
        self._base.execute("PRAGMA cache_size = -65536")
        self._base.executescript(_TABLES)
        self._base.execute("BEGIN")

    def close(self) -> None:
        """Throw it away."""
        self._base.close()
        self._folder.cleanup()

    # --- which events are sealed ---

    def seal(self, of: int, leaves: Iterable[tuple[int, bytes]]) -> list[int]:
        """Events (id, leaf) of a seal; returns those that an earlier seal holds as well."""
        twice = []
        for id_, leaf in leaves:
            done = self._base.execute("INSERT OR IGNORE INTO sealed VALUES (?, ?, ?)", (id_, of, leaf))
            if not done.rowcount:
                twice.append(id_)
        return twice

    def sealed(self, first: int, last: int) -> dict[int, tuple[int, bytes]]:
        """Seal and leaf of the sealed events from first to last."""
        found = self._base.execute("SELECT event, seal, leaf FROM sealed WHERE event BETWEEN ? AND ?", (first, last))
        return {event: (seal, leaf) for event, seal, leaf in found}

    # --- what they made true ---

    def play(self, some: Iterable[Played]) -> list[tuple[int, str]]:
        """Take in what events say, in their order; returns those whose details make no sense, and why."""
        strange = []
        for one in some:
            try:
                self._play(one)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError, sqlite3.Error) as error:
                strange.append((one.id, f"{type(error).__name__}: {error}"))
        return strange

    def _play(self, one: Played) -> None:
        subject = one.subject.partition(":")[2]
        rows: list[tuple[int, int, str, str, int]] = []
        gone: list[tuple[int, int, str]] = []
        for table, digests in one.details.get("rows", {}).items():
            kind = _KINDS[table]
            for key, digest in digests.items():
                id_, _, rest = key.partition("/")
                number = int(subject if id_ == proof.SUBJECT else id_)
                if digest is None:
                    gone.append((kind, number, rest))
                else:
                    rows.append((kind, number, rest, str(digest), one.id))
        if rows:
            self._base.executemany("INSERT OR REPLACE INTO expected VALUES (?, ?, ?, ?, ?)", rows)
        if gone:
            self._base.executemany("DELETE FROM expected WHERE kind = ? AND id = ? AND rest = ?", gone)
        action = _ACTIONS.get(one.kind)
        if action is not None:
            action(self, one)

    def _received(self, one: Played) -> None:
        if "uidvalidity" in one.details:
            key = (_binding(one), one.details["uidvalidity"], one.details["uid"])
            self._base.execute("INSERT OR IGNORE INTO copy VALUES (?, ?, ?, NULL, NULL, ?)", (*key, one.id))

    def _settled(self, one: Played) -> None:
        uids, how = one.details["uids"], str(one.details["how"])
        settled = ((one.at, how, one.id, _binding(one), one.details["uidvalidity"], uid) for uid in uids)
        self._base.executemany(
            "UPDATE copy SET at = ?, how = ?, event = ? WHERE binding = ? AND uidvalidity = ? AND uid = ? "
            "AND at IS NULL",
            settled,
        )

    def _new_generation(self, one: Played) -> None:
        self._base.execute(
            "UPDATE copy SET at = ?, how = ?, event = ? WHERE binding = ? AND uidvalidity <> ? AND at IS NULL",
            (one.at, NEW_GENERATION, one.id, _binding(one), one.details["after"]),
        )

    def _forgotten(self, one: Played) -> None:
        """Every reading by an earlier version; the digests are those of events that say by which it was."""
        below = int(one.details["below"])
        self._base.execute(
            "DELETE FROM expected WHERE kind = ? AND event IN (SELECT event FROM reading WHERE version < ?)",
            (_KINDS["second_reading"], below),
        )

    def _reread(self, one: Played) -> None:
        self._base.execute("INSERT INTO reading VALUES (?, ?)", (one.id, int(one.details["version"])))

    # --- what is expected ---

    def expected(self, table: str, first: int, last: int) -> dict[tuple[int, str], Expected]:
        """The rows there must be of a table whose leading key is from first to last."""
        found = self._base.execute(
            "SELECT id, rest, digest, event FROM expected WHERE kind = ? AND id BETWEEN ? AND ?",
            (_KINDS[table], first, last),
        )
        return {(id_, rest): Expected(digest, event) for id_, rest, digest, event in found}

    def settled(self, keys: Iterable[tuple[int, int, int]]) -> list[tuple[int | None, str | None] | None]:
        """When and how these copies (binding, UIDVALIDITY, UID) were settled; None where no event brought one."""
        query = "SELECT at, how FROM copy WHERE binding = ? AND uidvalidity = ? AND uid = ?"
        return [self._base.execute(query, key).fetchone() for key in keys]


def _binding(one: Played) -> int:
    return int(one.actor.removeprefix("binding:"))


_ACTIONS = {
    "message.archived": Scratch._received,
    "copy.received": Scratch._received,
    "receipts.settled": Scratch._settled,
    "binding.new_generation": Scratch._new_generation,
    "readings.forgotten": Scratch._forgotten,
    "message.reread": Scratch._reread,
    "message.marked_ambiguous": Scratch._reread,
}


def played(row: Any) -> Played:
    """An event from its row, joined with its details; ValueError where these are no JSON object."""
    details = json.loads(row.details)
    if not isinstance(details, dict):
        raise ValueError("its details are no object")
    return Played(row.id, row.at, row.kind, row.actor, row.subject, details)
