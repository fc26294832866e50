"""`postroom restore`: a backup put back into an empty place."""

from pathlib import Path

import click

from .. import backup
from ..front import Front, as_json, json_option, now, pass_front, progress, when
from ..store import dialects, migrate
from ..store.archive import Archive
from ..store.keys import InstallationKey

_SAMPLE = 200  # mails read back


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@json_option
@pass_front
def restore(front: Front, folder: Path, as_lines: bool) -> None:
    """Put the backup in DIR back into POSTROOM_DATA, which is new or empty.

    Where database.url names a server, rows and keys go into its database, which has to be empty.
    Where blobs.url names a bucket, packs go there; those that are in it already are compared and left alone.

    Every byte is compared with what was backed up, and where the key file is there already, a sample of mails is read.
    Afterwards nothing leaves by itself until somebody says `postroom release`. An interrupted restore leaves nothing
    that looks like an archive; call it again.

    \b
    Example:
      POSTROOM_DATA=/srv/postroom/data postroom restore /media/backup/postroom
    """
    on_server = dialects.names_server(front.database_url)
    if front.database_url is not None and not on_server:
        raise backup.BackupTrouble("database.url names a database elsewhere; a backup is put back without it.")
    manifest = backup.read(folder)
    key = InstallationKey.read(front.key_path) if front.key_path.exists() else None
    if key is not None and key.fingerprint != manifest.key:
        raise backup.BackupTrouble(
            f"{front.key_path} is the key of another archive. Put the right one there, or move it away, "
            "and write the right one from its recovery key afterwards: postroom key restore"
        )
    server = front.open_with(key or InstallationKey.new()) if on_server else None
    try:
        sample = _bring(front, folder, manifest, key, server)
    finally:
        if server is not None:
            server.close()
    needed = [
        *([] if key else [f"the key: put its file back to {front.key_path}, or type it in with: postroom key restore"]),
        *(
            []
            if server is not None or manifest.version == migrate.HEAD
            else ["the database is of another version: postroom upgrade"]
        ),
        "a look: postroom doctor",
        "when no other machine runs this archive any more: postroom release",
    ]
    if as_lines:
        as_json(
            {
                "data": str(front.data),
                "made": when(manifest.made_at),
                "copies": manifest.copies,
                "bytes": manifest.size,
                "read_back": sample,
                "held": True,
                "needed": needed,
            }
        )
        return
    click.echo(f"{manifest.copies} copies as of {when(manifest.made_at)} are back in {front.data}.", err=True)
    if sample is not None:
        click.echo(f"{sample} mails were read back, byte for byte.", err=True)
    click.echo("What is left to do:", err=True)
    for one in needed:
        click.echo(f"- {one}", err=True)


def _bring(
    front: Front, folder: Path, manifest: backup.Manifest, key: InstallationKey | None, server: Archive | None
) -> int | None:
    """All of it, into files or a server's database; how many mails were read back, where that could be."""
    if server is not None:
        if backup.moved_in(manifest, front.data, server):
            backup.finish_on_server(front.data)
            return None
        backup.check_server(server)
    with progress("restoring", manifest.size) as bar:
        backup.put_back(folder, front.data, bar.to, front.blobs_url)
    archive = backup.unfinished(front.data, key or InstallationKey.new(), front.blobs_url)
    try:
        readable = key is not None and manifest.version == migrate.HEAD
        sample = backup.read_back(archive, _SAMPLE) if readable else None
        backup.hold(archive, manifest, now())
        if server is not None:
            backup.move_in(archive, server)
    finally:
        archive.close()
    if server is not None:
        backup.finish_on_server(front.data)
    else:
        backup.finish(front.data)
    return sample
