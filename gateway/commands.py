"""The gateway's commands: mailbox, binding, poll, gateway, serve, demo."""

import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict

import click

from archive.events import log
from archive.front import Front, as_json, json_option, now, pass_front, plain, progress, sealing, when
from archive.people import processes, users
from archive.post import bindings, decisions, providers
from archive.post.bindings import Binding, BindingTrouble
from archive.store.archive import Archive, Session
from archive.store.keys import KeyTrouble
from archive.work import cases

from . import accounts
from .trouble import Trouble

LONGEST_PASSWORD = 4096  # characters
_SIGNAL_UNHEARD = 0.5  # seconds


@click.group()
def mailbox() -> None:
    """Accounts on mail servers.

    \b
    Example:
      echo PASSWORD | postroom mailbox add office --imap imaps://help%40example.org@mail.example.org --password-stdin
    """


@mailbox.command()
@click.argument("name")
@click.option("--imap", required=True, metavar="URL", help="imaps://user@host[:port], imap+starttls://, imap+plain://")
@click.option("--smtp", metavar="URL", help="smtps://user@host[:port], smtp+starttls://, smtp+plain://")
@click.option("--owner", metavar="EMAIL", help="Whose private mailbox it is; without it, it is of the organisation.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")
@click.option("--prepared", is_flag=True, help="Without a password: its owner enters that at the pages, and alone.")
@click.option("--provider", "provider_name", metavar="NAME", help="Without a password: this provider gives tokens.")
@click.option(
    "--grant",
    type=click.Choice(list(providers.GRANTS)),
    default="consent",
    show_default=True,
    help="How: consent of a person, or of the provider to the application itself (client credentials).",
)
@click.option("--allow-plaintext", is_flag=True, help="Allow unencrypted connections to other machines.")
@json_option
@pass_front
def add(
    front: Front,
    name: str,
    imap: str,
    smtp: str | None,
    owner: str | None,
    password_stdin: bool,
    prepared: bool,
    provider_name: str | None,
    grant: str,
    allow_plaintext: bool,
    as_lines: bool,
) -> None:
    """Add a mailbox. Its password is kept encrypted and never printed.

    \b
    Example:
      echo PASSWORD | postroom mailbox add office --imap imaps://help%40example.org@mail.example.org --password-stdin
    """
    if password_stdin + prepared + (provider_name is not None) != 1:
        raise click.UsageError("Say how to sign in: --password-stdin, --prepared or --provider NAME.")
    password = _read_password() if password_stdin else None
    try:
        accounts.parse(imap, "imap", plaintext=allow_plaintext, password=password or "")
        if smtp:
            accounts.parse(smtp, "smtp", plaintext=allow_plaintext, password=password or "")
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    archive = front.archive()
    with archive.transaction() as session:
        person = users.by_email(session, owner) if owner else None
        if owner and person is None:
            raise BindingTrouble(f"There is no user {owner}. Add one first: postroom user add {owner} --name NAME")
        by = providers.by_name(session, provider_name) if provider_name else None
        if provider_name and by is None:
            raise BindingTrouble(f"There is no provider {provider_name}. See: postroom provider list")
        bindings.add_mailbox(
            session,
            archive,
            name,
            imap,
            smtp,
            password,
            now(),
            owner=person.id if person else None,
            plaintext=allow_plaintext,
            provider=by.id if by else None,
            grant=grant if by else None,
        )
    if as_lines:
        as_json({"mailbox": name, "imap": imap, "smtp": smtp, "owner": owner})
    else:
        click.echo(name)


def _read_password() -> str:
    password = sys.stdin.readline(LONGEST_PASSWORD).rstrip("\r\n")
    if not password:
        raise click.UsageError("There is no password on the first line of stdin.")
    return password


@mailbox.command()
@click.argument("name")
@click.option("--password-stdin", is_flag=True, required=True, help="Read the password from the first line of stdin.")
@pass_front
def password(front: Front, name: str, password_stdin: bool) -> None:
    """Give a mailbox its new password; its bindings are tried again at once.

    \b
    Example:
      echo PASSWORD | postroom mailbox password office --password-stdin
    """
    secret = _read_password()
    archive = front.archive()
    with archive.transaction() as session:
        box = _mailbox(bindings.mailbox_by_name(session, name), name)
        bindings.set_password(session, archive, box, secret, now())


