"""`postroom init`: an archive from nothing. May be interrupted anywhere and called again."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click

from .. import installation
from ..events import log
from ..front import Front, as_json, json_option, now, pass_front
from ..people import users
from ..store import dialects, migrate
from ..store.archive import Archive, locked
from ..store.keys import InstallationKey, KeyTrouble, sync_folder
from ..store.packs import NotReady

_OURS = (installation.UNFINISHED, "locks", "blobs")
_DATABASES = ("archive.sqlite", "keys.sqlite")


def _base(_ctx: click.Context, _parameter: click.Parameter, url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        fine = fine and parts.username is None and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        fine = False
    if not fine or not url.isascii() or not url.isprintable():
        raise click.BadParameter("an address like https://post.example.org is wanted, without a path.")
    return url.rstrip("/")


@click.command()
@click.option("--admin", metavar="EMAIL", help="Address of the first admin.")
@click.option("--url", metavar="BASE", callback=_base, help="Where people reach the pages: https://post.example.org")
@click.option("--no-input", is_flag=True, help="Never ask; what is missing is an error.")
@json_option
@pass_front
def init(front: Front, admin: str | None, url: str | None, no_input: bool, as_lines: bool) -> None:
    """Make an archive: data folder, key file, database and the first admin.

    Prints a one-time sign-in link for the admin and, once, the recovery key: write it down and keep it away from this
    machine. A call that was interrupted is finished by the next one.

    \b
    Example:
      postroom init --admin anna@example.org --url https://post.example.org
    """
    if admin is None and not no_input and sys.stdin.isatty():
        admin = click.prompt("Address of the first admin", err=True)
    if admin is None:
        raise click.UsageError("Missing option '--admin EMAIL'.")
    admin = users.folded(admin)
    _make_folder(front.data)
    with _alone(front.data):
        key = _settled_key(front)
        archive = front.open_with(key)
        try:
            if archive.blobs_url is not None:
                archive.blobs.tried()
            _leave_others_alone(archive)
            migrate.upgrade(archive)
            link = _record(archive, admin, url, now())
        finally:
            archive.close()
        base = url or front.given.base_url
        _tell(front, key, admin, f"{base}/sign-in/link/{link}", as_lines)
        # Only now: whoever was interrupted before has seen neither link nor recovery key, and calls again.
        (front.data / installation.UNFINISHED).unlink()
        sync_folder(front.data)
        front.archive().written = True  # so that it is sealed when the command ends


def _make_folder(data: Path) -> None:
    """The data folder, for its owner alone; an existing one is empty or left by an `init` that was interrupted."""
    try:
        data.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not data.is_dir():
            raise NotReady(f"{data} is not a folder. Choose another with POSTROOM_DATA.") from None
        names = sorted(path.name for path in data.iterdir())
        if any(name.startswith(_DATABASES) for name in names) and installation.UNFINISHED not in names:
            raise NotReady(f"{data}: there is an archive already.") from None
        strange = [name for name in names if name not in _OURS and not name.startswith(_DATABASES)]
        if strange or (names and installation.UNFINISHED not in names and names != ["locks"]):
            raise NotReady(
                f"{data} is not empty ({', '.join((strange or names)[:3])}). "
                "Choose a new or empty folder with POSTROOM_DATA."
            ) from None
        data.chmod(0o700)


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    (data / "locks").mkdir(mode=0o700, exist_ok=True)
    try:
        with locked(data / "locks" / "init", wait=0):
            yield
    except BlockingIOError:
        raise NotReady(f"{data}: another init is at work there.") from None


def _settled_key(front: Front) -> InstallationKey:
    """A new key, written down; the one an interrupted call wrote. Never touches any other key file."""
    note = front.data / installation.UNFINISHED
    if front.key_path.exists():
        try:
            there = InstallationKey.read(front.key_path)
            ours = note.exists() and note.read_text("ascii").strip() == there.fingerprint
        except (KeyTrouble, UnicodeDecodeError):
            ours = False
        if ours:
            return there
        raise KeyTrouble(
            f"{front.key_path}: there is an installation key already, and it is not overwritten: some archive may be "
            "readable with it alone. Move it to a safe place, or name another file with POSTROOM_KEY_FILE."
        )
    key = InstallationKey.new()
    descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.fingerprint + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(front.data)
    key.write(front.key_path)
    return key


def _leave_others_alone(archive: Archive) -> None:
    """A server's database may hold somebody's archive, which is not to be touched."""
    if dialects.missing(archive.engine) or migrate.revision(archive) is None:
        return
    with archive.reading() as session:
        if installation.get(session, installation.KEY) not in (None, archive.key.fingerprint):
            raise NotReady("The database that database.url names holds an archive already. Name an empty one.")


def _record(archive: Archive, admin: str, url: str | None, at: int) -> str:
    """What makes the database this installation's, in one transaction; returns the token of the admin's link."""
    with archive.transaction() as session:
        kept = installation.get(session, installation.KEY)
        if kept is not None and kept != archive.key.fingerprint:
            raise NotReady("There is an archive in this database already, with another key.")
        if kept is None:
            installation.put(session, installation.KEY, archive.key.fingerprint)
            installation.settle_blobs(session, archive)
            log.write(session, [log.Event("archive.made", log.OPERATOR, "archive")], at)
        if url is not None:
            installation.put(session, installation.URL, url)
        there = users.by_email(session, admin)
        user = there.id if there else users.add(session, admin, admin.partition("@")[0], at, admin=True)
        return users.new_link(session, user, at)


def _tell(front: Front, key: InstallationKey, admin: str, link: str, as_lines: bool) -> None:
    if as_lines:
        as_json(
            {
                "data": str(front.data),
                "key_file": str(front.key_path),
                "admin": admin,
                "link": link,
                "recovery_key": key.recovery(),
            }
        )
        return
    click.echo(
        f"""\
Data folder   {front.data}
Key file      {front.key_path}
Sign-in link  {link}
              for {admin}, once, within seven days

Recovery key, shown only now:

    {key.recovery()}

Write it down and keep it away from this machine. Without the key file and without it, nobody can read the archive.
When it is kept, say so with:  postroom key confirm
Next:  postroom serve"""
    )
