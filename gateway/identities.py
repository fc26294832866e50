"""`postroom identity`: addresses mail goes out from; `postroom canary`: whether their way is open; `postroom send`: one
round by hand."""

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import click

from archive.events import log
from archive.front import Front, as_json, json_option, now, pass_front, plain, when
from archive.mail import authenticity
from archive.mail import identity as mail_identity
from archive.outgoing import canaries, identities
from archive.outgoing.canaries import Canary
from archive.outgoing.identities import Identity, IdentityTrouble
from archive.people import processes, users
from archive.people.scopes import MACHINE
from archive.post import bindings, messages
from archive.reading import Reading
from archive.store.archive import Archive, Session

from . import app
from .sender import BUSY

_LONGEST_SIGNATURE = identities.LONGEST_SIGNATURE
_LOOK_EVERY = 2.0  # seconds
_SENT_WITHIN = 60.0  # seconds, while another program sends


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
                "canary": next((name for name, ms in canaries.EVERY.items() if ms == one.canary_every), None),
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
    with archive.transaction() as session:
        one = _known(session, address)
        watched = [of.id for of in bindings.every(session) if of.mailbox.id == one.mailbox and not of.rests]
        asked = canaries.ask(session, archive, one, log.OPERATOR, now())
    (tried,) = _send(front, [asked])
    if tried.state(now()) == canaries.FAILED:
        raise click.ClickException(f"It was not taken: {tried.trouble}")
    click.echo(f"Taken: {plain(tried.answer)}", err=True)
    found = _arrived(front, watched, asked, wait) if watched else None
    if as_lines:
        as_json({"address": one.address, "taken": tried.answer, "arrived": found is not None, **(found or {})})
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


def _send(front: Front, ids: Sequence[int]) -> list[Canary]:
    """These canaries as they are once they were sent, by whichever program."""
    try:
        return app.canaries(front).send(ids, _SENT_WITHIN)
    except BlockingIOError:
        raise click.ClickException("Another program sends test mails, and is slow. Try again in a minute.") from None


def _arrived(front: Front, watched: list[int], asked: int, wait: int) -> dict[str, Any] | None:
    """What arrived: as whom it says it is, what the receiving server says of SPF, DKIM and DMARC, and all that is said
    of them on the way."""
    archive, until = front.archive(), time.monotonic() + wait
    poller = app.poller(front)
    try:
        while True:
            for one in watched:
                poller.poll(one)
            with archive.reading() as session:
                tried = canaries.get(session, asked)
                if tried.message is not None:
                    return _told(archive, session, tried, tried.message)
            if time.monotonic() >= until:
                return None
            time.sleep(_LOOK_EVERY)
    finally:
        poller.close()


def _told(archive: Archive, session: Session, tried: Canary, message: int) -> dict[str, Any]:
    traces = [
        mail_identity.trace_headers(messages.trace(archive, session, copy))
        for copy in messages.copies(session, message, MACHINE)
    ]
    return {
        "from": tried.came_from,
        "rewritten": tried.rewritten,
        "results": [result for trace in traces for result in _results(trace)],
        **{method: list(tried.results.get(method, ())) for method in authenticity.METHODS},
    }


def _results(trace: bytes) -> list[str]:
    """The Authentication-Results of a copy's transport headers, each on one line (RFC 8601)."""
    unfolded = trace.decode("utf-8", "replace").replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ")
    name = "authentication-results:"
    return [" ".join(line.split()) for line in unfolded.split("\n") if line.lower().startswith(name)]


class _ByAddress(click.Group):
    """Where no command is named, addresses are tried."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, with what is left out put before."""
        return super().parse_args(ctx, ["send", *args] if args and ("@" in args[0] or args[0] == "--all") else args)


@click.group(cls=_ByAddress)
def canary() -> None:
    """Test mails of addresses to themselves: whether the whole way out and in is open, and how long it takes.

    `postroom canary ADDRESS` is short for `postroom canary send ADDRESS`.

    \b
    Example:
      postroom canary help@example.org
      postroom canary --all
      postroom canary every help@example.org hourly
    """


@canary.command(name="send")
@click.argument("address", required=False)
@click.option("--all", "all_", is_flag=True, help="All addresses.")
@json_option
@pass_front
def send_canary(front: Front, address: str | None, all_: bool, as_lines: bool) -> None:
    """Send a test mail from an address to itself, at once; where it is taken in its arrival is written down.

    Fails where a server did not take one. What has arrived says: postroom canary list

    \b
    Example:
      postroom canary send help@example.org
      postroom canary send --all --json
    """
    if (address is None) != all_:
        raise click.UsageError("Name an address, or say --all.")
    archive = front.archive()
    with archive.transaction() as session:
        some = identities.every(session) if address is None else [_known(session, address)]
        asked = [canaries.ask(session, archive, one, log.OPERATOR, now()) for one in some]
    sent = _send(front, asked)
    for one in sent:
        _tell_canary(one, as_lines)
    if any(one.state(now()) == canaries.FAILED for one in sent):
        raise click.exceptions.Exit(1)


@canary.command(name="list")
@click.argument("address", required=False)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000))
@json_option
@pass_front
def list_canaries(front: Front, address: str | None, limit: int, as_lines: bool) -> None:
    """List test mails, the newest first: when they were sent, how long they took, and how they arrived.

    \b
    Example:
      postroom canary list help@example.org --json
    """
    with front.archive().reading() as session:
        of = _known(session, address).id if address is not None else None
        some = canaries.newest(session, limit, of)
    for one in some:
        _tell_canary(one, as_lines)


def _tell_canary(one: Canary, as_lines: bool) -> None:
    state = one.state(now())
    if as_lines:
        times = {"asked": one.asked_at, "sent": one.sent_at, "taken": one.taken_at, "arrived": one.arrived_at}
        as_json(
            {
                "canary": one.id,
                "address": one.address,
                "by": one.asked_by,
                "state": state,
                **{f"{name}_at": when(at) if at is not None else None for name, at in times.items()},
                "seconds": one.way / 1000 if one.way is not None else None,
                "answer": one.answer or None,
                "trouble": one.trouble or None,
                "from": one.came_from or None,
                "rewritten": one.rewritten if one.arrived_at is not None else None,
                **{method: list(one.results.get(method, ())) for method in authenticity.METHODS},
            }
        )
        return
    said = f"{when(one.asked_at)}  {plain(one.address)}  {state}"
    if one.way is not None:
        checks = " ".join(f"{each}={','.join(one.results.get(each, ())) or '-'}" for each in authenticity.METHODS)
        said += f" in {one.way / 1000:.1f} s  {checks}"
        said += f"  as from {plain(one.came_from)}" if one.rewritten else ""
    elif one.trouble or one.answer:
        said += f": {plain(one.trouble or one.answer)}"
    click.echo(said)


@canary.command()
@click.argument("address")
@click.argument("often", type=click.Choice(list(canaries.EVERY)))
@pass_front
def every(front: Front, address: str, often: str) -> None:
    """Say how often an address is tried by itself, by `serve` or `gateway`.

    \b
    Example:
      postroom canary every help@example.org hourly
      postroom canary every help@example.org never
    """
    with front.archive().transaction() as session:
        canaries.choose_every(session, _known(session, address), canaries.EVERY[often], log.OPERATOR, now())


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
