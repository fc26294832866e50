"""What is true of the installation as a whole: whose it is, which key it has, where its pages are."""

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from .store import dialects, migrate
from .store.archive import Archive, Session
from .store.packs import LocalPacks, NotReady, Place
from .store.schema import blob, installation

KEY = "key"  # fingerprint of the installation's key
URL = "url"  # where its pages are reached, as the operator said
NAME = "name"  # the organisation's
LANGUAGE = "language"  # of whoever has chosen none
ZONE = "zone"  # IANA name; of whoever has chosen none
RECOVERY_CONFIRMED = "recovery_confirmed"  # when somebody proved to keep the recovery key, UTC ms
HELD = "held"  # since when nothing may leave by itself, UTC ms: the archive was restored, and nobody released it yet

BLOBS = "blobs"  # the bucket its mail lies in; none: in the data folder
FOLDER = (
    "blobs_folder"  # the number of the folder its mail lies in, for several machines to find the same; none: a bucket
)

# While this file stands in the data folder, `init` has not finished; it holds the fingerprint of the key in use.
UNFINISHED = "unfinished"


def get(session: Session, name: str) -> str | None:
    """What is kept under a name."""
    found: str | None = session.scalar(select(installation.c.value).where(installation.c.name == name))
    return found


def put(session: Session, name: str, value: str) -> None:
    """Keep a value under a name, in place of any other."""
    session.execute(delete(installation).where(installation.c.name == name))
    session.execute(insert(installation).values(name=name, value=value))


def settle_blobs(session: Session, archive: Archive) -> None:
    """Note where this archive keeps its mail from now on."""
    session.execute(delete(installation).where(installation.c.name.in_((BLOBS, FOLDER))))
    opened = blobs(archive)
    if opened is not None:
        put(session, BLOBS, opened)
    elif isinstance(archive.blobs, LocalPacks):
        put(session, FOLDER, archive.blobs.give_number())


def held(session: Session) -> int | None:
    """Since when (UTC ms) nothing may leave by itself; None where nothing is held. Whatever sends asks first."""
    since = get(session, HELD)
    return int(since) if since is not None else None


def release(session: Session) -> bool:
    """Let things leave by themselves again; False where nothing was held."""
    return bool(session.execute(delete(installation).where(installation.c.name == HELD)).rowcount)


def blobs(archive: Archive) -> str | None:
    """The bucket this archive was opened with, whichever way it is reached; None for the data folder."""
    if archive.blobs_url is None:
        return None
    from .store import s3

    return s3.bucket(archive.blobs_url).name


def check_blobs(archive: Archive) -> None:
    """NotReady where the archive was opened with another place for its mail than it was made with, or, from another
    machine, with another folder of the same name."""
    with archive.reading() as session:
        kept, opened = get(session, BLOBS), blobs(archive)
    if kept != opened:
        raise NotReady(
            f"This archive keeps its mail in {kept or 'its data folder'}, and the configuration names "
            f"{opened or 'no bucket (blobs.url)'}. Nothing was touched; mend blobs.url."
        )
    # A database in a file lies beside its packs; a server's may be opened from any machine.
    if isinstance(archive.blobs, LocalPacks) and dialects.file(archive.engine) is None:
        _check_folder(archive, archive.blobs)


def _check_folder(archive: Archive, packs: LocalPacks) -> None:
    with archive.reading() as session:
        kept = get(session, FOLDER)
    if kept is None:
        kept = _settled_folder(archive, packs)
    if kept is None or packs.number() != kept:
        raise NotReady(
            f"This archive keeps its mail in another folder than {archive.folder / 'blobs'}, perhaps another "
            "machine's; nothing was touched. Mount that folder there, or restore a backup into a bucket (blobs.url)."
        )


def _settled_folder(archive: Archive, packs: LocalPacks) -> str | None:
    """The number of the folder of an archive that an earlier version made: this one, where what was kept last is there.

    None where it is not.
    """
    with archive.reading() as session:
        row = session.execute(select(blob).order_by(blob.c.id.desc()).limit(1)).first()
    if row is not None and not packs.holds(Place(row.id, row.size, row.stored, row.position)):
        return None
    number = packs.number() or packs.give_number()
    try:
        with archive.transaction() as session:
            session.execute(insert(installation).values(name=FOLDER, value=number))
    except IntegrityError:  # another machine was quicker, and it is its folder
        with archive.reading() as session:
            return get(session, FOLDER)
    return number


def version(archive: Archive) -> str:
    """The database's revision, whichever it is; NotReady where there is no archive. Asking makes no file."""
    found = None if dialects.missing(archive.engine) else migrate.revision(archive)
    if found is None:
        raise NotReady(f"{archive.folder}: no archive there. Make one with: postroom init --admin EMAIL")
    return found
