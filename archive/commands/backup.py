"""`postroom backup`: the whole archive in a folder, while everything runs."""

import os
from pathlib import Path

import click

from .. import backup as backing_up
from ..events import log
from ..front import Front, as_json, json_option, now, pass_front, progress, when


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@json_option
@pass_front
def backup(front: Front, folder: Path, as_lines: bool) -> None:
    """Back the whole archive up into DIR, as it stands at one moment; nothing has to be stopped.

    DIR is new, empty, or holds an earlier backup of this archive, to which only what is new is added. When an
    interrupted backup is called again, it begins anew, and until then the one before is whole. The key file is not in
    it: keep that apart, or the recovery key.

    \b
    Example:
      postroom backup /media/backup/postroom
    """
    archive = front.archive()
    with progress("backing up", None) as bar:
        made = backing_up.make(archive, folder, now(), bar.to)
    with archive.transaction() as session:
        # A path need not be text; a log is.
        details = {"folder": os.fsencode(folder.absolute()).decode(errors="replace"), "copies": made.copies}
        log.write(session, [log.Event("archive.backed_up", log.OPERATOR, "archive", details)], now())
    if as_lines:
        as_json({"folder": str(folder), "made": when(made.made_at), "copies": made.copies, "bytes": made.size})
    else:
        click.echo(f"{made.copies} copies, {made.size:,} bytes in {folder}, as of {when(made.made_at)}.", err=True)
        click.echo(f"The key is not in it. Keep {front.key_path} or the recovery key in another place.", err=True)
