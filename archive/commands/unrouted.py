"""`postroom unrouted`: where mail goes that no address claims."""

import click

from ..events import log
from ..front import Front, as_json, json_option, now, pass_front, plain
from ..people import processes
from ..post import routes
from .process import named


@click.command()
@click.argument("slug", metavar="PROCESS", required=False)
@click.option(
    "--hours",
    default=8,
    show_default=True,
    type=click.IntRange(1, 24 * 31),
    help="In how many hours somebody there should have looked at it.",
)
@json_option
@pass_front
def unrouted(front: Front, slug: str | None, hours: int, as_lines: bool) -> None:
    """Choose the process to which mail goes that no address claims, or say which it is.

    It has to have an owner, and each such ticket has a deadline.

    \b
    Example:
      postroom unrouted office --hours 4
    """
    archive = front.archive()
    if slug is not None:
        with archive.transaction() as session:
            chosen = named(session, slug)
            if not chosen.owners:
                raise processes.ProcessTrouble(f"{slug} has no owner; nobody would look at such mail.")
            routes.choose_unrouted(session, chosen.id, hours, log.OPERATOR, now())
    with archive.reading() as session:
        found = routes.unrouted(session)
        every = {one.id: one for one in processes.every(session)}
    if found is None:
        raise processes.ProcessTrouble("Nothing is chosen yet. Choose with: postroom unrouted PROCESS --hours 8")
    here = every[found.process]
    if as_lines:
        as_json({"process": here.slug, "hours": found.hours, "owners": list(here.owners)})
    else:
        click.echo(f"{here.slug}  {plain(here.name)}  within {found.hours} h  owned by {', '.join(here.owners)}")