@mailbox.command(name="list")
@json_option
@pass_front
def list_mailboxes(front: Front, as_lines: bool) -> None:
    """List all mailboxes, without passwords.

    \b
    Example:
      postroom mailbox list --json
    """
    with front.archive().reading() as session:
        found = bindings.mailboxes(session)
        owners = {one.id: one.email for one in users.every(session)}
    for one in found:
        owner = owners.get(one.owner or 0)
        if as_lines:
            as_json({"mailbox": one.name, "imap": one.imap, "smtp": one.smtp, "owner": owner})
        else:
            click.echo(f"{one.name}  {plain(one.imap)}  {plain(one.smtp or '-')}  {owner or 'of the organisation'}")


@mailbox.command()
@click.argument("name")
@click.option("--as", "as_email", metavar="OWNER", help="As the owner of a private mailbox: show all folder names.")
@json_option
@pass_front
def test(front: Front, name: str, as_email: str | None, as_lines: bool) -> None:
    """Say step by step what works: name lookup, TCP, TLS, sign-in, folders, what the server can, SMTP.

    \b
    Example:
      postroom mailbox test office
    """
    from . import app, examination

    archive = front.archive()
    with archive.reading() as session:
        box = _mailbox(bindings.mailbox_by_name(session, name), name)
        given = [one for one in bindings.every(session) if one.mailbox.id == box.id]
        asking = users.by_email(session, as_email) if as_email else None
    if as_email and (asking is None or box.owner != asking.id):
        raise BindingTrouble(f"{as_email} does not own the mailbox {name}; folder names are its owner's alone.")
    names_shown = box.owner is None or asking is not None
    folders = [folder for one in given for folder in (one.folder, one.processed) if folder]
    well = True
    for step in examination.examine(archive, box, folders, names_shown, app.configured().connecting):
        well = well and step.well
        if as_lines:
            as_json({"step": step.name, "ok": step.well, "says": step.says})
        else:
            click.echo(f"{'ok  ' if step.well else 'FAIL'}  {step.name}: {plain(step.says)}")
    if not well:
        raise click.exceptions.Exit(1)


@mailbox.command()
@click.argument("name")
@pass_front
def pause(front: Front, name: str) -> None:
    """Look at no folder of a mailbox any more, until it is resumed.

    \b
    Example:
      postroom mailbox pause office
    """
    with front.archive().transaction() as session:
        decisions.pause(session, _bound_in(session, name), log.OPERATOR, now())


@mailbox.command()
@click.argument("name")
@pass_front
def resume(front: Front, name: str) -> None:
    """Look at the folders of a paused mailbox again, at once.

    \b
    Example:
      postroom mailbox resume office
    """
    with front.archive().transaction() as session:
        decisions.resume(session, _bound_in(session, name), log.OPERATOR, now())


@mailbox.command()
@click.argument("name")
@json_option
@pass_front
def disconnect(front: Front, name: str, as_lines: bool) -> None:
    """Watch nothing of a mailbox any more, and forget its password. What is archived stays in the archive.

    Where it had consent, its provider is told that this is over.

    To connect it again: postroom mailbox password, then postroom binding add.

    \b
    Example:
      postroom mailbox disconnect office
    """
    from . import app, credentials

    archive = front.archive()
    with archive.transaction() as session:
        box = _mailbox(bindings.mailbox_by_name(session, name), name)
        by = providers.get(session, box.provider) if box.provider is not None else None
        found, token = decisions.disconnect_mailbox(session, archive, box, log.OPERATOR, now())
    _tell_remains(archive, name, found, as_lines)
    if by is not None and token:
        try:
            credentials.client(archive, by, app.configured().connecting).revoke(token)
        except (Trouble, KeyTrouble) as trouble:  # here it is deleted all the same
            click.echo(plain(str(trouble)), err=True)


def _bound_in(session: Session, name: str) -> list[bindings.Binding]:
    box = _mailbox(bindings.mailbox_by_name(session, name), name)
    return [one for one in bindings.every(session) if one.mailbox.id == box.id]


def _mailbox(found: bindings.Mailbox | None, name: str) -> bindings.Mailbox:
    if found is None:
        raise BindingTrouble(f"There is no mailbox {name}. See: postroom mailbox list")
    return found


@click.group()
def binding() -> None:
    """Watched folders of mailboxes: where mail is taken, for whom, and where it goes afterwards.

    \b
    Example:
      postroom binding add --mailbox office --folder INBOX --process helpdesk --processed Processed
    """


