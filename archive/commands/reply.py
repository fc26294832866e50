"""`postroom reply` and `postroom compose`: mail written at the command line, queued like any other."""

import mimetypes
import sys
from pathlib import Path

import click

from .. import sending
from ..front import Front, as_json, json_option, now, pass_front
from ..outgoing import identities, outbox
from ..outgoing.composing import Attachment, Unwritable
from ..people import users
from ..people.scopes import MACHINE, Viewer, viewer
from ..post import messages
from ..store.archive import Session

_LONGEST = 5 << 20  # characters

_from = click.option("--from", "address", required=True, metavar="ADDRESS", help="See: postroom identity list")
_as = click.option("--as", "as_email", metavar="EMAIL", help="Who writes (without it: the operator).")
_cc = click.option("--cc", multiple=True, metavar="ADDRESS", help="May be repeated.")
_bcc = click.option("--bcc", multiple=True, metavar="ADDRESS", help="May be repeated.")
_attach = click.option("--attach", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
_plain = click.option("--plain", "plain_text", is_flag=True, help="Text only; without it, what is typed is Markdown.")


@click.command()
@click.argument("message", type=int)
@_from
@click.option("--all", "everybody", is_flag=True, help="To all who got it.")
@_cc
@_bcc
@_attach
@_plain
@_as
@json_option
@pass_front
def reply(
    front: Front,
    message: int,
    address: str,
    everybody: bool,
    cc: tuple[str, ...],
    bcc: tuple[str, ...],
    attach: tuple[Path, ...],
    plain_text: bool,
    as_email: str | None,
    as_lines: bool,
) -> None:
    """Answer MESSAGE with the text on stdin.

    \b
    Example:
      echo "It is on its way." | postroom reply 1927682307803694700 --from help@example.org
    """
    archive = front.archive()
    with archive.reading() as session:
        by = _writer(session, as_email)
        usable = identities.usable(session, by)
        answered = messages.get(session, message, by)
        if answered is None:
            raise click.ClickException(f"There is no message {message}.")
        scopes = [one.scope for one in messages.deliveries(session, [message], by).get(message, ())]
    chosen = _identity(usable, address)
    begun = sending.begin(outbox.REPLY, everybody, answered, "", "", usable, None)
    letter = sending.Letter(
        identity=chosen.id,
        kind=outbox.REPLY,
        to=begun.to,
        cc=", ".join([one for one in (begun.cc, *cc) if one]),
        bcc=", ".join(bcc),
        subject=begun.subject,
        text=_text(),
        markdown=not plain_text,
        attachments=[_file(path) for path in attach],
        answers=message,
        scope=chosen.scope if chosen.scope in scopes else next(iter(scopes), None),
        undo=0,
    )
    _queue(front, letter, as_email, as_lines)


@click.command()
@_from
@click.option("--to", multiple=True, required=True, metavar="ADDRESS", help="May be repeated.")
@_cc
@_bcc
@click.option("--subject", required=True)
@_attach
@_plain
@_as
@json_option
@pass_front
def compose(
    front: Front,
    address: str,
    to: tuple[str, ...],
    cc: tuple[str, ...],
    bcc: tuple[str, ...],
    subject: str,
    attach: tuple[Path, ...],
    plain_text: bool,
    as_email: str | None,
    as_lines: bool,
) -> None:
    """Write a new mail with the text on stdin.

    \b
    Example:
      echo "Dear Eva …" | postroom compose --from help@example.org --to eva@example.com --subject Invoice
    """
    with front.archive().reading() as session:
        chosen = _identity(identities.usable(session, _writer(session, as_email)), address)
    letter = sending.Letter(
        identity=chosen.id,
        kind=outbox.NEW,
        to=", ".join(to),
        cc=", ".join(cc),
        bcc=", ".join(bcc),
        subject=subject,
        text=_text(),
        markdown=not plain_text,
        attachments=[_file(path) for path in attach],
        undo=0,
    )
    _queue(front, letter, as_email, as_lines)


def _queue(front: Front, letter: sending.Letter, as_email: str | None, as_lines: bool) -> None:
    try:
        queued = sending.send(front.archive(), lambda session: _writer(session, as_email), letter, now())
    except Unwritable as error:
        raise click.ClickException(str(error)) from None
    except LookupError:
        raise click.ClickException("This may not be sent from that address in that conversation.") from None
    if as_lines:
        as_json({"outgoing": queued})
    else:
        click.echo(queued)


def _writer(session: Session, as_email: str | None) -> Viewer:
    if as_email is None:
        return MACHINE
    user = users.by_email(session, as_email)
    if user is None:
        raise users.UserTrouble(f"There is no user {as_email}. See: postroom user list")
    return viewer(session, user.id)


def _identity(usable: list[identities.Identity], address: str) -> identities.Identity:
    found = next((one for one in usable if one.address == address.lower()), None)
    if found is None:
        raise click.ClickException(f"Nothing is sent from {address} here. See: postroom identity list")
    return found


def _text() -> str:
    text = sys.stdin.read(_LONGEST)
    if not text.strip():
        raise click.UsageError("There is no text on stdin.")
    return text


def _file(path: Path) -> Attachment:
    kind, encoding = mimetypes.guess_type(path.name)
    return Attachment(path.name, kind if kind and not encoding else "application/octet-stream", path.read_bytes())
