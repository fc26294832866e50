"""`postroom key`: the installation's key, and the recovery key that is the same on paper."""

import sys

import click

from .. import installation
from ..events import log
from ..front import Front, now, pass_front, seal
from ..store.keys import InstallationKey, KeyTrouble


@click.group()
def key() -> None:
    """The installation's key and its recovery key.

    \b
    Example:
      postroom key confirm < recovery-key.txt
    """


@key.command()
@pass_front
def confirm(front: Front) -> None:
    """Prove that the recovery key is kept: type it in, or give it on stdin. Until then `doctor` reminds.

    \b
    Example:
      postroom key confirm < recovery-key.txt
    """
    archive = front.archive()
    if _typed().fingerprint != archive.key.fingerprint:
        raise KeyTrouble("This is the recovery key of another installation.")
    at = now()
    with archive.transaction() as session:
        installation.put(session, installation.RECOVERY_CONFIRMED, str(at))
        log.write(session, [log.Event("key.confirmed", log.OPERATOR, "archive")], at)
    click.echo("The recovery key is right. Keep it where a fire here does not reach it.", err=True)


@key.command()
@pass_front
def restore(front: Front) -> None:
    """Write the key file anew from the recovery key, typed in or given on stdin. Overwrites nothing.

    \b
    Example:
      postroom key restore < recovery-key.txt
    """
    typed = _typed()
    archive = front.open_with(typed)
    try:
        installation.version(archive)  # whichever it is: `upgrade` needs the key first
        with archive.reading() as session:
            wanted = installation.get(session, installation.KEY)
        if wanted != typed.fingerprint:
            raise KeyTrouble(f"This is not the recovery key of the archive in {front.data}.")
        typed.write(front.key_path)
        with archive.transaction() as session:
            log.write(session, [log.Event("key.restored", log.OPERATOR, "archive")], now())
        seal(archive)
    except FileExistsError:
        raise KeyTrouble(f"{front.key_path} is there already, and it is not overwritten. Move it away first.") from None
    finally:
        archive.close()
    click.echo(f"{front.key_path} is written.", err=True)


def _typed() -> InstallationKey:
    """The recovery key, asked for on a terminal without showing it, else the text on stdin."""
    asked = sys.stdin.isatty()
    text = click.prompt("Recovery key", hide_input=True, err=True) if asked else sys.stdin.read(4096)
    return InstallationKey.from_recovery(text)
