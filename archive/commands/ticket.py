"""`postroom ticket`: one process's work on one conversation, as whoever runs the machine sees it."""

from typing import Any

import click

from ..events.log import OPERATOR
from ..front import Front, as_json, json_option, now, pass_front, plain, when
from ..people import names, processes, scopes, users
from ..people.scopes import MACHINE
from ..store.archive import Session
from ..work import assigning, history, states, tags, tickets, views
from ..work.tickets import Ticket
from ..work.views import View

_VIEWS = [one.value for one in View if one not in (View.MINE, View.WATCHING, View.MENTIONS, View.SNOOZED)]


@click.group()
def ticket() -> None:
    """One process's work on one conversation.

    \b
    Example:
      postroom ticket list helpdesk --show waiting
    """


@ticket.command(name="list")
@click.argument("slug")
@click.option("--show", type=click.Choice(_VIEWS), default="open", show_default=True, help="In which state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@json_option
@pass_front
def list_(front: Front, slug: str, show: str, limit: int, as_lines: bool) -> None:
    """List the tickets of a process, the latest activity first.

    \b
    Example:
      postroom ticket list helpdesk --show unassigned --json
    """
    with front.archive().reading() as session:
        found = processes.by_slug(session, slug)
        if found is None:
            raise click.ClickException(f"There is no process {slug}.")
        some = views.page(session, MACHINE, View(show), [scopes.process_scope(found.id)], now(), limit=limit)[:limit]
        called = names.of_scopes(session, {f"user:{one.assignee}" for one in some if one.assignee})
    for one in some:
        _line(one, called, as_lines)


def _line(one: Ticket, called: dict[str, str], as_lines: bool) -> None:
    assignee = called.get(f"user:{one.assignee}", "")
    if as_lines:
        as_json(_said(one, assignee))
    else:
        click.echo(f"{one.id}  {one.state}  {when(one.last_at)}  {plain(assignee or '-')}  {plain(one.subject)}")


def _said(one: Ticket, assignee: str) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "state": one.state,
        "assignee": assignee or None,
        "subject": one.subject,
        "conversation": str(one.conversation),
        "messages": one.messages,
        "last_at": one.last_at,
        "due_at": one.due_at,
        "answered_at": one.answered_at,
    }


@ticket.command()
@click.argument("number", type=int)
@json_option
@pass_front
def show(front: Front, number: int, as_lines: bool) -> None:
    """Show a ticket with its tags and its history.

    \b
    Example:
      postroom ticket show 12
    """
    with front.archive().reading() as session:
        one = _get(session, number)
        on_it = [tag.name for tag in tags.of_tickets(session, [number]).get(number, [])]
        steps = history.of(session, [number])
        people = {str(value) for step in steps for value in step.values.values()} | {f"user:{one.assignee}"}
        called = names.of_scopes(session, people)
    told = [
        (step.at, step.says % {name: _word(name, value, called) for name, value in step.values.items()})
        for step in steps
    ]
    if as_lines:
        history_ = [{"at": at, "says": says} for at, says in told]
        as_json({**_said(one, called.get(f"user:{one.assignee}", "")), "tags": on_it, "history": history_})
        return
    _line(one, called, False)
    if on_it:
        click.echo(f"tags: {plain(', '.join(on_it))}")
    for at, says in told:
        click.echo(f"{when(at)}  {plain(says)}")


def _word(name: str, value: Any, called: dict[str, str]) -> str:
    return when(int(value)) if name == "when" else called.get(str(value), str(value))


def _get(session: Session, number: int) -> Ticket:
    found = tickets.get(session, MACHINE, number)
    if found is None:
        raise click.ClickException(f"There is no ticket {number}.")
    return found


@ticket.command()
@click.argument("number", type=int)
@click.argument("email")
@pass_front
def assign(front: Front, number: int, email: str) -> None:
    """Assign a ticket to somebody who may work on it; to "nobody" to take it from whoever has it.

    \b
    Example:
      postroom ticket assign 12 anna@example.org
    """
    with front.archive().transaction() as session:
        _get(session, number)
        to = None if email == "nobody" else users.by_email(session, email)
        if to is None and email != "nobody":
            raise click.ClickException(f"There is no user {email}.")
        try:
            made = assigning.assign(session, number, to.id if to else None, OPERATOR, now())
        except assigning.NotTheirs:
            raise click.ClickException(f"{email} may not work on ticket {number}.") from None
        stands_in = names.of_scopes(session, [f"user:{made.assignee}"]) if made.instead_of else {}
    for name in stands_in.values():
        click.echo(f"{email} is away: assigned to {plain(name)}, who stands in.")


@ticket.command()
@click.argument("numbers", type=int, nargs=-1, required=True)
@pass_front
def done(front: Front, numbers: tuple[int, ...]) -> None:
    """Say that tickets are done.

    \b
    Example:
      postroom ticket done 12 13
    """
    with front.archive().transaction() as session:
        for number in numbers:
            _get(session, number)
            states.finish(session, number, OPERATOR, now())


@ticket.command(name="open")
@click.argument("numbers", type=int, nargs=-1, required=True)
@pass_front
def open_(front: Front, numbers: tuple[int, ...]) -> None:
    """Open tickets again.

    \b
    Example:
      postroom ticket open 12
    """
    with front.archive().transaction() as session:
        for number in numbers:
            _get(session, number)
            states.open_again(session, number, OPERATOR, now())
