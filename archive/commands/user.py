"""`postroom user`: people who sign in."""

import click

from ..events import log
from ..front import Front, as_json, json_option, now, pass_front, plain, when
from ..people import users
from ..store.archive import Session
from ..work import assigning


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
@click.option("--admin", is_flag=True, help="May look after the installation; reads no mail without a role.")
@click.option("--auditor", is_flag=True, help="Reads all mail of the house; each reading is an event.")
@json_option
@pass_front
def add(front: Front, email: str, name: str, admin: bool, auditor: bool, as_lines: bool) -> None:
    """Add a user and print a one-time sign-in link.

    \b
    Example:
      postroom user add bernd@example.org --name Bernd
    """
    base = front.base_url()
    with front.archive().transaction() as session:
        made = users.add(session, email, name, now(), admin=admin, auditor=auditor)
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


@user.command()
@click.argument("email")
@click.argument("switch", type=click.Choice(["on", "off"]))
@pass_front
def auditor(front: Front, email: str, switch: str) -> None:
    """Let somebody read all mail of the house, or no longer.

    Each thing an auditor opens, searches for or exports is an event; the pages say so.

    \b
    Example:
      postroom user auditor dora@example.org on
    """
    with front.archive().transaction() as session:
        users.set_auditor(session, _any(session, email).id, switch == "on", now())
    click.echo(f"{email} {'reads all mail now; each reading is an event.' if switch == 'on' else 'is no auditor.'}")


@user.command()
@click.argument("email")
@pass_front
def disable(front: Front, email: str) -> None:
    """Nobody signs in as this user any more; what they did stays.

    \b
    Example:
      postroom user disable bernd@example.org
    """
    with front.archive().transaction() as session:
        users.disable(session, _any(session, email).id, now())
        assigning.let_go(session, _any(session, email).id, log.OPERATOR, now())
    click.echo(f"{email} cannot sign in any more.")


@user.command()
@click.argument("email")
@pass_front
def enable(front: Front, email: str) -> None:
    """Let somebody sign in again.

    \b
    Example:
      postroom user enable bernd@example.org
    """
    with front.archive().transaction() as session:
        users.enable(session, _any(session, email).id, now())
    click.echo(f"{email} can sign in again.")


def _any(session: Session, email: str) -> users.User:
    """The user of an address, disabled or not."""
    found = next((one for one in users.every(session) if one.email == email.strip().lower()), None)
    if found is None:
        raise users.UserTrouble(f"There is no user {email}. See: postroom user list")
    return found


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
            said = {"email": one.email, "name": one.name, "admin": one.admin, "has_password": one.has_password}
            if one.auditor:
                said["auditor"] = True
            if one.disabled_at is not None:
                said["disabled"] = when(one.disabled_at)
            as_json(said)
        else:
            marks = (
                ("admin",) * one.admin
                + ("auditor",) * one.auditor
                + ("has not signed in yet",) * (not one.has_password)
            )
            marks += ("disabled",) * (one.disabled_at is not None)
            click.echo(f"{one.email}  {plain(one.name)}" + (f"  ({', '.join(marks)})" if marks else ""))
