"""`postroom restriction`: conversations that only those see who are named."""

import click

from ..front import Front, as_json, json_option, now, pass_front, plain, when
from ..people import scopes, users
from ..people.scopes import Viewer
from ..store.archive import Session
from ..work import cases, restricting
from ..work.handing import NotThere


@click.group()
def restriction() -> None:
    """Conversations that only those see who are named: personnel, legal matters.

    Decided by somebody who manages a process that works on it (`--by`).

    \b
    Example:
      postroom restriction add 1927682307803694700 --by anna@example.org --user bernd@example.org --reason Personnel
    """


@restriction.command()
@click.argument("conversation", type=int, required=False)
@click.option("--case", "reference", metavar="REFERENCE", help="A case and what is filed there, instead.")
@click.option("--by", "by", required=True, metavar="EMAIL", help="Who decides it; sees it, too.")
@click.option("--user", "named", multiple=True, metavar="EMAIL", help="Who sees it; may be repeated.")
@click.option("--reason", default="", help="Why.")
@pass_front
def add(
    front: Front, conversation: int | None, reference: str | None, by: str, named: tuple[str, ...], reason: str
) -> None:
    """Let only those who are named see a conversation or a case, what comes later included.

    \b
    Example:
      postroom restriction add 1927682307803694700 --by anna@example.org --reason Personnel
      postroom restriction add --case "Order 2031" --by anna@example.org --user bernd@example.org
    """
    if (conversation is None) == (reference is None):
        raise click.UsageError("Name a conversation, or a case with --case.")
    archive = front.archive()
    try:
        with archive.transaction() as session:
            viewer = _viewer(session, by)
            ids = [_user(session, one).id for one in named]
            if conversation is not None:
                made = restricting.restrict(archive, session, viewer, conversation, ids, reason, now())
            else:
                of = cases.by_reference(session, reference or "", viewer)
                made = restricting.restrict_case(archive, session, viewer, of.id if of else 0, ids, reason, now())
    except NotThere:
        what = f"conversation {conversation}" if conversation is not None else f"case {reference}"
        raise click.ClickException(f"There is no {what} about which {by} decides.") from None
    except restricting.RestrictionTrouble as error:
        raise click.ClickException(str(error)) from None
    click.echo(str(made))


@restriction.command()
@click.argument("number", type=int)
@click.option("--by", "by", required=True, metavar="EMAIL", help="Who decides it.")
@pass_front
def end(front: Front, number: int, by: str) -> None:
    """Let everybody see it again who would without the restriction.

    \b
    Example:
      postroom restriction end 4 --by anna@example.org
    """
    archive = front.archive()
    try:
        with archive.transaction() as session:
            restricting.end(archive, session, _viewer(session, by), number, now())
    except NotThere:
        raise click.ClickException(f"There is no restriction {number} about which {by} decides.") from None
    click.echo(f"Restriction {number} has ended.")


@restriction.command(name="list")
@json_option
@pass_front
def list_(front: Front, as_lines: bool) -> None:
    """List what is restricted, without a word of what stands in it.

    \b
    Example:
      postroom restriction list --json
    """
    with front.archive().reading() as session:
        found = restricting.every(session)
        names = {one.id: one.email for one in users.every(session)}
    for one in found:
        kind, of = ("case", one.case) if one.case is not None else ("conversation", one.conversation)
        members = [names[user] for user in one.members]
        if as_lines:
            as_json({"id": one.id, kind: str(of), "by": names[one.by], "at": when(one.at), "users": members})
        else:
            click.echo(f"{one.id}  {kind} {of}  since {when(one.at)} by {plain(names[one.by])}  {', '.join(members)}")


def _viewer(session: Session, email: str) -> Viewer:
    return scopes.viewer(session, _user(session, email).id)


def _user(session: Session, email: str) -> users.User:
    found = users.by_email(session, email)
    if found is None:
        raise users.UserTrouble(f"There is no user {email}. See: postroom user list")
    return found
