"""`postroom user`: people who sign in."""

import click

from ..front import Front, as_json, json_option, now, pass_front, plain
from ..people import users


@click.group()
def user() -> None:
    """People who sign in.

    \b
    Example:
      postroom user add bernd@example.org --name Bernd
    """


@user.command()
@click.argument("email")
@click.option("--name", required=True, help="As colleagues see it.")
@click.option("--admin", is_flag=True, help="May look after the installation.")
@json_option
@pass_front
def add(front: Front, email: str, name: str, admin: bool, as_lines: bool) -> None:
    """Add a user and print a one-time sign-in link.

    \b
    Example:
      postroom user add bernd@example.org --name Bernd
    """
    base = front.base_url()
    with front.archive().transaction() as session:
        made = users.add(session, email, name, now(), admin=admin)
        token = users.new_link(session, made, now())
    _tell_link(users.folded(email), f"{base}/sign-in/link/{token}", as_lines)


@user.command()
@click.argument("email")
@json_option
@pass_front
def link(front: Front, email: str, as_lines: bool) -> None:
    """Print another one-time sign-in link; earlier ones stop working.

    \b
    Example:
      postroom user link bernd@example.org
    """
    base = front.base_url()
    with front.archive().transaction() as session:
        found = users.by_email(session, email)
        if found is None:
            raise users.UserTrouble(f"There is no user {email}. See: postroom user list")
        token = users.new_link(session, found.id, now())
    _tell_link(found.email, f"{base}/sign-in/link/{token}", as_lines)


def _tell_link(email: str, link: str, as_lines: bool) -> None:
    if as_lines:
        as_json({"email": email, "link": link})
    else:
        click.echo(link)
        click.echo(f"This link signs {email} in once, within seven days.", err=True)


@user.command(name="list")
@json_option
@pass_front
def list_(front: Front, as_lines: bool) -> None:
    """List all users.

    \b
    Example:
      postroom user list --json
    """
    with front.archive().reading() as session:
        found = users.every(session)
    for one in found:
        if as_lines:
            as_json({"email": one.email, "name": one.name, "admin": one.admin, "has_password": one.has_password})
        else:
            marks = ("admin",) * one.admin + ("has not signed in yet",) * (not one.has_password)
            click.echo(f"{one.email}  {plain(one.name)}" + (f"  ({', '.join(marks)})" if marks else ""))
