"""`postroom verify`: everything read again, and what is not as it was."""

import click

from ..events import verify as proving
from ..events.verify import Verified
from ..front import Front, Progress, as_json, json_option, now, pass_front, plain, progress, when
from ..store import migrate
from ..store.archive import Archive
from ..store.keys import InstallationKey

_SHOWN = 1000  # findings printed for people


@click.command()
@click.option("--sample", type=click.IntRange(0), metavar="N", help="Read the bytes of N random messages only.")
@click.option("--without-key", is_flag=True, help="Leave contents aside, also where the installation's key is there.")
@json_option
@pass_front
def verify(front: Front, sample: int | None, without_key: bool, as_lines: bool) -> None:
    """Read everything again: rows, the log of events and its seals, every byte of every pack, and every copy.

    Says of each thing that was altered, is missing or does not belong what and where it is, and names what is not
    sealed yet. Writes nothing. Works on a copy, and without the installation's key, then without contents. Exit 1
    where something is not as it was.

    \b
    Example:
      postroom verify --json
    """
    contents = not without_key and front.key_path.exists()
    archive = front.archive() if contents else _without_key(front)
    try:
        with progress("verifying", None) as bar:
            done = proving.verify(archive, contents=contents, sample=sample, told=_teller(bar))
    finally:
        if not contents:
            archive.close()
    if as_lines:
        for one in done.findings:
            as_json({"where": one.where, "says": one.says})
        as_json(_summary(done))
    else:
        for one in done.findings[:_SHOWN]:
            click.echo(plain(f"{one.where}: {one.says}"))
        if done.found > _SHOWN:
            click.echo(f"… and {done.found - _SHOWN} more; --json prints them.")
        _tell(done, sample)
    if done.found:
        raise click.exceptions.Exit(1)


def _without_key(front: Front) -> Archive:
    """The archive, opened with a key that opens nothing."""
    archive = front.open_with(InstallationKey.new())
    migrate.check(archive)
    return archive


def _teller(bar: Progress) -> proving.Told:
    def told(_stage: str, done: int, of: int | None) -> None:
        bar.to(done, of)

    return told


def _summary(done: Verified) -> dict[str, object]:
    return {
        "findings": done.found,
        "seals": done.seals,
        "events": done.events,
        "rows": done.rows,
        "packs": done.packs,
        "packed_bytes": done.packed,
        "contents": done.contents,
        "copies": done.copies,
        "bytes": done.bytes,
        "unsealed_events": done.unsealed,
        "unsealed_since": when(done.unsealed_since) if done.unsealed_since is not None else None,
        "unsealed_from": str(done.unsealed_first) if done.unsealed_first is not None else None,
        "unsealed_bytes": done.unsealed_bytes,
    }


def _tell(done: Verified, sample: int | None) -> None:
    read = f"{done.copies} copies ({done.bytes:,} bytes)" if done.contents else "no contents: that needs the key"
    packs = f"{done.packed:,} bytes of packs" + (" as a sample" if sample is not None else "")
    click.echo(f"Read {done.seals} seals, {done.events} events, {done.rows} rows, {packs}, {read}.", err=True)
    if done.unsealed and done.unsealed_since is not None:
        age = max(0, now() - done.unsealed_since) // 1000
        click.echo(
            f"Not sealed yet: {done.unsealed} events from event {done.unsealed_first} on, the first of {age} s ago, "
            f"and {done.unsealed_bytes:,} bytes of packs. Nothing proves that these were not altered.",
            err=True,
        )
    elif done.unsealed_bytes:
        click.echo(f"Not sealed yet: {done.unsealed_bytes:,} bytes of packs.", err=True)
    click.echo("Everything is as it was." if not done.found else f"{done.found} things are not as they were.", err=True)
