"""`postroom stats`: how much is archived, and what it takes."""

import click

from .. import statistics
from ..front import Front, as_json, as_option, json_option, pass_front


@click.command()
@as_option
@json_option
@pass_front
def stats(front: Front, as_email: str | None, as_lines: bool) -> None:
    """Count messages, copies and bytes, and what keeping each message once has saved.

    \b
    Example:
      postroom stats --json
    """
    viewer = front.reader(as_email, "stats", {})
    archive = front.archive()
    with archive.reading() as session:
        found = statistics.count(archive, session, viewer)
    if as_lines:
        as_json(
            {
                "messages": found.messages,
                "copies": found.copies,
                "quarantined": found.quarantined,
                "bytes_received": found.bytes_received,
                "bytes_stored": found.bytes_stored,
                "bytes_saved": found.bytes_saved,
            }
        )
        return
    for name, number in (
        ("messages", found.messages),
        ("copies", found.copies),
        ("in quarantine", found.quarantined),
        ("bytes received", found.bytes_received),
        ("bytes stored", found.bytes_stored),
        ("saved by keeping once", found.bytes_saved),
    ):
        click.echo(f"{name:22}{number:>20,}")
