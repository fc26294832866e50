"""`postroom export`: received copies in a folder, byte for byte."""

import os
from pathlib import Path

import click

from .. import export as exporting
from ..front import Front, as_json, as_option, json_option, pass_front, plain, progress
from ..people.scopes import Viewer
from ..search import hits, query
from ..search.query import Query
from ..store.archive import Session


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(list(exporting.FORMS)),
    required=True,
    help="eml: a file for each copy, and an index; zip: the same in one file; mbox (quoted as mboxrd); maildir.",
)
@click.option("--query", "typed", metavar="QUERY", help="Only what a search finds.")
@as_option
@json_option
@pass_front
@click.pass_context
def export(
    context: click.Context,
    front: Front,
    folder: Path,
    form: str,
    typed: str | None,
    as_email: str | None,
    as_lines: bool,
) -> None:
    """Write every received copy to DIR, byte for byte as it came, and index.jsonl, which says what each file is.

    DIR is made, or is there and empty. Each file is checked against the SHA-256 of what was received. Mails in
    quarantine are written too, unless only what a search finds is wanted. When index.jsonl, postroom.zip,
    postroom.mbox or the folder cur stands there, the export is complete. `postroom import` reads all four; eml and zip
    with everything that was known of each copy.

    \b
    Example:
      postroom export /media/backup/mails --format eml
    """
    # A path need not be text; a log is.
    arguments = {"folder": os.fsencode(folder).decode(errors="replace"), "format": form}
    viewer = front.reader(as_email, "export", arguments | ({"query": typed} if typed is not None else {}))
    archive = front.archive()
    with archive.reading() as session:
        only = None if typed is None else _matching(session, query.parse(typed), viewer)
        total = exporting.expected(session, viewer) if only is None else None
    with progress("exporting", total) as bar:
        done = exporting.write(archive, folder, viewer, bar.to, form, only)
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


def _matching(session: Session, asked: Query, viewer: Viewer) -> set[int]:
    """What a query finds; what was not understood of it is said before anything is written."""
    notes = hits.understand(session, asked, viewer).notes
    for note in notes:
        click.echo(plain(str(note)), err=True)
    if hits.UNFINISHED in notes:
        raise click.ClickException(
            "Such an export would not be complete. Wait until `postroom reindex` is done, or export without --query."
        )
    return exporting.matching(session, asked, viewer)
