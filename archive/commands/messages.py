"""`postroom messages`: archived messages, listed, shown, and given back byte for byte."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from ..front import Front, as_json, as_option, json_option, pass_front, plain, when
from ..mail import reader
from ..people import processes, scopes
from ..post import messages as post
from ..search import index, limited
from ..store.archive import Session
from ..work import rulebook

_PAGE = 200
_IN_MEMORY = 8 << 20  # bytes; what is larger is read twice: checked, then written


class _MessageId(click.ParamType[int]):
    name = "id"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        text = str(value)
        if not text.isascii() or not text.isdigit() or int(text[:20]) >= 1 << 63 or len(text) > 19:
            self.fail(f'"{plain(text)[:40]}" is not the id of a message.', parameter, context)
        return int(text)


@click.group()
def messages() -> None:
    """Archived messages.

    \b
    Example:
      postroom messages list --json
      postroom messages show 1927682307803694700
    """


@messages.command(name="list")
@click.option("--limit", type=click.IntRange(1), help="At most so many (without it: all).")
@as_option
@json_option
@pass_front
def list_(front: Front, limit: int | None, as_email: str | None, as_lines: bool) -> None:
    """List messages by first arrival, newest first.

    \b
    Example:
      postroom messages list --limit 20
    """
    viewer = front.reader(as_email, "messages list", {"limit": limit})
    before, left = None, limit
    while left is None or left > 0:
        with front.archive().reading() as session:
            page = post.newest(session, viewer, before, _PAGE if left is None else min(_PAGE, left))
        if not page:
            return
        for one in page:
            line(one, as_lines)
        before = page[-1].id
        left = None if left is None else left - len(page)


def line(one: post.Message, as_lines: bool) -> None:
    """A message in a list: `{"message", "subject", "from", "date"}`, the date in UTC seconds as the mail says it."""
    if as_lines:
        as_json({"message": str(one.id), "subject": one.subject, "from": _sender(one), "date": _seconds(one.date)})
    else:
        sender = one.from_name or one.from_address or "(no sender)"
        click.echo(f"{one.id}  {when(one.arrived_at)[:16]}  {plain(sender)}  {plain(one.subject or '(no subject)')}")


def _sender(one: post.Message) -> list[dict[str, str]]:
    return _people([(one.from_name, one.from_address)]) if one.from_name or one.from_address else []


def _people(people: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "address": address} for name, address in people]


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // 1000


@messages.command()
@click.argument("id_", metavar="ID", type=_MessageId())
@as_option
@json_option
@pass_front
def show(front: Front, id_: int, as_email: str | None, as_lines: bool) -> None:
    """Show a message: who wrote what to whom, its attachments, and the copies of it that were received.

    \b
    Example:
      postroom messages show 1927682307803694700
    """
    viewer = front.reader(as_email, "messages show", {"message": str(id_)}, f"message:{id_}")
    archive = front.archive()
    with archive.reading() as session:
        one = post.get(session, id_, viewer)
        if one is None:
            raise click.ClickException(f"There is no message {id_}.")
        copies = post.copies(session, id_, viewer)
        reached = _reached(session, post.deliveries(session, [id_], viewer).get(id_, []))
        raw = b"".join(post.content(archive, session, id_))
        reasons = index.limited_of(session, [id_]).get(id_, {})
    described = {**_describe(one, copies, raw, reasons), "reached": reached}
    if as_lines:
        as_json(described)
    else:
        _tell(described)


def _reached(session: Session, came: Iterable[post.Delivery]) -> list[dict[str, Any]]:
    """Whom a message reached, and why: the folder, and the address or the rule that brought it there."""
    came = list(came)
    names = rulebook.names(session, {one.rule for one in came if one.rule is not None})
    processes_ = {scopes.process_scope(one.id): one.slug for one in processes.every(session)}
    return [
        {
            "scope": processes_.get(one.scope, one.scope),
            "binding": one.binding if one.hand_over is None else None,
            "reason": one.reason,
            "address": one.address,
            "rule": one.rule,
            "rule_name": names.get(one.rule or 0),
        }
        for one in came
    ]


def _describe(one: post.Message, copies: list[post.Copy], raw: bytes, reasons: Mapping[str, str]) -> dict[str, Any]:
    mail = reader.read(raw if one.reader else b"")  # one that could not be read is not read again
    return {
        "message": str(one.id),
        "subject": one.subject,
        "from": _sender(one),
        **{kind: _people(one.recipients.get(kind, ())) for kind in ("to", "cc", "reply_to")},
        "date": _seconds(one.date),
        "message_id": one.message_id,
        "conversation": str(one.conversation),
        "received": when(one.arrived_at),
        "size": one.size,
        "text": reader.text(raw, mail),
        "attachments": [
            {
                "path": leaf.path,
                "name": leaf.name,
                "content_type": leaf.content_type,
                "limited": limited.SAYS.get(reasons.get(leaf.path, "")),
            }
            for leaf in mail.leaves
            if leaf.attachment
        ],
        "problems": list(one.problems),
        "ambiguous": list(one.ambiguous),
        "copies": [
            {
                "receipt": copy.receipt,
                "binding": copy.binding,
                "folder": copy.folder,
                "uidvalidity": copy.uidvalidity,
                "uid": copy.uid,
                "sha256": copy.sha256.hex(),
                "size": copy.size,
                "received": when(copy.received_at),
                "settlement": copy.settlement,
            }
            for copy in copies
        ],
    }


def _tell(described: dict[str, Any]) -> None:
    def people(kind: str) -> str:
        return ", ".join(f"{one['name']} <{one['address']}>".strip() for one in described[kind])

    facts = [
        ("Subject", described["subject"]),
        ("From", people("from")),
        ("To", people("to")),
        ("Cc", people("cc")),
        ("Reply-To", people("reply_to")),
        ("Date", "" if described["date"] is None else when(described["date"] * 1000)),
        ("Received", described["received"]),
        ("Message-ID", described["message_id"]),
    ]
    for one in described["attachments"]:
        facts.append(("Attachment", f"{one['name'] or '(no name)'} ({one['content_type']})"))
        facts.append(("", one["limited"] or ""))
    facts += [("Problem", text) for text in described["problems"]]
    facts += [("Ambiguous", text) for text in described["ambiguous"]]
    facts += [
        (
            "Copy",
            f"receipt {one['receipt']}, {one['binding']}"
            + (f", UID {one['uid']}" if one["uid"] is not None else "")
            + f", {one['settlement'] or 'not moved yet'}",
        )
        for one in described["copies"]
    ]
    for one in described["reached"]:
        why = {"address": one["address"], "rule": f"rule {one['rule']} ({one['rule_name']})"}.get(one["reason"])
        came = [one["binding"] and f"from {one['binding']}", why or one["reason"]]
        facts.append(("Reached", ", ".join([one["scope"], *filter(None, came)])))
    for name, text in facts:
        if text:
            click.echo(f"{name and name + ':':12}{plain(text)}")
    click.echo()
    for text in described["text"].splitlines():
        click.echo(plain(text))


@messages.command()
@click.argument("id_", metavar="ID", type=_MessageId())
@click.option("--receipt", type=int, metavar="N", help="Which copy (see `messages show`); without it the first.")
@as_option
@pass_front
def raw(front: Front, id_: int, receipt: int | None, as_email: str | None) -> None:
    """Write a copy of a message to stdout, byte for byte as it was received.

    It is checked to its end before the first byte is written. Whoever (`--as`) may see the message and no copy of it,
    because it was handed over, gets it as it was written.

    \b
    Example:
      postroom messages raw 1927682307803694700 > mail.eml
    """
    if sys.stdout.isatty():
        raise click.UsageError("A raw mail could steer the terminal. Write it to a file or a pipe: … > mail.eml")
    viewer = front.reader(as_email, "messages raw", {"message": str(id_), "receipt": receipt}, f"message:{id_}")
    archive = front.archive()
    out = sys.stdout.buffer
    with archive.reading() as session:
        copy = next(
            (one for one in post.copies(session, id_, viewer) if receipt is None or one.receipt == receipt), None
        )
        if copy is None and receipt is None and post.get(session, id_, viewer) is not None:
            # None came to whoever looks: what its author wrote, without what the way of others added.
            for _ in post.written(archive, session, id_):
                pass
            for piece in post.written(archive, session, id_):
                out.write(piece)
        elif copy is None:
            what = f"copy {receipt} of message {id_}" if receipt is not None else f"message {id_}"
            raise click.ClickException(f"There is no {what}.")
        elif copy.size <= _IN_MEMORY:
            out.write(b"".join(post.raw(archive, session, copy)))
        else:  # Twice, not through a file: mail at rest is encrypted, a spooled one would lie about in clear.
            for _ in post.raw(archive, session, copy):
                pass
            for piece in post.raw(archive, session, copy):
                out.write(piece)
    out.flush()