@binding.command(name="add")
@click.option("--mailbox", "mailbox_name", required=True, metavar="NAME")
@click.option("--folder", required=True, help="The folder that is watched.")
@click.option("--process", "slug", metavar="SLUG", help="The process its mail comes to; without it, its address says.")
@click.option("--user", "email", metavar="EMAIL", help="The user its mail comes to, and nobody else.")
@click.option("--processed", metavar="FOLDER", help="Where archived mail is moved; made where missing.")
@click.option("--sent", is_flag=True, help="It is the Sent folder of the process: only read, and nothing is moved.")
@click.option("--every", default=60, show_default=True, type=click.IntRange(1, 86400), help="Seconds between polls.")
@click.option(
    "--preview", is_flag=True, help="Only count what is there, until: postroom binding accept. Private folders always."
)
@json_option
@pass_front
def add_binding(
    front: Front,
    mailbox_name: str,
    folder: str,
    slug: str | None,
    email: str | None,
    processed: str | None,
    sent: bool,
    every: int,
    preview: bool,
    as_lines: bool,
) -> None:
    """Watch a folder. Prints the binding's name, MAILBOX/FOLDER.

    Without --process and --user each mail goes to the processes whose addresses it was sent to; what no address claims
    goes where `postroom unrouted` says.

    With --sent it is where mail programs keep what was sent from an address of the process: so Postroom knows what was
    answered there, and by whom.

    \b
    Example:
      postroom binding add --mailbox office --folder INBOX --process helpdesk --processed Processed
      postroom binding add --mailbox office --folder INBOX --processed Processed
      postroom binding add --mailbox office --folder Sent --process helpdesk --sent
    """
    from . import app, credentials

    if slug is not None and email is not None:
        raise click.UsageError("Say for whom: --process SLUG, or --user EMAIL, or neither to go by the address.")
    if sent and (slug is None or processed is not None or preview):
        raise click.UsageError("A Sent folder is read for a process: --sent goes with --process SLUG only.")
    if not sent and processed is None:
        raise click.UsageError("Say where archived mail is moved: --processed FOLDER.")
    archive = front.archive()
    with archive.reading() as session:
        box = _mailbox(bindings.mailbox_by_name(session, mailbox_name), mailbox_name)
        process = processes.by_slug(session, slug) if slug else None
        user = users.by_email(session, email) if email else None
    if slug and process is None:
        raise BindingTrouble(f"There is no process {slug}. See: postroom process list")
    if email and user is None:
        raise BindingTrouble(f"There is no user {email}. See: postroom user list")
    with credentials.open_mailbox(archive, box, app.configured().connecting, now) as opened:
        watched = opened.find_folder(folder)
        if watched is None:
            raise BindingTrouble(f'There is no folder "{folder}" in {mailbox_name}. Make it in a mail program first.')
        target = opened.find_folder(processed) if processed else ""
        with archive.reading() as session:
            bindings.check_new(session, box, watched, target or processed or "")
        if target is None and processed:
            target = opened.create_folder(processed)
    with archive.transaction() as session:
        id_ = bindings.add(
            session,
            box,
            watched,
            target or "",
            now(),
            process=process.id if process else None,
            user=user.id if user else None,
            every_seconds=every,
            preview=preview or None,
            sent=sent,
        )
        made = bindings.get(session, id_)
    _tell_binding(made, as_lines)


@binding.command(name="list")
@json_option
@pass_front
def list_bindings(front: Front, as_lines: bool) -> None:
    """List all bindings and how they are.

    \b
    Example:
      postroom binding list
    """
    with front.archive().reading() as session:
        found = bindings.every(session)
    for one in found:
        if as_lines:
            _tell_binding(one, as_lines)
        else:
            goes = "read only" if one.sent else f"to {plain(one.processed)}"
            how = "  routed by address" if one.routed else ""
            click.echo(f"{plain(one.name)}  {goes}  {plain(_state(one))}{how}")


def _tell_binding(one: bindings.Binding, as_lines: bool) -> None:
    if as_lines:
        as_json(
            {
                "binding": one.name,
                "folder": one.folder,
                "processed": one.processed,
                "sent": one.sent,
                "every": one.every,
                "routed": one.routed,
                "trouble": one.trouble,
                "asked": when(one.asked_at) if one.asked_at else None,
                "paused": when(one.paused_at) if one.paused_at else None,
                "paused_by": one.paused_by,
            }
        )
    else:
        click.echo(plain(one.name))


def _state(one: bindings.Binding) -> str:
    if one.paused_at is not None:
        return f"paused since {when(one.paused_at)} by {one.paused_by}"
    if one.trouble is None and one.asked_at is not None:
        return f"waits since {when(one.asked_at)} for the owner's yes"
    return one.trouble or "ok"


