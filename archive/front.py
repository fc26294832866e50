"""What the front door hands to every command: plain values, the archive when it is asked for, and how to print."""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:  # loaded when they are needed: `--help` and `inspect` do without
    from .people.scopes import Viewer
    from .store.archive import Archive
    from .store.keys import InstallationKey

json_option = click.option("--json", "as_lines", is_flag=True, help="Print JSON: one object, or one a line.")
as_option = click.option(
    "--as", "as_email", metavar="EMAIL", help="See what this user may see (without it: as operator, everything)."
)


_SEALER_WAITS = 5.0  # seconds for another sealer at work
_SEALED_EVERY = 2.0  # seconds, while a long command works


@dataclass(frozen=True, slots=True)
class Given:
    """What the operator decided, so far as every command may need it."""

    data: Path
    key_path: Path
    database_url: str | None
    base_url: str  # of the pages, where the installation names no other
    blobs_url: str | None = None  # of the bucket for mail


class Pages(Protocol):
    """The web pages, served."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port they listen on."""

    def run(self) -> None:
        """Serve until `close`."""

    def close(self) -> None:
        """Finish what is being answered and stop; may be called from another thread and repeated."""


class Front:
    """One call of the command line. Settings are read when one is asked for; ClickException where they will not do."""

    def __init__(
        self,
        given: Callable[[], Given],
        pages: "Callable[[Front, str | None, int | None], Pages] | None" = None,
    ) -> None:
        self._given_by = given
        self._pages_by = pages
        self._given: Given | None = None
        self._archive: Archive | None = None

    @property
    def given(self) -> Given:
        """What the operator decided."""
        if self._given is None:
            self._given = self._given_by()
        return self._given

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.given.data

    @property
    def key_path(self) -> Path:
        """The installation's key file."""
        return self.given.key_path

    @property
    def database_url(self) -> str | None:
        """The database; none: SQLite in the data folder."""
        return self.given.database_url

    @property
    def blobs_url(self) -> str | None:
        """Where mail is kept; none: in the data folder."""
        return self.given.blobs_url

    def archive(self) -> "Archive":
        """The archive, opened and checked the first time; NotReady or KeyTrouble where it cannot be."""
        from . import installation
        from .store import migrate

        if self._archive is None:
            opened = self.open_with(self.key())
            migrate.check(opened)
            migrate.check_key(opened)
            installation.check_blobs(opened)
            self._archive = opened
        return self._archive

    def key(self) -> "InstallationKey":
        """The installation's key; NotReady where there is no archive at all, KeyTrouble where the key is missing."""
        from .installation import UNFINISHED
        from .store.keys import InstallationKey
        from .store.packs import NotReady

        if (self.data / UNFINISHED).exists():
            raise NotReady(f"{self.data}: making this archive was interrupted. Call postroom init again, it goes on.")
        if not self.key_path.exists() and not self.data.exists():
            raise NotReady(f"{self.data}: no archive there. Make one with: postroom init --admin EMAIL")
        return InstallationKey.read(self.key_path)

    def open_with(self, key: "InstallationKey") -> "Archive":
        """The archive opened with a key, not checked."""
        from .store.archive import Archive

        return Archive(self.data, key, self.database_url, self.blobs_url)

    def base_url(self) -> str:
        """Where the pages are reached, without a slash at the end."""
        from . import installation

        with self.archive().reading() as session:
            return installation.get(session, installation.URL) or self.given.base_url

    def reader(
        self, email: str | None, command: str, arguments: Mapping[str, Any], subject: str = "archive"
    ) -> "Viewer":
        """On whose behalf this call reads; that it does is an event, written before anything is shown.

        UserTrouble where there is no such user.
        """
        from .events import log
        from .people import scopes, users

        with self.archive().transaction() as session:
            viewer = scopes.MACHINE
            if email is not None:
                user = users.by_email(session, email)
                if user is None:
                    raise users.UserTrouble(f"There is no user {email}. See: postroom user list")
                viewer = scopes.viewer(session, user.id)
            details = {"command": command, "arguments": dict(arguments), "as": email}
            log.write(session, [log.Event("archive.read", viewer.actor, subject, details)], now())
        return viewer

    def pages(self, host: str | None, port: int | None) -> Pages:
        """The web pages of this archive, bound to host and port (None: as configured), not running yet."""
        if self._pages_by is None:
            raise click.ClickException("There are no pages here.")
        return self._pages_by(self, host, port)

    def elsewhere(self, given: Given) -> "Front":
        """The same front door for another archive."""
        return Front(lambda: given, self._pages_by)

    def close(self) -> None:
        """Seal what became true, and give back what was opened."""
        if self._archive is not None:
            if self._archive.written:
                seal(self._archive)
            self._archive.close()
            self._archive = None


def seal(archive: "Archive") -> None:
    """Seal what became true; a command does so before it ends."""
    from sqlalchemy.exc import SQLAlchemyError

    from .events import sealer

    try:
        sealer.seal_all(archive, now, wait=_SEALER_WAITS)
    except (OSError, SQLAlchemyError):
        # What the command did is done and committed; the next sealing takes it along, and `verify` names it till then.
        logging.getLogger(__name__).warning("What became true could not be sealed yet.", exc_info=True)


@contextmanager
def sealing(archive: "Archive") -> Iterator[None]:
    """Seal by and by what becomes true meanwhile, so that a long command does not begin with that at its end."""
    over = threading.Event()

    def seal_by_and_by() -> None:
        while not over.wait(_SEALED_EVERY):
            seal(archive)

    thread = threading.Thread(target=seal_by_and_by, name="sealing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


pass_front = click.make_pass_decorator(Front)


def now() -> int:
    """The time in UTC milliseconds."""
    return time.time_ns() // 1_000_000


_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_000  # the years 1 and 9999


def when(milliseconds: int) -> str:
    """A time (UTC ms) as ISO 8601 in UTC; beyond the years 1 to 9999, where a server may claim to be, the nearest."""
    milliseconds = min(max(milliseconds, _FIRST), _LAST)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds" if milliseconds % 1000 else "seconds").replace("+00:00", "Z")


def as_json(value: Mapping[str, Any]) -> None:
    """One JSON object on a line of stdout, written at once."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, in a file's name for one
        text = json.dumps(value)
    click.echo(text)


_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"  # within letters and pictures of some scripts; harmless


def plain(text: str) -> str:
    """Text from outside for a terminal: nothing in it can move the cursor, begin a line or turn its direction."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in _JOINERS else _stand_in(char) for char in text)


def _stand_in(char: str) -> str:
    return " " if char.isspace() and char not in "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029" else "\N{REPLACEMENT CHARACTER}"


@contextmanager
def progress(label: str, total: int | None) -> Iterator["Progress"]:
    """A progress bar on stderr where that is a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield Progress(lambda done, of: bar.update(task, completed=done, total=of))


class Progress:
    """How far something is; told to a bar or to nobody."""

    def __init__(self, tell: Callable[[int, int | None], None] | None = None) -> None:
        self._tell = tell
        self._done = 0

    def to(self, done: int, of: int | None = None) -> None:
        """So many are done."""
        self._done = done
        if self._tell is not None:
            self._tell(done, of)

    def step(self, by: int = 1) -> None:
        """So many more are done."""
        self.to(self._done + by)

    def over(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, each counted when it has been dealt with."""
        for item in items:
            yield item
            self.step()
