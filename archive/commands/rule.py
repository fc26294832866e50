"""`postroom rule`: what is asked of arriving mail, and what is done with it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import IO, Any

import click

from .. import rehearsal
from ..events import log
from ..front import Front, as_json, as_option, json_option, now, pass_front, plain, when
from ..outgoing import identities, templates
from ..people import processes, scopes, users
from ..post import bindings, routes
from ..store.archive import Session
from ..work import rulebook, rules
from ..work.patterns import Flawed
from ..work.rulebook import Kept, RuleTrouble
from ..work.rules import Action, Condition, Rule


@click.group()
def rule() -> None:
    """Rules for arriving mail, from top to bottom.

    \b
    Example:
      postroom rule add invoices.json
      postroom rule list
    """


@rule.command(name="list")
@json_option
@pass_front
def list_(front: Front, as_lines: bool) -> None:
    """List all rules in their order, with the mails each matched in the last seven days.

    \b
    Example:
      postroom rule list
    """
    with front.archive().reading() as session:
        found = rulebook.every(session)
        counts = rulebook.matches(session, now())
    for place, one in enumerate(found, 1):
        count = counts.get(one.id, 0)
        if as_lines:
            as_json(
                {
                    "rule": one.id,
                    "place": place,
                    "name": one.name,
                    "active": one.active,
                    "stop": one.stop,
                    "week": count,
                    "trouble": one.trouble,
                }
            )
        else:
            how = "switched off" if not one.active else f"{count} this week{', then stop' if one.stop else ''}"
            trouble = f"  TROUBLE: {one.trouble}" if one.trouble else ""
            click.echo(f"{place}  rule {one.id}  {plain(one.name)}  {how}{plain(trouble)}")


@rule.command()
@click.argument("id_", metavar="RULE", type=int)
@pass_front
def show(front: Front, id_: int) -> None:
    """Show a rule as the JSON that `postroom rule add` takes.

    \b
    Example:
      postroom rule show 3
    """
    with front.archive().reading() as session:
        one = _rule(session, id_)
        if one.rule is None:
            raise RuleTrouble(one.trouble or "")
        click.echo(json.dumps(_written(session, one.rule), ensure_ascii=False, indent=2))


@rule.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--replace", "id_", type=int, metavar="RULE", help="In place of this rule, where it stands.")
@json_option
@pass_front
def add(front: Front, file: IO[str], id_: int | None, as_lines: bool) -> None:
    """Add a rule from a JSON file, behind all others. Prints its number.

    Processes stand in it by their slugs, people by their addresses, folders as MAILBOX/FOLDER.

    \b
    Example:
      echo '{"name": "Invoices", "conditions": [{"where": "subject", "how": "wildcard", "lines": ["invoice"]}],
             "actions": [{"do": "route", "value": "invoices"}], "stop": true}' | postroom rule add -
    """
    with front.archive().transaction() as session:
        new = _read(session, file.read())
        if id_ is None:
            id_ = rulebook.add(session, new, log.OPERATOR, now())
        else:
            _rule(session, id_)
            rulebook.change(session, id_, new, log.OPERATOR, now())
    if as_lines:
        as_json({"rule": id_})
    else:
        click.echo(str(id_))


@rule.command()
@click.argument("id_", metavar="RULE", type=int)
@click.argument("place", type=click.IntRange(1))
@pass_front
def move(front: Front, id_: int, place: int) -> None:
    """Move a rule to a place in the order; 1 is the top.

    \b
    Example:
      postroom rule move 3 1
    """
    with front.archive().transaction() as session:
        _rule(session, id_)
        rulebook.move(session, id_, place, log.OPERATOR, now())


@rule.command()
@click.argument("id_", metavar="RULE", type=int)
@click.argument("state", type=click.Choice(["on", "off"]))
@pass_front
def switch(front: Front, id_: int, state: str) -> None:
    """Switch a rule on or off.

    \b
    Example:
      postroom rule switch 3 off
    """
    with front.archive().transaction() as session:
        _rule(session, id_)
        rulebook.switch(session, id_, state == "on", log.OPERATOR, now())


@rule.command()
@click.argument("id_", metavar="RULE", type=int)
@pass_front
def remove(front: Front, id_: int) -> None:
    """Remove a rule. What it did stays done.

    \b
    Example:
      postroom rule remove 3
    """
    with front.archive().transaction() as session:
        _rule(session, id_)
        rulebook.remove(session, id_, log.OPERATOR, now())


@rule.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--mails", default=rehearsal.MAILS, show_default=True, type=click.IntRange(1), help="At most so many.")
@as_option
@json_option
@pass_front
def rehearse(front: Front, file: IO[str], mails: int, as_email: str | None, as_lines: bool) -> None:
    """Say what a rule from a JSON file would have done to the last mails. Nothing is changed.

    \b
    Example:
      postroom rule show 3 | postroom rule rehearse -
    """
    viewer = front.reader(as_email, "rule rehearse", {"mails": mails})
    archive = front.archive()
    with archive.reading() as session:
        new = _read(session, file.read())
        named = {scopes.process_scope(one.id): one.slug for one in processes.every(session)}
    try:
        found = rehearsal.rehearse(archive, viewer, new, now(), most=mails)
    except Flawed as flawed:
        raise RuleTrouble(str(flawed.flaw)) from None
    if as_lines:
        as_json({"mails": found.mails, "matching": found.matching, "elsewhere": found.elsewhere, "large": found.large})
    else:
        click.echo(f"{found.mails} mails, {found.matching} would match, {found.elsewhere} would reach somebody else")
    for row in found.rows:
        reached, would = ([named.get(one, one) for one in some] for some in (row.reached, row.would))
        because = [f"{hit.where}{f' line {hit.line}' if hit.line else ''}" for hit in row.because]
        if as_lines:
            as_json({"message": str(row.message.id), "reached": reached, "would": would, "because": because})
        else:
            line = f"{row.message.id}  {when(row.message.arrived_at)[:10]}  {plain(row.message.subject)}"
            click.echo(f"{line}  {', '.join(reached)} -> {', '.join(would)}  ({', '.join(because)})")


@rule.command()
@click.argument("names", nargs=-1)
@pass_front
def trust(front: Front, names: tuple[str, ...]) -> None:
    """Believe the Authentication-Results of these servers wherever they stand; without names, of none.

    What stands above the receiving server's Received is believed anyway. Some servers write it below, and take out what
    others forged in their name: name these as they call themselves there.

    \b
    Example:
      postroom rule trust mx.example.org
    """
    with front.archive().transaction() as session:
        routes.trust(session, names, log.OPERATOR, now())


def _rule(session: Session, id_: int) -> Kept:
    found = rulebook.get(session, id_)
    if found is None:
        raise RuleTrouble(f"There is no rule {id_}. See: postroom rule list")
    return found


def _read(session: Session, text: str) -> Rule:
    """A rule from JSON; RuleTrouble where it is none, or names what is not there."""
    try:
        given: Mapping[str, Any] = json.loads(text)
        new = Rule(
            str(given["name"]),
            tuple(Condition(one["where"], one["how"], tuple(map(str, one["lines"]))) for one in given["conditions"]),
            tuple(Action(str(one["do"]), str(one.get("value", ""))) for one in given["actions"]),
            bool(given.get("any_of")),
            bool(given.get("stop")),
            bool(given.get("active", True)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RuleTrouble(
            f"This is no rule as postroom rule show writes it ({type(error).__name__}: {error})."
        ) from None
    actions = tuple(_by_number(session, one) for one in new.actions)
    names = {one.name: one.id for one in bindings.every(session)}
    wanted = [str(one) for one in given.get("bindings", ())]
    if unknown := [one for one in wanted if one not in names]:
        raise RuleTrouble(f"There is no binding {unknown[0]}. See: postroom binding list")
    return replace(new, actions=actions, bindings=frozenset(names[one] for one in wanted))


def _by_number(session: Session, action: Action) -> Action:
    if action.do in ("route", "also"):
        found = processes.by_slug(session, action.value)
        if found is None:
            raise RuleTrouble(f"There is no process {action.value}. See: postroom process list")
        return Action(action.do, str(found.id))
    if action.do == "assign" and "@" in action.value:
        user = users.by_email(session, action.value)
        if user is None:
            raise RuleTrouble(f"There is no user {action.value}. See: postroom user list")
        return Action(action.do, str(user.id))
    if action.do in ("reply", "signature") and not action.value.isdecimal():
        wanted = [one for one in templates.every(session) if one.name == action.value]
        if len(wanted) != 1:
            raise RuleTrouble(f"There is no one template {action.value}. See: postroom template list")
        return Action(action.do, str(wanted[0].id))
    if action.do == "from" and "@" in action.value:
        address = identities.by_address(session, action.value)
        if address is None:
            raise RuleTrouble(f"Nothing is sent from {action.value} here. See: postroom identity list")
        return Action(action.do, str(address.id))
    return action


def _written(session: Session, of: Rule) -> dict[str, Any]:
    slugs = {str(one.id): one.slug for one in processes.every(session)}
    emails = {str(one.id): one.email for one in users.every(session)}
    addresses = {str(one.id): one.address for one in identities.every(session)}
    named = {"route": slugs, "also": slugs, "assign": emails, "from": addresses}
    bound = {one.id: one.name for one in bindings.every(session, ended=True)}
    kept = rules.written(of)
    actions = json.loads(kept["actions"])
    for one in actions:
        if "value" in one:
            one["value"] = named.get(one["do"], {}).get(one["value"], one["value"])
    return {**kept, "conditions": json.loads(kept["conditions"]), "actions": actions} | {
        "bindings": sorted(bound[one] for one in of.bindings)
    }
