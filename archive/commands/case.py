"""`postroom case`: business matters that mail is filed under."""

from typing import Any

import click

from ..events import log
from ..front import Front, as_json, as_option, json_option, now, pass_front, plain, when
from ..people import processes, scopes, users
from ..people.scopes import MACHINE, Viewer
from ..store.archive import Session
from ..work import cases
from ..work.cases import Case, CaseTrouble

_KIND = click.Choice(cases.KINDS)


@click.group()
def case() -> None:
    """Cases: business matters with a reference, and what is filed under them.

    \b
    Example:
      postroom case open "Order 2031" --title "Parcel for Eva" --participant helpdesk --participant clara@example.org
    """


@case.command(name="open")
@click.argument("reference")
@click.option("--title", default="", help="In a few words.")
@click.option("--client", default="", help="For whom it is.")
@click.option(
    "--participant", "names", multiple=True, required=True, metavar="NAME",
    help="Who sees what is filed: a user's address or a process's short name; may be repeated.",
)  # fmt: skip
@json_option
@pass_front
def open_(front: Front, reference: str, title: str, client: str, names: tuple[str, ...], as_lines: bool) -> None:
    """Open a case under a reference that no other case has.

    Mail to a process that takes part is filed by itself where its subject names the reference.

    \b
    Example:
      postroom case open "Order 2031" --title "Parcel for Eva" --participant helpdesk
    """
    with front.archive().transaction() as session:
        some = [_scope(session, name) for name in names]
        made = cases.open_(session, reference, title, client, log.OPERATOR, some, now())
        _tell(session, _found(cases.get(session, made, MACHINE), reference), as_lines)


@case.command(name="list")
@click.argument("text", default="")
@click.option("--state", type=click.Choice((cases.OPEN, cases.CLOSED)), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@as_option
@json_option
@pass_front
def list_(front: Front, text: str, state: str | None, limit: int, as_email: str | None, as_lines: bool) -> None:
    """List cases, the latest activity first; those in whose reference, title or client TEXT stands.

    \b
    Example:
      postroom case list --state open
    """
    with front.archive().reading() as session:
        viewer = _viewer(session, as_email)
        for one in cases.page(session, viewer, text=text, state=state, limit=limit)[:limit]:
            _tell(session, one, as_lines)


@case.command()
@click.argument("reference")
@as_option
@json_option
@pass_front
def show(front: Front, reference: str, as_email: str | None, as_lines: bool) -> None:
    """Show a case: who takes part, and what is filed.

    \b
    Example:
      postroom case show "Order 2031"
    """
    with front.archive().reading() as session:
        one = _found(cases.by_reference(session, reference, _viewer(session, as_email)), reference)
        items = cases.items(session, one)
        _tell(session, one, as_lines, [{"kind": item.kind, "item": item.item, "by": item.by} for item in items])
        if not as_lines:
            for item in items:
                click.echo(f"  {when(item.at)}  {item.kind} {plain(item.item)}  by {plain(item.by)}")


@case.command()
@click.argument("reference")
@click.argument("kind", type=_KIND)
@click.argument("item")
@pass_front
def file(front: Front, reference: str, kind: str, item: str) -> None:
    """File a ticket, a message or an attachment under a case: who takes part sees its mail.

    ITEM is the ticket's or message's id; of an attachment the message's and its path, as in 123/2.

    \b
    Example:
      postroom case file "Order 2031" message 1925885669750839117
    """
    with front.archive().transaction() as session:
        one = _found(cases.by_reference(session, reference), reference)
        if not cases.file(session, one, kind, item, log.OPERATOR, now()):
            click.echo("It is filed there already.", err=True)


@case.command(name="take-out")
@click.argument("reference")
@click.argument("kind", type=_KIND)
@click.argument("item")
@pass_front
def take_out(front: Front, reference: str, kind: str, item: str) -> None:
    """Take out what was filed: who takes part sees its mail no more, unless something else gives it.

    \b
    Example:
      postroom case take-out "Order 2031" message 1925885669750839117
    """
    with front.archive().transaction() as session:
        one = _found(cases.by_reference(session, reference), reference)
        if not cases.take_out(session, one, kind, item, log.OPERATOR, now()):
            what = {"kind": kind, "item": item, "reference": one.reference}
            raise CaseTrouble("%(kind)s %(item)s is not filed under %(reference)s.", **what)


@case.command()
@click.argument("reference")
@click.option("--again", is_flag=True, help="Open it again.")
@pass_front
def close(front: Front, reference: str, again: bool) -> None:
    """Close a case: nothing is filed under it by itself any more. Everybody goes on seeing it.

    \b
    Example:
      postroom case close "Order 2031"
    """
    with front.archive().transaction() as session:
        one = _found(cases.by_reference(session, reference), reference)
        (cases.reopen if again else cases.close)(session, one, log.OPERATOR, now())


@case.command()
@click.argument("reference")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Let them take part no more.")
@pass_front
def participant(front: Front, reference: str, name: str, remove: bool) -> None:
    """Let a person (by address) or a process (by its short name) take part in a case.

    \b
    Example:
      postroom case participant "Order 2031" clara@example.org
    """
    with front.archive().transaction() as session:
        one = _found(cases.by_reference(session, reference), reference)
        change = cases.remove_participant if remove else cases.add_participant
        change(session, one, _scope(session, name), log.OPERATOR, now())


def _found(one: Case | None, reference: str) -> Case:
    if one is None:
        raise CaseTrouble('There is no case "%(reference)s". See: postroom case list', reference=reference)
    return one


def _scope(session: Session, name: str) -> str:
    person = users.by_email(session, name) if "@" in name else None
    process = processes.by_slug(session, name)
    if person is not None:
        return scopes.user_scope(person.id)
    if process is None:
        says = 'There is nobody "%(name)s": give the address of a user, or the short name of a process.'
        raise CaseTrouble(says, name=name)
    return scopes.process_scope(process.id)


def _viewer(session: Session, as_email: str | None) -> Viewer:
    if as_email is None:
        return MACHINE
    person = users.by_email(session, as_email)
    if person is None:
        raise CaseTrouble("There is no user %(email)s. See: postroom user list", email=as_email)
    return scopes.viewer(session, person.id)


def _tell(session: Session, one: Case, as_lines: bool, items: list[dict[str, Any]] | None = None) -> None:
    people = cases.participants(session, one)
    if as_lines:
        said: dict[str, Any] = {"reference": one.reference, "title": one.title, "client": one.client}
        said |= {"state": one.state, "participants": [each.scope for each in people]}
        as_json(said | ({"items": items} if items is not None else {}))
    else:
        names = ", ".join(plain(each.name) for each in people)
        click.echo(f"{plain(one.reference)}  {plain(one.title)}  {one.state}  {names}")