@binding.command()
@click.argument("name", metavar="BINDING")
@click.option("--from-now-on", is_flag=True, help="Leave what is there; take only what comes from now on.")
@pass_front
def accept(front: Front, name: str, from_now_on: bool) -> None:
    """Take what a folder holds that was added with --preview; nothing of it is taken before.

    Of a private folder its owner alone says that, on its page.

    \b
    Example:
      postroom binding accept office/INBOX
    """
    with front.archive().transaction() as session:
        one = _bound(session, name)
        owner = users.get(session, one.mailbox.owner or one.user or 0)
        if owner is not None:
            raise BindingTrouble(
                f"{one.name} is private: only {owner.name} <{owner.email}> can say yes, signed in to Postroom, on the"
                " page of the folder (Health, “More about this folder”)."
            )
        decisions.accept(session, one, log.OPERATOR, now(), from_now_on=from_now_on)


@binding.command(name="pause")
@click.argument("name", metavar="BINDING")
@pass_front
def pause_binding(front: Front, name: str) -> None:
    """Look at a folder no more, until it is resumed.

    \b
    Example:
      postroom binding pause office/INBOX
    """
    with front.archive().transaction() as session:
        decisions.pause(session, [_bound(session, name)], log.OPERATOR, now())


@binding.command(name="resume")
@click.argument("name", metavar="BINDING")
@pass_front
def resume_binding(front: Front, name: str) -> None:
    """Look at a paused folder again, at once.

    \b
    Example:
      postroom binding resume office/INBOX
    """
    with front.archive().transaction() as session:
        decisions.resume(session, [_bound(session, name)], log.OPERATOR, now())


@binding.command(name="answered")
@click.argument("name", metavar="BINDING")
@click.option("--off", is_flag=True, help="Mark nothing any more.")
@pass_front
def mark_answered(front: Front, name: str, off: bool) -> None:
    """Mark the originals of answered mails as answered on their server; so it is unless it was switched off.

    \b
    Example:
      postroom binding answered office/INBOX --off
    """
    with front.archive().transaction() as session:
        decisions.mark_answered(session, [_bound(session, name)], not off, log.OPERATOR, now())


@binding.command(name="disconnect")
@click.argument("name", metavar="BINDING")
@json_option
@pass_front
def disconnect_binding(front: Front, name: str, as_lines: bool) -> None:
    """Watch a folder no more. Its mail stays where it is, and what is archived stays in the archive.

    Add the same folder again, and it goes on with the receipts it has.

    \b
    Example:
      postroom binding disconnect office/INBOX
    """
    archive = front.archive()
    with archive.transaction() as session:
        found = decisions.disconnect(session, [_bound(session, name)], log.OPERATOR, now())
    _tell_remains(archive, name, found, as_lines)


@binding.command()
@click.argument("name", metavar="BINDING")
@click.option("--process", "slug", metavar="SLUG", help="Where mail dragged there is handed.")
@click.option("--case", "reference", metavar="REFERENCE", help="The case under which mail dragged there is filed.")
@pass_front
def desk(front: Front, name: str, slug: str | None, reference: str | None) -> None:
    """Set up a desk: a folder below a private one, from which mail goes to a process or a case. Prints its name.

    The folder is made in the mailbox at the gateway's next look.

    \b
    Example:
      postroom binding desk anna/Postroom --process sales
      postroom binding desk anna/Postroom --case "Order 2031"
    """
    if (slug is None) == (reference is None):
        raise click.UsageError("Say where mail goes from there: either --process SLUG or --case REFERENCE.")
    with front.archive().transaction() as session:
        if reference is not None:
            made = _set_up_case_desk(session, _bound(session, name), reference)
        else:
            process = processes.by_slug(session, slug or "")
            if process is None:
                raise BindingTrouble(f"There is no process {slug}. See: postroom process list")
            made = decisions.set_up_desk(session, _bound(session, name), process, log.OPERATOR, now())
        named = bindings.get(session, made).name
    click.echo(plain(named))


def _set_up_case_desk(session: Session, of: bindings.Binding, reference: str) -> int:
    one = cases.by_reference(session, reference)
    if one is None:
        raise BindingTrouble(f'There is no case "{reference}". See: postroom case list')
    if of.mailbox.owner is not None and not cases.takes_part(session, one.id, of.mailbox.owner):
        raise BindingTrouble(f"The owner of {of.mailbox.name} takes no part in {one.reference}, or it is closed.")
    return decisions.set_up_case_desk(session, of, one.id, one.reference, log.OPERATOR, now())


