"""`postroom identity`: addresses mail goes out from, and `postroom send`: one round by hand."""

import sys
import threading
import time
from collections.abc import Collection, Sequence
from typing import Any

import click

from archive import sending
from archive.events import log
from archive.front import Front, as_json, json_option, now, pass_front, plain
from archive.mail import authenticity, hops
from archive.mail import identity as mail_identity
from archive.outgoing import composing, identities
from archive.outgoing.composing import Person, Written
from archive.outgoing.identities import Identity, IdentityTrouble
from archive.outgoing.outbox import SENT
from archive.people import processes, users
from archive.people.scopes import MACHINE
from archive.post import bindings, messages, routes
from archive.reading import Reading
from archive.store.archive import Session

from . import app, credentials
from .sender import BUSY

_LONGEST_SIGNATURE = identities.LONGEST_SIGNATURE
_LOOK_EVERY = 2.0  # seconds


@click.group()
def identity() -> None:
    """Addresses that mail goes out from.

    \b
    Example:
      postroom identity add help@example.org --mailbox office --process helpdesk --name Helpdesk --sent Sent
    """


@identity.command()
@click.argument("address")
@click.option("--mailbox", "mailbox_name", required=True, help="The mailbox through whose SMTP server it sends.")
@click.option("--process", "slug", help="Whose members with the right to send use it.")
@click.option("--user", "email", help="Whose own address it is.")
@click.option("--name", default="", help="As recipients see it.")
@click.option("--sent", metavar="FOLDER", help="Where a copy of each mail is put (without it: nowhere).")
@click.option("--signature-stdin", is_flag=True, help="Read the signature from stdin.")
@click.option("--tags", is_flag=True, help="Answers come to name+tag@domain, where the server delivers such mail.")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="May be repeated.")
@json_option
@pass_front
def add(
    front: Front,
    address: str,
    mailbox_name: str,
    slug: str | None,
    email: str | None,
    name: str,
    sent: str | None,
    signature_stdin: bool,
    languages: tuple[str, ...],
    tags: bool,
    as_lines: bool,
) -> None:
    """Add an address that mail goes out from, of a process or of a person.

    \b
    Example:
      postroom identity add help@example.org --mailbox office --process helpdesk --name Helpdesk --sent Sent
    """
    if (slug is None) == (email is None):
        raise click.UsageError("Say whose address it is: --process SLUG or --user EMAIL.")
    signature = sys.stdin.read(_LONGEST_SIGNATURE) if signature_stdin else ""
    with front.archive().transaction() as session:
        box = bindings.mailbox_by_name(session, mailbox_name)
        if box is None:
            raise IdentityTrouble(f"There is no mailbox {mailbox_name}. See: postroom mailbox list")
        process = processes.by_slug(session, slug) if slug else None
        if slug and process is None:
            raise IdentityTrouble(f"There is no process {slug}. See: postroom process list")
        person = users.by_email(session, email) if email else None
        if email and person is None:
            raise IdentityTrouble(f"There is no user {email}. See: postroom user list")
        made = identities.add(
            session,
            address,
            box,
            now(),
            name=name,
            signature=signature,
            sent_folder=sent,
            process=process.id if process else None,
            user=person.id if person else None,
            languages=languages,
            tags=tags,
        )
        one = identities.get(session, made)
        _tell(session, one, as_lines)


@identity.command(name="list")
@json_option
@pass_front
def list_(front: Front, as_lines: bool) -> None:
    """List the addresses mail goes out from.

    \b
    Example:
      postroom identity list
    """
    with front.archive().reading() as session:
        for one in identities.every(session):
            _tell(session, one, as_lines)


def _tell(session: Session, one: Identity, as_lines: bool) -> None:
    box = bindings.mailbox_of(session, one.mailbox).name
    if as_lines:
        as_json(
            {
                "address": one.address,
                "name": one.name,
                "mailbox": box,
                "scope": one.scope,
                "sent": one.sent_folder,
                "languages": list(one.languages),
                "tags": one.tags,
                "permitted": identities.permitted(session, one.id),
            }
        )
    else:
        click.echo(f"{plain(one.shown)}  through {plain(box)}  for {one.scope}")


@identity.command()
@click.argument("address")
@pass_front
def remove(front: Front, address: str) -> None:
    """Send nothing from an address any more, but for what waits already.

    \b
    Example:
      postroom identity remove help@example.org
    """
    with front.archive().transaction() as session:
        identities.remove(session, _known(session, address).id, now())


@identity.command()
@click.argument("address")
@click.argument("email")
@click.option("--no-more", is_flag=True, help="Take the right away again.")
@pass_front
def permit(front: Front, address: str, email: str, no_more: bool) -> None:
    """Let a person send from an address that is not theirs by their role.

    \b
    Example:
      postroom identity permit press@example.org anna@example.org
    """
    with front.archive().transaction() as session:
        person = users.by_email(session, email)
        if person is None:
            raise IdentityTrouble(f"There is no user {email}. See: postroom user list")
        identities.permit(session, _known(session, address).id, person.id, not no_more, now())


