"""`postroom ledger`: what became of every mail seen in a watched folder, beside what its server holds now."""

from collections import Counter
from collections.abc import Iterator

import click

from archive.front import Front, as_json, json_option, now, pass_front, plain, when
from archive.people.scopes import process_scope, user_scope
from archive.post import bindings
from archive.post import ledger as book
from archive.post.bindings import Binding, BindingTrouble
from archive.post.ledger import Compared, Line
from archive.store.archive import Archive

from . import credentials
from .comparing import beside
from .mailbox import Connecting


@click.command()
@click.argument("name", metavar="BINDING")
@click.option("--every", is_flag=True, help="Print a line for each UID ever seen, with its outcome, time and reason.")
@json_option
@pass_front
def ledger(front: Front, name: str, every: bool, as_lines: bool) -> None:
    """Say what became of every mail ever seen in a watched folder, and compare it with what the server holds now.

    Exit 1 where they differ. Of a folder that was disconnected the ledger alone is read: nobody signs in there.

    \b
    Example:
      postroom ledger office/INBOX
    """
    from . import app

    archive = front.archive()
    with archive.reading() as session:
        one = next((each for each in bindings.every(session, ended=True) if each.name == name), None)
    if one is None:
        raise BindingTrouble(f"There is no binding {name}. See: postroom binding list")
    front.reader(
        None, "ledger", {"binding": name}, process_scope(one.process) if one.process else user_scope(one.user or 0)
    )
    if every:
        for line in _lines(archive, one):
            _tell(line, as_lines)
    if one.ended_at is not None:
        _tell_ended(archive, one, one.ended_at, as_lines)
        return
    found = compared(archive, one, app.configured().connecting)
    if as_lines:
        as_json(
            {
                "binding": name,
                "uidvalidity": found.uidvalidity,
                "there": found.there,
                "outcomes": dict(found.counts),
                "unseen": found.unseen,
                "to_move": found.to_move,
                "open": found.open,
                "back": found.back,
                "missing": found.missing,
                "agrees": found.agrees,
                "ended": None,
            }
        )
    else:
        for sentence in book.sentences(name, found):
            click.echo(plain(sentence))
    if not found.agrees:
        raise click.exceptions.Exit(1)


def _tell_ended(archive: Archive, one: Binding, ended_at: int, as_lines: bool) -> None:
    """The ledger of a folder that was disconnected, under whatever UIDVALIDITY; its server is not asked."""
    with archive.reading() as session:
        tallies = book.tallies(session, one.id)
    counts, unmoved = sum((each.counts for each in tallies), Counter[str]()), sum(each.unmoved for each in tallies)
    if as_lines:
        found = {"outcomes": dict(counts), "unmoved": unmoved, "agrees": None, "ended": when(ended_at)}
        as_json({"binding": one.name, **found})
    else:
        for sentence in book.sentences_of_ended(one.name, when(ended_at), counts, unmoved):
            click.echo(plain(sentence))


def compared(archive: Archive, one: Binding, connecting: Connecting) -> Compared:
    """The ledger of a binding beside its folder; Trouble where the server cannot be asked. Changes nothing there."""
    with credentials.open_mailbox(archive, one.mailbox, connecting, now) as mailbox:
        return beside(archive, one, mailbox)


def _lines(archive: Archive, one: Binding) -> Iterator[Line]:
    with archive.reading() as session:
        yield from book.lines(session, one.id)


def _tell(line: Line, as_lines: bool) -> None:
    if as_lines:
        as_json(
            {
                "uidvalidity": line.uidvalidity,
                "uid": line.uid,
                "outcome": line.outcome,
                "at": when(line.at),
                "reason": line.reason,
                "message": str(line.message) if line.message is not None else None,
            }
        )
    else:
        click.echo(plain(f"{line.uidvalidity}/{line.uid}  {line.outcome}  {when(line.at)}  {line.reason}"))
