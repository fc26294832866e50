"""`postroom process`: matters people work on together."""

import click

from ..events import log
from ..front import Front, as_json, json_option, now, pass_front, plain
from ..people import processes
from ..store.archive import Session


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


@process.group()
def address() -> None:
    """The addresses of a process: mail to them comes to it.

    \b
    Example:
      postroom process address add helpdesk support@example.org
    """


@address.command(name="add")
@click.argument("slug")
@click.argument("address_", metavar="ADDRESS")
@pass_front
def add_address(front: Front, slug: str, address_: str) -> None:
    """Give a process one more address. "*@example.org" is whatever of a domain belongs to nobody else.

    What comes to helpdesk+anything@ comes to helpdesk@ by itself.

    \b
    Example:
      postroom process address add helpdesk support@example.org
      postroom process address add helpdesk "*@example.org"
    """
    with front.archive().transaction() as session:
        processes.add_address(session, named(session, slug), address_, log.OPERATOR, now())


@address.command(name="remove")
@click.argument("slug")
@click.argument("address_", metavar="ADDRESS")
@pass_front
def remove_address(front: Front, slug: str, address_: str) -> None:
    """Take an address from a process; what came there stays.

    \b
    Example:
      postroom process address remove helpdesk support@example.org
    """
    with front.archive().transaction() as session:
        processes.remove_address(session, named(session, slug), address_, log.OPERATOR, now())


def named(session: Session, slug: str) -> processes.Process:
    """The process of this slug; ProcessTrouble where there is none."""
    found = processes.by_slug(session, slug)
    if found is None:
        raise processes.ProcessTrouble(f"There is no process {slug}. See: postroom process list")
    return found


def _tell(one: processes.Process, as_lines: bool) -> None:
    if as_lines:
        as_json({"slug": one.slug, "name": one.name, "addresses": list(one.addresses), "owners": list(one.owners)})
    else:
        click.echo(f"{one.slug}  {plain(one.name)}  {', '.join(one.addresses)}  owned by {', '.join(one.owners)}")
