"""`postroom outbox`: mails of ours that wait, and what became of those that were sent."""

import click

from ..events import log
from ..front import Front, as_json, as_option, json_option, now, pass_front, plain, when
from ..outgoing import outbox as post
from ..outgoing.outbox import Outgoing
from ..people.scopes import MACHINE
from ..post import troubles
from ..store.archive import Session

_PAGE = 200


@click.group()
def outbox() -> None:
    """Mails of ours that wait, and what became of those that were sent.

    \b
    Example:
      postroom outbox list
      postroom outbox show 12
    """


@outbox.command(name="list")
@click.option("--all", "every", is_flag=True, help="Also what was sent or taken back.")
@as_option
@json_option
@pass_front
def list_(front: Front, every: bool, as_email: str | None, as_lines: bool) -> None:
    """List what waits or has failed, the newest first.

    \b
    Example:
      postroom outbox list --all --json
    """
    viewer = front.reader(as_email, "outbox list", {"all": every})
    states = () if every else (post.QUEUED, post.DEFERRED, post.FAILED)
    before: int | None = None
    while True:
        with front.archive().reading() as session:
            page = post.page(session, viewer, states, before, _PAGE)
        for one in page[:_PAGE]:
            _tell(one, as_lines)
        if len(page) <= _PAGE:
            return
        before = page[_PAGE - 1].id


def _tell(one: Outgoing, as_lines: bool) -> None:
    if as_lines:
        as_json(
            {
                "id": one.id,
                "from": one.address,
                "author": one.author,
                "subject": one.subject,
                "message_id": one.message_id,
                "state": one.state,
                "queued": when(one.queued_at),
                "next": when(one.next_at) if one.next_at else None,
                "tries": one.tries,
                "message": str(one.message) if one.message else None,
                "sent_copy": one.sent_copy,
                "trouble": _trouble(one),
                "recipients": [
                    {"address": of.address, "kind": of.kind, "state": of.state, "code": of.code, "answer": of.answer}
                    for of in one.recipients
                ],
            }
        )
        return
    to = ", ".join(of.address for of in one.recipients[:3]) + (" …" if len(one.recipients) > 3 else "")
    click.echo(f"{one.id}  {one.state}  {plain(one.address)} to {plain(to)}  {plain(one.subject)}")


def _trouble(one: Outgoing) -> str | None:
    return troubles.sentence(one.trouble_kind, one.trouble_values) if one.trouble_kind else None


@outbox.command()
@click.argument("id_", metavar="ID", type=int)
@as_option
@json_option
@pass_front
def show(front: Front, id_: int, as_email: str | None, as_lines: bool) -> None:
    """Show a mail of the outbox and what the server said of each recipient.

    \b
    Example:
      postroom outbox show 12
    """
    viewer = front.reader(as_email, "outbox show", {"id": id_}, f"outgoing:{id_}")
    with front.archive().reading() as session:
        one = post.get(session, id_, viewer)
    if one is None:
        raise click.ClickException(f"There is no mail {id_} in the outbox.")
    _tell(one, as_lines)
    if as_lines:
        return
    click.echo(f"  queued {when(one.queued_at)}, tried {one.tries} times")
    if one.next_at:
        click.echo(f"  next try {when(one.next_at)}")
    if trouble := _trouble(one):
        click.echo(f"  {plain(trouble)}")
    for of in one.recipients:
        code = f"{of.code} " if of.code else ""
        click.echo(f"  {of.kind} {plain(of.address)}: {of.state}  {code}{plain(of.answer)}".rstrip())


@outbox.command()
@click.argument("id_", metavar="ID", type=int)
@pass_front
def retry(front: Front, id_: int) -> None:
    """Try at once what waits for its next try. What was refused for good is not tried again.

    \b
    Example:
      postroom outbox retry 12
    """
    with front.archive().transaction() as session:
        done = post.hurry(session, id_, log.OPERATOR, now())
    if not done:
        raise click.ClickException(f"Mail {id_} does not wait for another try.")


@outbox.command()
@click.argument("id_", metavar="ID", type=int)
@pass_front
def cancel(front: Front, id_: int) -> None:
    """Take a mail back; of one that some may have got already, the others will not.

    \b
    Example:
      postroom outbox cancel 12
    """

    def work(session: Session) -> tuple[bool, bool, Outgoing | None]:
        taken_back = post.cancel(session, id_, log.OPERATOR, now())
        given_up = not taken_back and post.give_up(session, id_, log.OPERATOR, now())
        return taken_back, given_up, post.get(session, id_, MACHINE)

    # Whoever makes a message of it has its ticket first, and we the mail: one of us begins anew.
    taken_back, given_up, found = front.archive().recording(work)
    if found is None:
        raise click.ClickException(f"There is no mail {id_} in the outbox.")
    if not (taken_back or given_up):
        raise click.ClickException(f"Mail {id_} is on its way, or nothing is left to do.")
    click.echo("Taken back." if taken_back else "Given up: those who have not got it will not.", err=True)
