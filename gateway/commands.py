"""The gateway's commands: mailbox, binding, poll, gateway, serve, demo."""

import signal
import sys
import threading
from dataclasses import asdict

import click

from archive.front import Front, as_json, json_option, now, pass_front, plain, progress
from archive.people import processes, users
from archive.post import bindings
from archive.post.bindings import BindingTrouble

from . import accounts

LONGEST_PASSWORD = 4096  # characters


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
@click.option("--password-stdin", is_flag=True, required=True, help="Read the password from the first line of stdin.")
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
    allow_plaintext: bool,
    as_lines: bool,
) -> None:
    """Add a mailbox. Its password is kept encrypted and never printed.

    \b
    Example:
      echo PASSWORD | postroom mailbox add office --imap imaps://help%40example.org@mail.example.org --password-stdin
    """
    password = _read_password()
    try:
        accounts.parse(imap, "imap", plaintext=allow_plaintext, password=password)
        if smtp:
            accounts.parse(smtp, "smtp", plaintext=allow_plaintext, password=password)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    archive = front.archive()
    with archive.transaction() as session:
        person = users.by_email(session, owner) if owner else None
        if owner and person is None:
            raise BindingTrouble(f"There is no user {owner}. Add one first: postroom user add {owner} --name NAME")
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
    folders = [folder for one in given for folder in (one.folder, one.processed)]
    well = True
    for step in examination.examine(archive, box, folders, names_shown, app.configured().connecting):
        well = well and step.well
        if as_lines:
            as_json({"step": step.name, "ok": step.well, "says": step.says})
        else:
            click.echo(f"{'ok  ' if step.well else 'FAIL'}  {step.name}: {plain(step.says)}")
    if not well:
        raise click.exceptions.Exit(1)


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
@click.option("--process", "slug", metavar="SLUG", help="The process its mail comes to.")
@click.option("--user", "email", metavar="EMAIL", help="The user its mail comes to, and nobody else.")
@click.option("--processed", required=True, metavar="FOLDER", help="Where archived mail is moved; made where missing.")
@click.option("--every", default=60, show_default=True, type=click.IntRange(1, 86400), help="Seconds between polls.")
@json_option
@pass_front
def add_binding(
    front: Front,
    mailbox_name: str,
    folder: str,
    slug: str | None,
    email: str | None,
    processed: str,
    every: int,
    as_lines: bool,
) -> None:
    """Watch a folder. Prints the binding's name, MAILBOX/FOLDER.

    \b
    Example:
      postroom binding add --mailbox office --folder INBOX --process helpdesk --processed Processed
    """
    from . import app, credentials

    if (slug is None) == (email is None):
        raise click.UsageError("Say for whom: either --process SLUG or --user EMAIL.")
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
        target = opened.find_folder(processed)
        with archive.reading() as session:
            bindings.check_new(session, box, watched, target or processed)
        if target is None:
            target = opened.create_folder(processed)
    with archive.transaction() as session:
        id_ = bindings.add(
            session,
            box,
            watched,
            target,
            now(),
            process=process.id if process else None,
            user=user.id if user else None,
            every_seconds=every,
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
            click.echo(f"{plain(one.name)}  to {plain(one.processed)}  {plain(one.trouble or 'ok')}")


def _tell_binding(one: bindings.Binding, as_lines: bool) -> None:
    if as_lines:
        as_json(
            {
                "binding": one.name,
                "folder": one.folder,
                "processed": one.processed,
                "every": one.every,
                "trouble": one.trouble,
            }
        )
    else:
        click.echo(plain(one.name))


@click.command()
@click.argument("names", nargs=-1, metavar="[BINDING]...")
@json_option
@pass_front
def poll(front: Front, names: tuple[str, ...], as_lines: bool) -> None:
    """Take in what waits in the watched folders, until nothing is left to take.

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
            with progress(name, None) as bar:
                poller.told = bar.to
                outcome = poller.poll(known[name])
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
    stop.wait()
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
    stop.wait()
    pages.close()
    clock.stop()


def _until_told() -> threading.Event:
    """Set by SIGTERM or Ctrl-C."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # From a thread of its own: the signal may come while this one holds the event's lock in `wait`.
        signal.signal(number, lambda *_: threading.Thread(target=told.set).start())
    return told


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
