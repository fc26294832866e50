"""`postroom process`: matters people work on together."""

import click

from ..events import log
from ..front import Front, as_json, json_option, now, pass_front, plain, when
from ..people import members, processes, users
from ..people.roles import Role
from ..store.archive import Session
from ..work import assigning


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


@process.command(name="second-look")
@click.argument("slug")
@click.argument("state", type=click.Choice(["on", "off"]))
@pass_front
def second_look(front: Front, slug: str, state: str) -> None:
    """Let mails of a process wait until a second person lets them go, or no longer.

    \b
    Example:
      postroom process second-look press on
    """
    with front.archive().transaction() as session:
        found = processes.by_slug(session, slug)
        if found is None:
            raise processes.ProcessTrouble(f"There is no process {slug}. See: postroom process list")
        processes.want_second_look(session, found.id, state == "on", log.OPERATOR, now())


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


ROLES = {"hands-in": Role.HANDS_IN, **{role.name.lower(): role for role in Role if role is not Role.HANDS_IN}}


@process.group()
def member() -> None:
    """Who belongs to a process, and what they may do there.

    \b
    hands-in  hands mail to the process, and reads none of it
    reads     reads its mail
    works     on its tickets, too
    sends     from its addresses, too
    manages   its members, folders and rules, too

    \b
    Example:
      postroom process member add helpdesk bernd@example.org --role works
    """


@member.command(name="add")
@click.argument("slug")
@click.argument("email")
@click.option("--role", type=click.Choice(list(ROLES)), default="works", show_default=True, help="What they may do.")
@pass_front
def add_member(front: Front, slug: str, email: str, role: str) -> None:
    """Add somebody to a process, or give a member another role.

    \b
    Example:
      postroom process member add helpdesk bernd@example.org --role sends
    """
    with front.archive().transaction() as session:
        of, who = named(session, slug), _user(session, email)
        members.give(session, of.id, who.id, ROLES[role], log.OPERATOR, now())
        assigning.let_go(session, who.id, log.OPERATOR, now())
    click.echo(f"{who.email}  {role}  {of.slug}")


@member.command(name="remove")
@click.argument("slug")
@click.argument("email")
@pass_front
def remove_member(front: Front, slug: str, email: str) -> None:
    """Take somebody out of a process; what they did there stays.

    \b
    Example:
      postroom process member remove helpdesk bernd@example.org
    """
    with front.archive().transaction() as session:
        of = named(session, slug)
        who = next((one for one in users.every(session) if one.email == email.strip().lower()), None)
        if who is None or members.remove(session, of.id, who.id, log.OPERATOR, now()) is None:
            raise processes.ProcessTrouble(f"{email} does not belong to {slug}.")
        assigning.let_go(session, who.id, log.OPERATOR, now())
    click.echo(f"{who.email} does not belong to {of.slug} any more.")


@member.command(name="list")
@click.argument("slug")
@json_option
@pass_front
def list_members(front: Front, slug: str, as_lines: bool) -> None:
    """List who belongs to a process.

    \b
    Example:
      postroom process member list helpdesk --json
    """
    with front.archive().reading() as session:
        found = members.every(session, named(session, slug).id)
    names = {role: name for name, role in ROLES.items()}
    for one in found:
        if as_lines:
            as_json({"email": one.email, "name": one.name, "role": names[one.role], "since": when(one.since)})
        else:
            click.echo(f"{one.email}  {plain(one.name)}  {names[one.role]}  since {when(one.since)}")


def named(session: Session, slug: str) -> processes.Process:
    """The process of this slug; ProcessTrouble where there is none."""
    found = processes.by_slug(session, slug)
    if found is None:
        raise processes.ProcessTrouble(f"There is no process {slug}. See: postroom process list")
    return found


def _user(session: Session, email: str) -> users.User:
    found = users.by_email(session, email)
    if found is None:
        raise users.UserTrouble(f"There is no user {email}. Add one first: postroom user add {email} --name NAME")
    return found


def _tell(one: processes.Process, as_lines: bool) -> None:
    if as_lines:
        as_json({"slug": one.slug, "name": one.name, "addresses": list(one.addresses), "owners": list(one.owners)})
    else:
        click.echo(f"{one.slug}  {plain(one.name)}  {', '.join(one.addresses)}  owned by {', '.join(one.owners)}")
