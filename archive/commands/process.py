"""`postroom process`: matters people work on together."""

import click

from ..front import Front, as_json, json_option, now, pass_front, plain
from ..people import processes


@click.group()
def process() -> None:
    """Matters people work on together: Helpdesk, Sales.

    \b
    Example:
      postroom process add helpdesk --name Helpdesk --address help@example.org --owner anna@example.org
    """


@process.command()
@click.argument("slug")
@click.option("--name", required=True, help="As people see it.")
@click.option("--address", "addresses", multiple=True, required=True, help="Its mail address; may be repeated.")
@click.option("--owner", "owners", multiple=True, required=True, help="A user who owns it; may be repeated.")
@json_option
@pass_front
def add(
    front: Front, slug: str, name: str, addresses: tuple[str, ...], owners: tuple[str, ...], as_lines: bool
) -> None:
    """Add a process with its addresses and owners.

    SLUG is its short name in addresses of pages and in commands: small letters, digits and hyphens.

    \b
    Example:
      postroom process add helpdesk --name Helpdesk --address help@example.org --owner anna@example.org
    """
    with front.archive().transaction() as session:
        made = processes.add(session, slug, name, addresses, owners, now())
    _tell(made, as_lines)


@process.command(name="list")
@json_option
@pass_front
def list_(front: Front, as_lines: bool) -> None:
    """List all processes.

    \b
    Example:
      postroom process list --json
    """
    with front.archive().reading() as session:
        found = processes.every(session)
    for one in found:
        _tell(one, as_lines)


def _tell(one: processes.Process, as_lines: bool) -> None:
    if as_lines:
        as_json({"slug": one.slug, "name": one.name, "addresses": list(one.addresses), "owners": list(one.owners)})
    else:
        click.echo(f"{one.slug}  {plain(one.name)}  {', '.join(one.addresses)}  owned by {', '.join(one.owners)}")
