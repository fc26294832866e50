"""What mail stands at a path: an mbox, a Maildir, a folder of mails, or an export. Nothing is changed there.

A folder is walked with everything below it, in the order of names; links are not followed. What is not taken is a
value in the stream, with its reason.
"""

import json
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

from ..post import conversations, sources, taking_part
from . import mbox

INDEX = "index.jsonl"
OURS = ".postroom"  # ends the names of the files in a Maildir that we exported, which tell when each was received
_LONGEST_LINE = 1 << 20  # bytes of a line of an index
_HEADER = b"!\"#$%&'()*+,-./0123456789;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"

Quoting = Literal["auto", "mboxrd", "mboxcl"]


@dataclass(frozen=True, slots=True)
class Item:
    """A mail to be imported, and what is known of it before it is opened."""

    path: str  # the file
    start: int  # of the mail in it
    size: int  # bytes of it there
    kind: str  # the source's, as `archive.post.sources` has them
    name: str
    place: str  # within the source
    member: str | None = None  # of the zip that the file is
    quoted: bool = False  # as mboxrd: to be undone
    cut: bool = False  # its last line end is not its own
    came_at: int | None = None  # seconds since 1970, by the separator or the file's name
    received_at: int | None = None  # UTC ms, as an export of ours tells
    sha256: str | None = None  # as an export tells
    wanted_id: int | None = None  # of its message, as an export tells
    stray: tuple[int, str] | None = None  # the message that it names and is apart from, and why, as an export tells
    beside: int | None = None  # a message of its conversation, as an export tells
    joined_by: str | None = None  # why it was in that conversation, as an export tells

    @property
    def shown(self) -> str:
        """For people: which mail this is."""
        if self.kind in (sources.MBOX, sources.MBOXRD):
            return f"{self.path}, byte {self.place}"
        return f"{self.path}, {self.member}" if self.member else self.path


@dataclass(frozen=True, slots=True)
class Skip:
    """What is not taken, and why."""

    what: str
    why: str
    mail: bool = True  # False: nothing says that it is mail at all


Found = Iterator[Item | Skip]


def find(path: Path, quoting: Quoting = "auto") -> Found:
    """Everything at a path, in order. What cannot be opened is a `Skip`."""
    shown = str(path)
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
    except (OSError, RuntimeError) as error:
        yield Skip(shown, _reason(error))
        return
    if stat.S_ISDIR(mode):
        if (real / INDEX).is_file():
            yield from _answering(shown, _export(_Folder(real)))
        elif (real / f".{INDEX}").exists():
            yield Skip(shown, "This export was cut short: it has no index.jsonl. Export again.")
        else:
            yield from _folder(real, quoting)
    elif not stat.S_ISREG(mode):
        yield Skip(shown, "It is neither a file nor a folder.")
    else:
        yield from _answering(shown, _file(real, quoting))


def size(paths: Iterable[Path]) -> int:
    """About how many bytes there are to read; for showing how far an import is."""
    total = 0
    waiting = [str(path) for path in paths]
    while waiting:
        with suppress(OSError):
            path = waiting.pop()
            if not Path(path).is_dir():
                total += Path(path).stat().st_size
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
    return total