def _bound(session: Session, name: str) -> bindings.Binding:
    found = next((one for one in bindings.every(session) if one.name == name), None)
    if found is None:
        raise BindingTrouble(f"There is no binding {name}. See: postroom binding list")
    return found


def _tell_remains(archive: Archive, name: str, some: Sequence[Binding], as_lines: bool) -> None:
    """What is kept of these; counted when they are disconnected, so that nobody who writes waits for it."""
    with archive.reading() as session:
        found, messages = decisions.remains(session, some), decisions.messages_of(session, some)
    if as_lines:
        as_json({"disconnected": name, **asdict(found), "messages": messages})
        return
    click.echo(plain(f"{name} is watched no more; nothing on its server was touched."))
    click.echo(
        f"The archive keeps {found.copies} copies of {messages} messages and {found.quarantined} mails in "
        f"quarantine. The originals of {found.unmoved} are still in the watched folder."
    )


@click.command()
@click.argument("names", nargs=-1, metavar="[BINDING]...")
@json_option
@pass_front
def poll(front: Front, names: tuple[str, ...], as_lines: bool) -> None:
    """Take in what waits in the watched folders, until nothing is left to take.

    A mailbox that was refused with its password is tried again only when it is named.

    \b
    Example:
      postroom poll office/INBOX --json
    """
    from . import app

    with front.archive().reading() as session:
        known = {one.name: one.id for one in bindings.every(session)}
    for name in names:
        if name not in known:
            raise BindingTrouble(f"There is no binding {name}. See: postroom binding list")
    poller = app.poller(front)
    failed = False
    try:
        for name in names or sorted(known):
            with progress(name, None) as bar, sealing(front.archive()):
                poller.told = bar.to
                outcome = poller.poll(known[name], asked_for=bool(names))
            failed = failed or outcome.trouble is not None
            if as_lines:
                told = asdict(outcome)
                del told["busy"]
                as_json(told)
            else:
                click.echo(plain(outcome.sentence()))
    finally:
        poller.close()
    if failed:
        raise click.exceptions.Exit(1)


@click.command()
@pass_front
def gateway(front: Front) -> None:
    """Run the gateway alone: poll every binding when it is due, until stopped.

    \b
    Example:
      postroom gateway
    """
    from . import app

    stop = _until_told()
    clock = app.clock(front)
    try:
        listener = app.listener(front, clock)
    except OSError as error:
        raise click.ClickException(f"Monitors cannot be answered there: {error.strerror or error}.") from error
    if listener is not None:
        click.echo(f"monitors are answered at port {listener.port}", err=True)
    clock.start()
    _wait(stop)
    clock.stop()
    if listener is not None:
        listener.close()


@click.command()
@click.option("--host", help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen at.")
@pass_front
def serve(front: Front, host: str | None, port: int | None) -> None:
    """Run web pages and gateway, until stopped.

    \b
    Example:
      postroom serve --port 8460
    """
    from . import app

    stop = _until_told()
    clock = app.clock(front)
    try:
        pages = front.pages(host, port)
    except OSError as error:
        raise click.ClickException(f"The pages cannot listen there: {error.strerror or error}.") from error
    at, bound = pages.address
    click.echo(f"pages at http://{f'[{at}]' if ':' in at else at}:{bound}", err=True)
    threading.Thread(target=pages.run, name="pages", daemon=True).start()
    clock.start()
    _wait(stop)
    pages.close()
    clock.stop()


def _until_told() -> threading.Event:
    """Set by SIGTERM or Ctrl-C."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # From a thread of its own: the signal may come while this one holds the event's lock in `wait`.
        signal.signal(number, lambda *_: threading.Thread(target=told.set).start())
    return told


def _wait(told: threading.Event) -> None:
    """Until it is set. Another thread may hear the signal, and this one, which has to act on it, would sleep on."""
    while not told.wait(_SIGNAL_UNHEARD):
        pass


@click.command()
@click.option("--once", is_flag=True, help="Archive the small world, print a summary and exit.")
@click.option("--port", type=click.IntRange(0, 65535), default=8460, show_default=True, envvar="PORT")
@json_option
@pass_front
def demo(front: Front, once: bool, port: int, as_lines: bool) -> None:
    """Show Postroom with an embedded mail server and a small world, all of it thrown away afterwards.

    \b
    Example:
      postroom demo --port 8460
    """
    from .demo import show

    show.run(front, once=once, port=port, stop=threading.Event() if once else _until_told(), as_lines=as_lines)
