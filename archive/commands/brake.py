"""`postroom brake`: where mail that goes out by itself has stopped, and how much of it may go."""

import click

from ..events import log
from ..front import Front, as_json, json_option, now, pass_front, plain, when
from ..outgoing import auto_replies

_KIND = click.Choice(tuple(auto_replies.BUDGETS))


@click.group()
def brake() -> None:
    """Where mail that goes out by itself has stopped, because it was too much.

    \b
    Example:
      postroom brake list
      postroom brake release 1
    """


@brake.command(name="list")
@json_option
@pass_front
def list_(front: Front, as_lines: bool) -> None:
    """List brakes that wait for somebody, with what was sent.

    \b
    Example:
      postroom brake list
    """
    with front.archive().reading() as session:
        some = auto_replies.brakes(session)
    for one in some:
        if as_lines:
            evidence = [{"to": each.sender, "at": when(each.at), "scope": each.scope} for each in one.evidence]
            said = {"brake": one.id, "kind": one.kind, "subject": one.subject, "since": when(one.stopped_at)}
            as_json({**said, "held_back": one.held_back, "evidence": evidence})
            continue
        click.echo(
            f"{one.id}  {one.kind} {plain(one.subject)}  since {when(one.stopped_at)}  {one.held_back} held back"
        )
        for each in one.evidence:
            click.echo(f"  {when(each.at)}  {plain(each.sender)}  for {each.scope}")


@brake.command()
@click.argument("id_", metavar="BRAKE", type=int)
@pass_front
def release(front: Front, id_: int) -> None:
    """Let mail go out by itself again. What was held back stays unanswered.

    \b
    Example:
      postroom brake release 1
    """
    with front.archive().transaction() as session:
        done = auto_replies.release(session, id_, log.OPERATOR, now())
    if not done:
        raise click.ClickException(f"There is no brake {id_} that is on. See: postroom brake list")


@brake.command()
@click.argument("kind", required=False, type=_KIND)
@click.argument("most", required=False, type=click.IntRange(0, 1_000_000))
@json_option
@pass_front
def budget(front: Front, kind: str | None, most: int | None, as_lines: bool) -> None:
    """Show how many mails may go out by themselves, or choose MOST of a KIND; 0 lets none go.

    To one correspondent and into one conversation within a week, because of one watched folder and of the whole
    installation within a day.

    \b
    Example:
      postroom brake budget binding 300
    """
    with front.archive().transaction() as session:
        if kind is not None and most is not None:
            auto_replies.choose_budget(session, kind, most, log.OPERATOR, now())
        found = {one: auto_replies.budget(session, one) for one in auto_replies.BUDGETS}
    if as_lines:
        as_json(found)
    else:
        for one, number in found.items():
            click.echo(f"{one}  {number} in {auto_replies.BUDGETS[one][1] // auto_replies.DAY} days")
