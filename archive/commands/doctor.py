"""`postroom doctor`: is the installation well, and if not, what to do."""

from collections.abc import Iterator

import click
from sqlalchemy.exc import OperationalError

from .. import doctor as look
from ..doctor import Finding
from ..front import Front, as_json, json_option, now, pass_front, plain
from ..store.keys import KeyTrouble
from ..store.packs import NotReady

_MARKS = {"ok": "ok  ", "reminder": "NOTE", "wrong": "FAIL"}


@click.command()
@json_option
@pass_front
def doctor(front: Front, as_lines: bool) -> None:
    """Check configuration, key, database, disk space, clock, watched folders and packages.

    Each line is ok, a note of what should be done, or a failure and what to do; exit 1 where something fails.

    \b
    Example:
      postroom doctor
    """
    well = True
    for one in _findings(front):
        well = well and one.state != "wrong"
        if as_lines:
            as_json(
                {
                    "check": one.check,
                    "ok": one.state != "wrong",
                    "reminder": one.state == "reminder",
                    "says": one.says,
                }
            )
        else:
            click.echo(f"{_MARKS[one.state]}  {one.check}: {plain(one.says)}")
    if not well:
        raise click.exceptions.Exit(1)


def _findings(front: Front) -> Iterator[Finding]:
    """All findings; where one thing is not there, what depends on it is not looked at."""
    yield from look.packages()
    try:
        given = front.given
    except click.ClickException as error:
        for line in error.format_message().splitlines():
            yield Finding("configuration", "wrong", line)
        return
    yield Finding("configuration", "ok", f"Data in {given.data}.")
    yield from look.data_folder(given.data)
    yield from look.owned(given.data)
    yield from look.key_file(given.key_path, given.data)
    try:
        archive = front.archive()
    except (NotReady, KeyTrouble) as error:
        yield Finding("database", "wrong", str(error))
        return
    except OperationalError as error:
        yield Finding("database", "wrong", f"It cannot be used: {error.orig}. See database.url, and whether it runs.")
        return
    at = now()
    with archive.reading() as session:
        yield from look.database(session)
        yield from look.recovery_key(session)
        yield from look.held(session)
        yield from look.blob_store(archive)
        yield from look.kept_bytes(archive, session)
        yield from look.disk_space(archive)
        yield from look.clock(session, at)
        yield from look.watched_folders(session, at)
        yield from look.mailboxes(session, at)
