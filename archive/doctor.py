"""Whether the installation is well: one finding for each thing looked at, and what to do where it is not."""

import base64
import hashlib
import importlib.util
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from sqlalchemy import func, select

from . import descriptors, installation
from .front import when
from .people import users
from .people.scopes import MACHINE
from .post import bindings, messages, observations
from .post.bindings import Binding
from .store import dialects, migrate
from .store.archive import Archive, Session
from .store.packs import Damaged, StoreTrouble
from .store.schema import event, receipt

TOP_LEVEL = ("archive", "config", "gateway", "web", "postroom")
DISTRIBUTION = "postroom"
LITTLE_SPACE = 2 << 30  # bytes free: a reminder
NO_SPACE = 256 << 20  # bytes free: wrong, a batch may not fit any more
OVERDUE_MS = 15 * 60 * 1000  # how late a binding may be before somebody should look
_RELEASED_MS = 1_767_225_600_000  # 2026-01-01: no clock that is right shows less
_AHEAD_MS = 5 * 60 * 1000  # how far the last event may lie in the future


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `says` is a sentence, and where it is not ok, what to do."""

    check: str
    state: Literal["ok", "reminder", "wrong"]
    says: str


# --- the program ---


def packages() -> Iterator[Finding]:
    """Whether our top-level packages are ours: their names are plain, and any other distribution may bring the same."""
    home = Path(__file__).resolve().parent.parent
    wrong = list(_elsewhere(home)) + _claimed(metadata.packages_distributions()) + list(_altered())
    for sentence in wrong:
        yield Finding("packages", "wrong", f"{sentence} Install Postroom into a virtual environment of its own.")
    if not wrong:
        yield Finding("packages", "ok", f"{', '.join(TOP_LEVEL)} come from {home}.")


def _elsewhere(home: Path) -> Iterator[str]:
    for name in TOP_LEVEL:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            yield f'There is no package "{name}" with code in it.'
            continue
        origin = Path(found.origin).resolve()
        folder = origin.parent if origin.name != "__init__.py" else origin.parent.parent
        if folder != home:
            yield f'"{name}" comes from {folder}, not from {home}.'


def _claimed(owners: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of ours that another distribution claims too."""
    found = []
    for name in TOP_LEVEL:
        others = sorted({owner for owner in owners.get(name, ()) if owner != DISTRIBUTION})
        if others:
            found.append(f'{", ".join(others)} brings a package "{name}" as well and may have overwritten ours.')
    return found


