"""`postroom import`: mail from files, for a process or a person."""

from pathlib import Path
from typing import Any

import click

from ..front import Front, as_json, json_option, now, pass_front, plain, progress
from ..importing.finding import Skip
from ..importing.run import Import
from ..people import processes, scopes, users


@click.command(name="import")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--process", "slug", metavar="SLUG", help="The process whose mail this becomes.")
@click.option("--user", "email", metavar="EMAIL", help="The person whose private mail this becomes.")
@click.option(
    "--quoting",
    type=click.Choice(["auto", "mboxrd", "mboxcl"]),
    default="auto",
    show_default=True,
    help='Of mboxes. auto: mails exactly as they stand; mboxrd: undo ">From "; mboxcl: believe Content-Length.',
)
@json_option
@pass_front
@click.pass_context
def import_(
    context: click.Context,
    front: Front,
    paths: tuple[Path, ...],
    slug: str | None,
    email: str | None,
    quoting: Any,
    as_lines: bool,
) -> None:
    """Bring in the mail at each PATH: an mbox, a Maildir, a folder with .eml files or any of these below it, or what
    `postroom export` wrote (folder or zip), whose receipts are taken over.

    Nothing is changed there. Nothing is ever sent because of imported mail. When an import was interrupted, call it
    again: what has been imported is known and passed over. What is not taken is named with its reason; exit 1 where
    some of that was mail.

    \b
    Example:
      postroom import ~/Mail/archive.mbox --process helpdesk
    """
    if (slug is None) == (email is None):
        raise click.UsageError("Say for whom: --process SLUG or --user EMAIL.")
    skipped: list[Skip] = []

    def skip(one: Skip) -> None:
        if as_lines:
            skipped.append(one)
        else:
            click.echo(plain(f"{one.what}: {one.why}"), err=True)

    with progress("importing", None) as bar:
        summary = Import(front.archive(), _scope(front, slug, email), now, skip, bar.to).run(paths, quoting)
    counts = summary.counts
    if as_lines:
        as_json(
            {
                "archived": counts.archived,
                "copies": counts.copies,
                "known": counts.known,
                "bytes": counts.bytes,
                "failed": summary.failed,
                "passed_over": summary.passed_over,
                "skipped": [{"what": one.what, "why": one.why, "mail": one.mail} for one in skipped],
            }
        )
    else:
        parts = [f"{counts.archived} archived"]
        parts += [f"{counts.copies} further copies"] if counts.copies else []
        parts += [f"{counts.known} imported before"] if counts.known else []
        parts += [f"{summary.failed} not taken"] if summary.failed else []
        parts += [f"{summary.passed_over} other files passed over"] if summary.passed_over else []
        click.echo(f"{', '.join(parts)}.")
    if summary.failed:
        context.exit(1)


def _scope(front: Front, slug: str | None, email: str | None) -> str:
    with front.archive().reading() as session:
        if slug is not None:
            process = processes.by_slug(session, slug)
            if process is None:
                raise processes.ProcessTrouble(f"There is no process {slug}. See: postroom process list")
            return scopes.process_scope(process.id)
        user = users.by_email(session, email or "")
        if user is None:
            raise users.UserTrouble(f"There is no user {email}. See: postroom user list")
        return scopes.user_scope(user.id)
