"""`postroom search`: find messages, newest first or best match first."""

from collections.abc import Iterator

import click

from ..front import Front, as_option, json_option, pass_front, plain
from ..people.scopes import Viewer
from ..post import messages
from ..search import hits, query
from ..search.query import Query
from .messages import line

_PAGE = 200


@click.command()
@click.argument("words", metavar="QUERY", nargs=-1, required=True)
@click.option("--best", is_flag=True, help="The best matches among the newest 5,000 first, 50 of them.")
@as_option
@json_option
@pass_front
def search(front: Front, words: tuple[str, ...], best: bool, as_email: str | None, as_lines: bool) -> None:
    """Find messages by subject, people, text, attachment names and text of attachments, newest first, one a line.

    All words have to be there, in any grammatical form; "in quotes" they stand together and as written; inv* finds
    invoice; a word after a minus may not be there; a OR b finds either. from: to: cc: with: subject: body: filename:
    say where a word stands. has:attachment is:unread process:sales in:Inbox before:2026-11 after:7d larger:5M
    smaller:100K and, of tickets, is:open tag:urgent assigned:anna narrow the search. Accents and case do
    not matter. With --json a line is {"message", "subject", "from", "date"}.

    \b
    Example:
      postroom search invoice november --as anna@example.org
      postroom search '"annual report" -draft from:eva after:2026'
    """
    typed = " ".join(words)
    viewer = front.reader(as_email, "search", {"query": typed})
    wanted = query.parse(typed)
    with front.archive().reading() as session:
        planned = hits.understand(session, wanted, viewer)
    for note in planned.notes:
        click.echo(plain(str(note)), err=True)
    for ids in _best(front, wanted, viewer) if best else _newest(front, wanted, viewer):
        with front.archive().reading() as session:
            found = messages.of_ids(session, ids, viewer)
        for id_ in ids:
            if id_ in found:
                line(found[id_], as_lines)


def _best(front: Front, wanted: Query, viewer: Viewer) -> Iterator[list[int]]:
    with front.archive().reading() as session:
        yield hits.best(session, wanted, viewer)


def _newest(front: Front, wanted: Query, viewer: Viewer) -> Iterator[list[int]]:
    before = None
    while True:
        with front.archive().reading() as session:
            ids = hits.find(session, wanted, viewer, before, _PAGE)
        yield ids
        if len(ids) < _PAGE:
            return
        before = ids[-1]
