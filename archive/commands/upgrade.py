"""`postroom upgrade`: the database brought to this version."""

import click

from .. import installation
from ..events import log
from ..front import Front, now, pass_front, seal
from ..store import migrate
from ..store.archive import Archive
from ..store.packs import NotReady


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
        before = installation.version(archive)
        if before != migrate.HEAD:
            _upgrade(archive, before)
        migrate.check(archive)
        migrate.check_key(archive)
        seal(archive)
    finally:
        archive.close()
    if before == migrate.HEAD:
        click.echo(f"The database is of version {before} already.", err=True)
    else:
        click.echo(f"The database is of version {migrate.HEAD} now; it was {before}.", err=True)


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