def _altered() -> Iterator[str]:
    """Files of the installed distribution that are not what was installed."""
    try:
        files = metadata.files(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # run from a checkout
        return
    for file in files:
        if file.suffix != ".py" or file.hash is None or file.parts[0].removesuffix(".py") not in TOP_LEVEL:
            continue
        try:
            digest = hashlib.new(file.hash.mode, file.read_binary()).digest()
        except OSError:
            yield f"{file} is missing."
            continue
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
            yield f"{file} is not the file that was installed."


# --- the files ---


def data_folder(data: Path) -> Iterator[Finding]:
    """Whether the data folder is its owner's alone, and there is room."""
    if not data.is_dir():
        yield Finding("data folder", "wrong", f"{data} is not there. Make an archive with: postroom init --admin EMAIL")
        return
    found = list(_too_open(data))
    for path in found[:5]:
        yield Finding("data folder", "wrong", f"{path} can be read by others. Close it: chmod -R go= {data}")
    if not found:
        yield Finding("data folder", "ok", f"{data} is for its owner alone.")


def _too_open(data: Path) -> Iterator[Path]:
    for path in (data, *sorted(data.iterdir())):
        if stat.S_IMODE(path.lstat().st_mode) & 0o077:
            yield path


def key_file(path: Path, data: Path) -> Iterator[Finding]:
    """Whether the key file is there, its owner's alone, and apart from the data."""
    if not path.exists():
        says = f"{path} is not there. Put it back, or write it from the recovery key: postroom key restore"
        yield Finding("key file", "wrong", says)
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding("key file", "wrong", f"{path} can be read by others (mode {mode:04o}): chmod 600 {path}")
    elif path.resolve().is_relative_to(data.resolve()):
        says = f"{path} lies in the data folder, so that every backup holds it. Move it out and set POSTROOM_KEY_FILE."
        yield Finding("key file", "wrong", says)
    else:
        yield Finding("key file", "ok", f"{path} is for its owner alone.")


def disk_space(archive: Archive) -> Iterator[Finding]:
    """Whether there is room where the data lies."""
    free = archive.disk().free
    says = f"{free / (1 << 30):.1f} GB free in {archive.folder}."
    if free < NO_SPACE:
        yield Finding("disk space", "wrong", f"{says} Make room: no mail is taken in when a batch does not fit.")
    elif free < LITTLE_SPACE:
        yield Finding("disk space", "reminder", f"{says} Make room before it runs out.")
    else:
        yield Finding("disk space", "ok", says)


# --- the archive ---


def database(session: Session) -> Iterator[Finding]:
    """The database's version and settings, and who looks after the installation. Opening it has checked the key."""
    wrong = [*dialects.unfit(session), *dialects.unsafe(session)]
    for sentence in wrong:
        yield Finding("database", "wrong", sentence)
    if not wrong:
        says = f"{dialects.described(session)}, version {migrate.HEAD}, opened by this key."
        yield Finding("database", "ok", says)
    if not any(one.admin for one in users.every(session)):
        yield Finding("users", "wrong", "There is no admin. Add one: postroom user add EMAIL --name NAME --admin")


def recovery_key(session: Session) -> Iterator[Finding]:
    """Whether somebody has proved to keep the recovery key."""
    confirmed = installation.get(session, installation.RECOVERY_CONFIRMED)
    if confirmed is None:
        says = "Nobody has said yet that the recovery key is kept. When it is written down: postroom key confirm"
        yield Finding("recovery key", "reminder", says)
    else:
        yield Finding("recovery key", "ok", f"Kept, as was proved on {when(int(confirmed))[:10]}.")


def held(session: Session) -> Iterator[Finding]:
    """Whether a restored archive waits to be released."""
    since = installation.held(session)
    if since is not None:
        says = (
            f"This archive was restored at {when(since)}, and nothing leaves it by itself since. When no other machine "
            "runs it any more: postroom release"
        )
        yield Finding("sending", "reminder", says)


def blob_store(archive: Archive) -> Iterator[Finding]:
    """Whether packs can be written, read and listed where they lie."""
    try:
        yield Finding("blob store", "ok", archive.blobs.tried())
    except OSError as error:
        says = f"{error} No mail is taken in until this is mended; nothing is lost."
        yield Finding("blob store", "wrong", says)


def kept_bytes(archive: Archive, session: Session) -> Iterator[Finding]:
    """Whether the oldest and the newest copy come back byte for byte."""
    ids = session.execute(select(func.min(receipt.c.id), func.max(receipt.c.id))).one()
    for number in sorted({id_ for id_ in ids if id_ is not None}):
        copy = messages.copy(session, number, MACHINE)
        if copy is None:
            continue
        try:
            for _ in messages.raw(archive, session, copy):
                pass
        except StoreTrouble:  # said by `blob_store`
            return
        except (Damaged, LookupError) as error:
            says = f"Receipt {number} does not come back: {error} Put the folder blobs back from your backup."
            yield Finding("kept mail", "wrong", says)
            return
    yield Finding(
        "kept mail", "ok", "The oldest and the newest copy come back byte for byte." if any(ids) else "None yet."
    )


def clock(session: Session, now: int) -> Iterator[Finding]:
    """Whether the clock can be right: not before this program was made, nor before the last event."""
    last = session.scalar(select(event.c.at).order_by(event.c.id.desc()).limit(1)) or 0
    if now < _RELEASED_MS:
        yield Finding("clock", "wrong", f"It shows {when(now)}, which is past. Set it, by NTP if you can.")
    elif last > now + _AHEAD_MS:
        says = f"It shows {when(now)}, but something happened at {when(last)} already. Set it, by NTP if you can."
        yield Finding("clock", "wrong", says)
    else:
        yield Finding("clock", "ok", f"It shows {when(now)}.")


def watched_folders(session: Session, now: int) -> Iterator[Finding]:
    """Bindings in trouble or not looked at in time, and mail in quarantine."""
    counts = bindings.counts(session)
    every = bindings.every(session)
    if len(every) > (room := descriptors.connections(descriptors.allowed())):
        says = (
            f"Only {room} of {len(every)} folders can be watched without delay: raise the limit of open files (ulimit"
        )
        yield Finding("bindings", "reminder", f"{says} -Hn, LimitNOFILE), or start more gateways.")
    if not every:
        yield Finding("bindings", "reminder", "No folder is watched yet. See: postroom binding add --help")
    for one in every:
        yield _binding(one, now)
        if held := counts.get(one.id, {}).get("quarantined", 0):
            says = f"{held} mails of {one.name} could not be recorded. See why on the health page, and try them again."
            yield Finding("quarantine", "wrong", says)


def _binding(one: Binding, now: int) -> Finding:
    if one.paused_at is not None:
        return Finding("bindings", "ok", f"{one.name} is paused since {when(one.paused_at)}.")
    if one.trouble is not None:
        since = when(one.trouble_since or now)
        then = "It is not tried by itself until this is mended." if one.permanent else "It is tried again by itself."
        return Finding("bindings", "wrong", f"{one.name}: {one.trouble} Since {since}. {then}")
    if now > one.next_at + OVERDUE_MS:
        last = "never" if one.checked_at is None else f"last at {when(one.checked_at)}"
        return Finding("bindings", "wrong", f"{one.name} is overdue ({last}). Is postroom serve running?")
    return Finding("bindings", "ok", f"{one.name} is well.")


def mailboxes(session: Session, now: int) -> Iterator[Finding]:
    """What is about to end or to be full: consent, secrets, certificates, room; whose clock is wrong."""
    for notices in observations.told(session, bindings.mailboxes(session), now).values():
        for one in notices:
            yield Finding("mailboxes", "wrong" if one.kind in observations.PASSED else "reminder", one.sentence())


def owned(path: Path) -> Iterator[Finding]:
    """Whether the data belongs to who runs this: files written as another user lock the service out."""
    if path.exists() and path.stat().st_uid != os.geteuid():
        says = f"{path} belongs to user {path.stat().st_uid}, this runs as {os.geteuid()}. Run Postroom as its owner."
        yield Finding("data folder", "reminder", says)
