"""`postroom reindex`: the search index brought up to date by hand, or made anew."""

import click

from .. import reindexing
from ..extraction import Extractor
from ..front import Front, as_json, json_option, pass_front, progress

_BATCH = 200


@click.command()
@click.option("--all", "anew", is_flag=True, help="Empty the index first and put every message there again.")
@json_option
@pass_front
def reindex(front: Front, anew: bool, as_lines: bool) -> None:
    """Put into the search index what is not there in full: stems, beginnings of words, text of attachments.

    `postroom serve` does the same in the background, within a minute after a mail came. May be interrupted and called
    again, and mail may go on coming in; with --all only what has been put there again is found until it is done, the
    newest mail first.

    \b
    Example:
      postroom reindex --all --json
    """
    archive = front.archive()
    if anew:
        reindexing.begin_anew(archive)
    with archive.reading() as session:
        total = reindexing.waiting(session)
    indexed = unreadable = 0
    with Extractor() as extractor, progress("indexing", total) as bar:
        while (done := reindexing.pass_(archive, _BATCH, extractor)).indexed:
            indexed, unreadable = indexed + done.indexed, unreadable + done.unreadable
            bar.to(indexed)
    if as_lines:
        as_json({"indexed": indexed, "unreadable": unreadable})
    else:
        click.echo(f"{indexed} indexed" + (f", {unreadable} unreadable" if unreadable else ""))
    if unreadable:
        raise click.exceptions.Exit(1)