def _answering(shown: str, found: Found) -> Found:
    """What comes of a file that fails half-way: what was found before, and why there is no more."""
    try:
        yield from found
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError) as error:  # the last: zipfile's own
        yield Skip(shown, _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "There is no such file or folder."
    said = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
    return f"It cannot be read: {said}."


# --- files and folders ---


def _file(path: Path, quoting: Quoting) -> Found:
    """A file somebody named."""
    with path.open("rb") as file:
        first = file.read(4096)
    if first.startswith(b"PK\x03\x04"):
        yield from _zip(path)
    elif first.startswith(b"From ") and path.suffix.lower() != ".eml":
        yield from _mbox(path, quoting)
    elif path.suffix.lower() == ".eml" or _header_like(first):
        yield _mail(path, sources.FOLDER, _text(path.parent), _text(path.name))
    else:
        yield Skip(_text(path), "It is no mail, no mbox and no export.")


def _header_like(first: bytes) -> bool:
    name, colon, _ = first.partition(b":")
    return bool(colon and name) and not name.strip(_HEADER)


def _folder(root: Path, quoting: Quoting) -> Found:
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            yield Skip(_text(folder), _reason(error))
            continue
        folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        maildir = "cur" in folders or "new" in folders
        if maildir:
            yield from _maildir(root, folder)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                continue
            yield from _answering(_text(entry.path), _entry(root, entry, quoting))
        inner = [name for name in folders if not (maildir and name in ("cur", "new", "tmp"))]
        waiting.extend(os.path.join(folder, name) for name in reversed(inner))  # noqa: PTH118  a name need not be text


def _entry(root: Path, entry: "os.DirEntry[str]", quoting: Quoting) -> Found:
    """A file in a folder that somebody named."""
    shown = _text(entry.path)
    if entry.is_symlink():
        yield Skip(shown, "It is a link; links are not followed.")
    elif not entry.is_file(follow_symlinks=False):
        yield Skip(shown, "It is no file.", mail=False)
    elif entry.name.lower().endswith(".eml"):
        path = Path(entry.path)
        yield _mail(path, sources.FOLDER, _text(root), _text(path.relative_to(root)))
    else:
        with open(entry.path, "rb") as file:  # noqa: PTH123  a name need not be text
            first = file.read(5)
        if first == b"From ":
            yield from _mbox(Path(entry.path), quoting)
        else:
            yield Skip(shown, "It is neither .eml nor an mbox.", mail=False)


def _mail(path: Path, kind: str, name: str, place: str, came_at: int | None = None) -> Item:
    return Item(str(path), 0, path.stat(follow_symlinks=False).st_size, kind, name, place, came_at=came_at)


def _maildir(root: Path, folder: str) -> Found:
    """The mails of one Maildir folder, new and seen ones together: a mail moves from one to the other."""
    mails: list[tuple[str, str]] = []
    for part in ("cur", "new"):
        inner = os.path.join(folder, part)  # noqa: PTH118  a name need not be text
        try:
            with os.scandir(inner) as entries:
                mails += [(entry.name, entry.path) for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Skip(_text(inner), _reason(error))
    below = Path(folder).relative_to(root)
    for name, path in sorted(mails):
        unique = name.partition(":")[0]  # behind it stand the flags, which come and go
        stamp = unique.partition(".")[0]
        came_at = int(stamp) if stamp.isascii() and stamp.isdigit() and len(stamp) < 12 else None
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                yield Skip(_text(path), "It is no file; links are not followed.")
                continue
            one = _mail(Path(path), sources.MAILDIR, _text(root), _text(below / unique), came_at)
            if came_at is not None and unique.endswith(OURS):
                one = replace(one, received_at=came_at * 1000)
            yield one
        except FileNotFoundError:
            yield Skip(_text(path), "It was moved away in between; import again.")
        except OSError as error:
            yield Skip(_text(path), _reason(error))


def _mbox(path: Path, quoting: Quoting) -> Found:
    shown = _text(path)
    with path.open("rb") as file:
        for one in mbox.spans(file, by_length=quoting == "mboxcl"):
            ours = one.separator.sender in (mbox.OURS, mbox.CUT)
            undo = ours or quoting == "mboxrd"
            yield Item(
                str(path),
                one.start,
                one.end - one.start,
                sources.MBOXRD if undo else sources.MBOX,
                shown,
                str(one.separator.offset),
                quoted=undo,
                cut=one.separator.sender == mbox.CUT,
                came_at=one.separator.at,
                received_at=one.separator.at * 1000 if ours and one.separator.at is not None else None,
            )


def _text(path: object) -> str:
    """A path as the database takes it; what is not UTF-8 in it stands as \\xNN."""
    return os.fsencode(str(path)).decode("utf-8", "backslashreplace").replace("\0", "")


# --- exports ---


class _Folder:
    """An export in a folder."""

    def __init__(self, folder: Path) -> None:
        self.shown = _text(folder)
        self._folder = folder

    def index(self) -> IO[bytes]:
        return (self._folder / INDEX).open("rb")

    def item(self, name: str) -> tuple[str, str | None, int] | None:
        """File, member and size; None where there is no such file."""
        path = self._folder / name
        found = path.lstat() if os.path.lexists(path) else None
        return (str(path), None, found.st_size) if found and stat.S_ISREG(found.st_mode) else None

    def names(self) -> Iterator[str]:
        with os.scandir(self._folder) as entries:
            yield from (entry.name for entry in entries)


class _Archive:
    """An export in a zip."""

    def __init__(self, path: Path, opened: zipfile.ZipFile, folder: str) -> None:
        self.shown = _text(path)
        self._path = path
        self._zip = opened
        self._in = folder  # "", or ending in "/"

    def index(self) -> IO[bytes]:
        return self._zip.open(self._in + INDEX)

    def item(self, name: str) -> tuple[str, str | None, int] | None:
        try:
            info = self._zip.getinfo(self._in + name)
        except KeyError:
            return None
        return str(self._path), info.filename, info.file_size

    def names(self) -> Iterator[str]:
        inner = (name.removeprefix(self._in) for name in self._zip.namelist() if name.startswith(self._in))
        return (name for name in inner if name and "/" not in name)


def _zip(path: Path) -> Found:
    with zipfile.ZipFile(path) as opened:
        indexes = [name for name in opened.namelist() if name.rpartition("/")[2] == INDEX and name.count("/") < 2]
        if len(indexes) == 1:
            yield from _export(_Archive(path, opened, indexes[0].removesuffix(INDEX)))
        else:
            yield Skip(_text(path), "There is no index.jsonl in it: it is no export of Postroom. Unpack it.")


def _export(export: _Folder | _Archive) -> Found:
    """The mails an export's index lists, in its order, and what lies beside them."""
    listed = {INDEX}
    with export.index() as index:
        for number, line in enumerate(iter(lambda: index.readline(_LONGEST_LINE), b""), 1):
            where = f"{export.shown}, line {number} of {INDEX}"
            try:
                entry = json.loads(line)
                name = entry["file"]
                if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
                    raise ValueError
            except (ValueError, KeyError, TypeError, RecursionError):
                yield Skip(where, "This line is not as Postroom writes it.")
                continue
            listed.add(name)
            found = export.item(name)
            if found is None:
                yield Skip(where, f"The file {name} is not there.")
                continue
            try:
                yield _listed(entry, *found)
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                yield Skip(where, "This line is not as Postroom writes it.")
    for name in sorted(export.names()):
        if name not in listed:
            yield Skip(f"{export.shown}/{name}", f"{INDEX} does not list it.", mail=name.lower().endswith(".eml"))


def _listed(entry: dict[str, Any], path: str, member: str | None, length: int) -> Item:
    """An export's line; one of ValueError, KeyError, TypeError, AttributeError, OverflowError where it will not do."""
    message = entry.get("message")
    wanted = int(message) if isinstance(message, str) and message.isascii() and message.isdigit() else None
    if wanted is not None and not 0 < wanted < 1 << 63:
        raise ValueError
    received = datetime.fromisoformat(entry["received"])
    sha256 = bytes.fromhex(entry["sha256"]).hex()
    if "source" in entry:
        of = entry["source"]
        kind, name, place = of["kind"], of["name"], of["place"]
        fine = kind in sources.KINDS and kind != sources.BINDING and isinstance(place, str) and len(place) < 1 << 16
    else:
        kind, name = sources.BINDING, entry["binding"]
        place = sources.place_of(*(_number(entry[one]) for one in ("uidvalidity", "uid")))
        fine = isinstance(name, str) and "/" in name
    if not fine or not isinstance(name, str) or not 0 < len(name) < 1 << 16 or received.tzinfo is None:
        raise ValueError
    milliseconds = round(received.timestamp() * 1000)
    apart = entry.get("stray")
    if apart is not None and apart["reason"] not in taking_part.REASONS:
        raise ValueError
    stray = (_number(int(apart["near"])), apart["reason"]) if apart is not None else None
    joined_by = entry.get("joined_by")
    if joined_by is not None and joined_by not in conversations.REASONS:
        raise ValueError
    beside = _number(int(entry["beside"])) if "beside" in entry else None
    told = {"received_at": milliseconds, "sha256": sha256, "wanted_id": wanted, "stray": stray}
    told |= {"beside": beside, "joined_by": joined_by}
    return Item(path, 0, length, kind, _clean(name), _clean(place), member, **told)  # type: ignore[arg-type]


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError
    return value


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()
