"""`postroom release`: a restored archive may send by itself again."""

import click

from .. import installation
from ..events import log
from ..front import Front, now, pass_front


@click.command()
@pass_front
def release(front: Front) -> None:
    """Let things leave a restored archive by themselves again.

    After `postroom restore` nothing does, for the machine that made the backup may still run, and what it has sent
    since is not known here. Harmless to repeat.

    \b
    Example:
      postroom release
    """
    with front.archive().transaction() as session:
        held = installation.release(session)
        if held:
            log.write(session, [log.Event("archive.released", log.OPERATOR, "archive")], now())
    click.echo("Released." if held else "Nothing was held.", err=True)