@identity.command()
@click.argument("address")
@click.argument("email")
@pass_front
def sign(front: Front, address: str, email: str) -> None:
    """Let a person sign mail from an address with the text on stdin; with none, as the address is signed.

    \b
    Example:
      echo "Anna, on behalf of Helpdesk" | postroom identity sign help@example.org anna@example.org
    """
    text = sys.stdin.read(_LONGEST_SIGNATURE)
    with front.archive().transaction() as session:
        person = users.by_email(session, email)
        if person is None:
            raise IdentityTrouble(f"There is no user {email}. See: postroom user list")
        identities.sign(session, _known(session, address).id, person.id, text, log.OPERATOR, now())


def _known(session: Session, address: str) -> Identity:
    found = identities.by_address(session, address)
    if found is None:
        raise IdentityTrouble(f"Nothing is sent from {address} here. See: postroom identity list")
    return found


@identity.command()
@click.argument("address")
@click.option("--wait", default=60, show_default=True, type=click.IntRange(0, 3600), help="Seconds for its arrival.")
@json_option
@pass_front
def test(front: Front, address: str, wait: int, as_lines: bool) -> None:
    """Send a real mail from an address to itself, and read what arrives.

    Where a folder of its mailbox is watched, that is looked at meanwhile: the mail is taken in there like any other.

    \b
    Example:
      postroom identity test help@example.org
    """
    archive = front.archive()
    with archive.reading() as session:
        one = _known(session, address)
        box = bindings.mailbox_of(session, one.mailbox)
        watched = [of for of in bindings.every(session) if of.mailbox.id == box.id and not of.rests]
    message_id = composing.message_id(one.address, sending.secret(archive), now())
    me = Person(one.name, one.address)
    text = "This mail was sent to try out whether this address can send and receive. It wants no answer."
    raw = composing.compose(Written(me, [me], [], f"Test of {one.address}", text, message_id, now(), markdown=False))
    with credentials.open_outward(archive, box, app.configured().connecting, now) as line:
        said = line.send(one.address, [one.address], raw)[one.address]
    if said.state != SENT:
        raise click.ClickException(f"It was not taken: {said.code or ''} {said.answer}".rstrip())
    click.echo(f"Taken: {plain(said.answer)}", err=True)
    found = _arrived(front, [of.id for of in watched], one.address, message_id, wait) if watched else None
    if as_lines:
        as_json({"address": one.address, "taken": said.answer, "arrived": found is not None, **(found or {})})
        return
    if found is None:
        click.echo("Nobody watches where it arrives." if not watched else f"It has not arrived in {wait} s.", err=True)
        return
    if found["rewritten"]:
        click.echo(f"Arrived, but as from {plain(found['from'])}: somebody on the way rewrites From.")
    else:
        click.echo(f"Arrived, from {plain(found['from'])}.")
    for method in authenticity.METHODS:
        said_of = ", ".join(found[method]) or "nothing is said of it where it arrives"
        click.echo(f"{method.upper()}: {said_of}")
    for result in found["results"]:
        click.echo(plain(result))


def _arrived(front: Front, watched: list[int], address: str, message_id: str, wait: int) -> dict[str, Any] | None:
    """What arrived: as whom it says it is, what the receiving server says of SPF, DKIM and DMARC, and all that is said
    of them on the way."""
    archive, until = front.archive(), time.monotonic() + wait
    poller = app.poller(front)
    try:
        while True:
            for one in watched:
                poller.poll(one)
            with archive.reading() as session:
                newest = messages.newest(session, MACHINE, None, 500)
                arrived = next((one for one in newest if one.message_id == message_id.strip("<>")), None)
                if arrived is not None:
                    traces = [
                        mail_identity.trace_headers(messages.trace(archive, session, copy))
                        for copy in messages.copies(session, arrived.id, MACHINE)
                    ]
                    return _told(arrived.from_address, address, traces, routes.trusted(session))
            if time.monotonic() >= until:
                return None
            time.sleep(_LOOK_EVERY)
    finally:
        poller.close()


def _told(sender: str, address: str, traces: Sequence[bytes], trusted: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"from": sender, "rewritten": sender.lower() != address.lower(), "results": []}
    said: dict[str, set[str]] = {method: set() for method in authenticity.METHODS}
    for trace in traces:
        for method, results in authenticity.results(hops.own(trace), trusted).items():
            said[method] |= results
        found["results"] += _results(trace)
    return found | {method: sorted(results) for method, results in said.items()}


def _results(trace: bytes) -> list[str]:
    """The Authentication-Results of a copy's transport headers, each on one line (RFC 8601)."""
    unfolded = trace.decode("utf-8", "replace").replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ")
    name = "authentication-results:"
    return [" ".join(line.split()) for line in unfolded.split("\n") if line.lower().startswith(name)]


@click.command()
@json_option
@pass_front
def send(front: Front, as_lines: bool) -> None:
    """Send what is due now, once; `serve` and `gateway` do so by themselves.

    \b
    Example:
      postroom send
    """
    reading = Reading()
    sender = app.sender(front, threading.Event(), reading)
    try:
        done = sender.round()
    except BlockingIOError:
        raise click.ClickException(BUSY) from None
    finally:
        reading.close()
    if as_lines:
        as_json({"sent": done.sent, "left": done.left, "copies": done.copies, "troubles": list(done.troubles)})
    else:
        click.echo(f"{done.sent} sent, {done.left} left, {done.copies} copies put into Sent folders.", err=True)
        for one in done.troubles:
            click.echo(plain(one), err=True)
    if done.troubles:
        sys.exit(1)
