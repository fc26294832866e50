"""The database brought to this version by alembic, and checked before anybody uses it."""

from pathlib import Path

from sqlalchemy import inspect, select, text

from . import dialects
from .archive import Archive
from .keys import KeyTrouble
from .packs import NotReady
from .schema import installation

HEAD = "0019"  # the newest revision in migrations/versions; a test compares


def upgrade(archive: Archive) -> None:
    """Bring the database to this version, from nothing or from any earlier one; each revision is one transaction."""
    from alembic import command
    from alembic.config import Config

    with archive.reading() as session:
        if unfit := dialects.unfit(session):
            raise NotReady(" ".join(unfit))
    archive.keys.create()
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with archive.transaction() as session:
        config.attributes["connection"] = session
        command.upgrade(config, "head")


def revision(archive: Archive) -> str | None:
    """The revision the database is at; None where it is empty."""
    with archive.reading() as session:
        if not inspect(session).has_table("alembic_version"):
            return None
        found: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
        return found


def check(archive: Archive) -> None:
    """NotReady where the database is not there or not of this version."""
    if dialects.missing(archive.engine):
        raise NotReady(f"{archive.folder}: no archive there. Make one with: postroom init --admin EMAIL")
    found = revision(archive)
    if found is None:
        raise NotReady("The database is empty. Make an archive in it with: postroom init --admin EMAIL")
    if found != HEAD:
        raise NotReady(
            f"The database is of version {found}, this Postroom of {HEAD}. Bring it up with: postroom upgrade"
        )


def check_key(archive: Archive) -> None:
    """KeyTrouble where the archive belongs to another key."""
    with archive.reading() as session:
        kept = session.scalar(select(installation.c.value).where(installation.c.name == "key"))
    if kept != archive.key.fingerprint:
        raise KeyTrouble(
            f"The key file does not belong to the archive in {archive.folder}. "
            "Put the right one back, or write it anew from the recovery key with: postroom key restore"
        )
