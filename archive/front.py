"""What the front door hands to every command: plain values, the archive when it is asked for, and how to print."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from .store.archive import Archive
from .store.keys import InstallationKey


@dataclass
class Front:
    """One call of the command line."""

    data: Path
    key_path: Path
    database_url: str | None
    _archive: Archive | None = field(default=None, repr=False)

    def archive(self) -> Archive:
        """The archive, opened and checked the first time; NotReady or KeyTrouble where it cannot be."""
        if self._archive is None:
            key = InstallationKey.read(self.key_path) if self.key_path.exists() or self.data.exists() else None
            if key is None:
                raise click.ClickException(f"{self.data}: no archive there. Make one with: postroom init --admin EMAIL")
            opened = Archive(self.data.absolute(), key, self.database_url)
            opened.check()
            self._archive = opened
        return self._archive


pass_front = click.make_pass_decorator(Front)


def now() -> int:
    """The time in UTC milliseconds."""
    return time.time_ns() // 1_000_000


def as_json(value: Mapping[str, Any]) -> None:
    """One JSON object on a line of stdout."""
    click.echo(json.dumps(value, ensure_ascii=False))


def plain(text: str) -> str:
    """Text from outside for a terminal: nothing in it can move the cursor or begin a line."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


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

    def __init__(self, tell: Any = None) -> None:
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
