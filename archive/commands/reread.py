"""`postroom reread`: the second reading by hand, where `serve` does not do it in the background."""

import click

from .. import rereading
from ..front import Front, as_json, json_option, now, pass_front, progress
from ..mail.second_reader import SecondReader

_BATCH = 50


@click.command()
@json_option
@pass_front
def reread(front: Front, as_lines: bool) -> None:
    """Read every message that has been read once only with the second reader (mail-parser).

    It supplies the Received hops and defects, and marks messages on which the two readers disagree. `postroom serve`
    does the same in the background. Messages read by an earlier version of it are read again.

    \b
    Example:
      postroom reread --json
    """
    archive = front.archive()
    with archive.transaction() as session:
        rereading.forget(session, now())
        total = rereading.waiting(session)
    read = ambiguous = unreadable = 0
    with SecondReader() as second, progress("reading", total) as bar:
        while (done := rereading.pass_(archive, _BATCH, now, second)).read:
            read, ambiguous, unreadable = read + done.read, ambiguous + done.ambiguous, unreadable + done.unreadable
            bar.to(read)
    if as_lines:
        as_json({"read": read, "ambiguous": ambiguous, "unreadable": unreadable})
    else:
        click.echo(f"{read} read, {ambiguous} ambiguous" + (f", {unreadable} unreadable" if unreadable else ""))
    if unreadable:
        raise click.exceptions.Exit(1)
