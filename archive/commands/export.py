"""`postroom export`: every received copy in a folder, byte for byte."""

import os
from pathlib import Path

import click

from .. import export as exporting
from ..front import Front, as_json, as_option, json_option, pass_front, plain, progress


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["eml"]), required=True, help="eml: a file for each copy.")
@as_option
@json_option
@pass_front
@click.pass_context
def export(context: click.Context, front: Front, folder: Path, form: str, as_email: str | None, as_lines: bool) -> None:
    """Write every received copy to DIR, byte for byte as it came, and index.jsonl, which says what each file is.

    DIR is made, or is there and empty. Each file is checked against the SHA-256 of what was received. Mails in
    quarantine are written too. When index.jsonl stands there, the export is complete.

    \b
    Example:
      postroom export /media/backup/mails --format eml
    """
    # A path need not be text; a log is.
    viewer = front.reader(as_email, "export", {"folder": os.fsencode(folder).decode(errors="replace"), "format": form})
    archive = front.archive()
    with archive.reading() as session:
        total = exporting.expected(session, viewer)
    with progress("exporting", total) as bar:
        done = exporting.write(archive, folder, viewer, bar.to)
    for sentence in done.damaged:
        click.echo(plain(sentence), err=True)
    if as_lines:
        as_json(
            {
                "folder": str(folder),
                "copies": done.copies,
                "quarantined": done.quarantined,
                "bytes": done.bytes,
                "damaged": len(done.damaged),
            }
        )
    else:
        more = f", {done.quarantined} from quarantine" if done.quarantined else ""
        click.echo(f"{done.copies} copies{more}, {done.bytes:,} bytes in {folder}", err=True)
    if done.damaged:
        context.exit(1)
