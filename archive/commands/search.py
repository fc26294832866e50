"""`postroom search`: find messages, newest first."""

import click

from ..front import Front, as_option, json_option, pass_front
from ..post import messages
from ..search import fts5, query
from .messages import line

_PAGE = 200


@click.command()
@click.argument("words", metavar="QUERY", nargs=-1, required=True)
@as_option
@json_option
@pass_front
def search(front: Front, words: tuple[str, ...], as_email: str | None, as_lines: bool) -> None:
    """Find messages by subject, people, text and attachment names, newest first, one a line.

    All words have to be there; "in quotes" they stand together; in* finds invoice; a word after a minus may not be
    there. Accents and case do not matter. With --json a line is {"message", "subject", "from", "date"}.

    \b
    Example:
      postroom search invoice november --as anna@example.org
      postroom search '"annual report" -draft'
    """
    typed = " ".join(words)
    viewer = front.reader(as_email, "search", {"query": typed})
    wanted = query.parse(typed)
    before = None
    while True:
        with front.archive().reading() as session:
            ids = fts5.find(session, wanted, viewer, before, _PAGE)
            found = messages.of_ids(session, ids, viewer)
        for id_ in ids:
            if id_ in found:
                line(found[id_], as_lines)
        if len(ids) < _PAGE:
            return
        before = ids[-1]
