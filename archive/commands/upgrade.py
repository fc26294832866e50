"""`postroom upgrade`: the database brought to this version."""

from pathlib import Path

import click

from ..events import log
from ..front import Front, now, pass_front
from ..store import migrate
from ..store.archive import Archive, NotReady


@click.command()
@pass_front
def upgrade(front: Front) -> None:
    """Bring the database to this version. Stop `postroom serve` and make a backup first; harmless to repeat.

    \b
    Example:
      postroom upgrade
    """
    archive = front.open_with(front.key())
    try:
        before = _version(archive)
        if before != migrate.HEAD:
            _upgrade(archive, before)
        archive.check()
    finally:
        archive.close()
    if before == migrate.HEAD:
        click.echo(f"The database is of version {before} already.", err=True)
    else:
        click.echo(f"The database is of version {migrate.HEAD} now; it was {before}.", err=True)


def _version(archive: Archive) -> str:
    """The database's revision; NotReady where there is no archive (asking SQLite then would make one)."""
    try:
        migrate.check(archive)
    except NotReady:
        there = not archive.on_sqlite or Path(archive.engine.url.database or "").exists()
        found = migrate.revision(archive) if there else None
        if found is None:
            raise
        return found
    return migrate.HEAD


def _upgrade(archive: Archive, before: str) -> None:
    from alembic.util import CommandError

    try:
        migrate.upgrade(archive)
    except CommandError:
        raise NotReady(
            f"This Postroom does not know version {before} of the database; a newer one ran here. Install that one."
        ) from None
    with archive.transaction() as session:
        details = {"from": before, "to": migrate.HEAD}
        log.write(session, [log.Event("archive.upgraded", log.OPERATOR, "archive", details)], now())
