"""`postroom template`: texts of a process that mail begins with, or that go out by themselves."""

import json
from collections.abc import Mapping
from typing import IO, Any

import click

from ..events import log
from ..front import Front, as_json, json_option, now, pass_front, plain
from ..outgoing import templates
from ..outgoing.templates import Template, TemplateTrouble, Text
from ..people import processes
from ..people.processes import Process
from ..store.archive import Session


@click.group()
def template() -> None:
    """Texts of a process that mail begins with, one for each language.

    \b
    Example:
      postroom template put helpdesk thanks.json
      postroom template list helpdesk
    """


@template.command(name="list")
@click.argument("process", default="")
@json_option
@pass_front
def list_(front: Front, process: str, as_lines: bool) -> None:
    """List templates, of all processes or of one.

    \b
    Example:
      postroom template list helpdesk
    """
    with front.archive().reading() as session:
        slugs = {one.id: one.slug for one in processes.every(session)}
        some = templates.every(session, [_process(session, process).id] if process else None)
    for one in some:
        if as_lines:
            as_json({"template": one.id, "process": slugs[one.process], **_written(one)})
        else:
            click.echo(f"{one.id}  {slugs[one.process]}  {plain(one.name)}  {', '.join(one.texts)}")


@template.command()
@click.argument("id_", metavar="TEMPLATE", type=int)
@pass_front
def show(front: Front, id_: int) -> None:
    """Show a template as the JSON that `postroom template put` takes.

    \b
    Example:
      postroom template show 3
    """
    with front.archive().reading() as session:
        one = _template(session, id_)
    click.echo(json.dumps(_written(one), ensure_ascii=False, indent=2))


@template.command()
@click.argument("process")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--replace", "id_", type=int, metavar="TEMPLATE", help="In place of this one.")
@json_option
@pass_front
def put(front: Front, process: str, file: IO[str], id_: int | None, as_lines: bool) -> None:
    """Add a template of PROCESS from a JSON file. Prints its number.

    Placeholders: {{ticket}}, {{sender_name}}, {{process}}, {{author}}, {{address}}. With a subject for each text, and
    without {{sender_name}}, a rule can answer with it by itself.

    \b
    Example:
      echo '{"name": "Thanks", "texts": {"en": {"text": "Dear {{sender_name}}, thank you."},
             "cs": {"text": "Děkujeme."}}}' | postroom template put helpdesk -
    """
    try:
        given: Mapping[str, Any] = json.loads(file.read())
        name = str(given["name"])
        texts = {str(code): Text(str(one["text"]), str(one.get("subject", ""))) for code, one in given["texts"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TemplateTrouble(
            "This is no template as postroom template show writes it (%(what)s).", what=repr(error)[:100]
        ) from None
    with front.archive().transaction() as session:
        of = _process(session, process)
        if id_ is not None and _template(session, id_).process != of.id:
            raise TemplateTrouble("Template %(id)s is of another process.", id=id_)
        id_ = templates.put(session, id_, of.id, name, texts, log.OPERATOR, now())
    if as_lines:
        as_json({"template": id_})
    else:
        click.echo(str(id_))


@template.command()
@click.argument("id_", metavar="TEMPLATE", type=int)
@pass_front
def remove(front: Front, id_: int) -> None:
    """Offer a template no more, and send it no more by itself.

    \b
    Example:
      postroom template remove 3
    """
    with front.archive().transaction() as session:
        _template(session, id_)
        templates.remove(session, id_, log.OPERATOR, now())


def _process(session: Session, slug: str) -> Process:
    found = processes.by_slug(session, slug)
    if found is None:
        raise TemplateTrouble("There is no process %(slug)s. See: postroom process list", slug=slug)
    return found


def _template(session: Session, id_: int) -> Template:
    found = templates.get(session, id_)
    if found is None or found.removed:
        raise TemplateTrouble("There is no template %(id)s. See: postroom template list", id=id_)
    return found


def _written(one: Template) -> dict[str, Any]:
    texts = {
        code: {"text": each.text, **({"subject": each.subject} if each.subject else {})}
        for code, each in one.texts.items()
    }
    return {"name": one.name, "texts": texts}
