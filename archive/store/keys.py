"""The installation's key, what is derived from it, and the key store that holds each blob's own key.

The installation's key lives in a file of its own, outside data and backups. The key store is a small database
beside the archive's, on PostgreSQL a schema of its own (`archive.store.dialects`): destroying a row there destroys the
blob, wherever copies of its bytes lie.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import BigInteger, Column, Engine, Integer, LargeBinary, MetaData, Table, bindparam, delete, select

from .dialects import destroying, insert_rows, make_room_for_keys, writing

KEY_BYTES = 32
_NONCE_BYTES = 12


class KeyTrouble(Exception):
    """The installation's key is missing, damaged or not this installation's; the sentence says what to do."""


class InstallationKey:
    """The one secret of an installation, 32 bytes; everything else is derived from it by HKDF (RFC 5869)."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise KeyTrouble(f"The installation's key has {len(secret)} bytes, not {KEY_BYTES}.")
        self._secret = secret

    def __reduce__(self) -> tuple[type["InstallationKey"], tuple[bytes]]:
        return InstallationKey, (self._secret,)  # to an intake worker, without what is derived

    def __repr__(self) -> str:
        return "InstallationKey()"

    @classmethod
    def new(cls) -> "InstallationKey":
        """A fresh random key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def read(cls, path: Path) -> "InstallationKey":
        """The key in the file; KeyTrouble where there is none or it is damaged."""
        try:
            text = path.read_text("ascii").strip()
        except FileNotFoundError:
            raise KeyTrouble(
                f"{path}: no installation key there. Put it back from your backup, "
                "or write it anew from the recovery key with: postroom key restore"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise KeyTrouble(f"{path}: the installation's key cannot be read ({error}).") from None
        return cls.from_recovery(text)

    def write(self, path: Path) -> None:
        """Keep the key in a new file only its owner may read (0600), durably; FileExistsError where one stands."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(self.recovery() + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)

    def recovery(self) -> str:
        """The key as a person writes it down: base32 in groups, the last group a checksum."""
        text = base64.b32encode(self._secret + _checksum(self._secret)).decode().rstrip("=")
        return "-".join(text[i : i + 6] for i in range(0, len(text), 6))

    @classmethod
    def from_recovery(cls, text: str) -> "InstallationKey":
        """The key from what a person typed, in any case and grouping; KeyTrouble where it was mistyped."""
        letters = "".join(text.upper().replace("-", " ").split())
        try:
            found = base64.b32decode(letters + "=" * (-len(letters) % 8))
        except ValueError:
            found = b""
        secret, checksum = found[:KEY_BYTES], found[KEY_BYTES:]
        if len(secret) != KEY_BYTES or checksum != _checksum(secret):
            raise KeyTrouble("This is not a recovery key as it was printed: a group is missing or mistyped.")
        return cls(secret)

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose; nothing about the key or other purposes can be learned from them."""
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"postroom " + purpose.encode()).derive(self._secret)

    @cached_property
    def fingerprint(self) -> str:
        """What tells whether two keys are the same, and nothing else."""
        return self.derive("fingerprint").hex()[:32]

    @cached_property
    def content_hash_key(self) -> bytes:
        """For the keyed hashes by which contents and blobs are known."""
        return self.derive("content hash")

    @cached_property
    def wrapping(self) -> AESGCM:
        """Wraps the keys of blobs."""
        return AESGCM(self.derive("blob key wrapping"))

    def encrypt_secret(self, text: str) -> bytes:
        """A password or token, encrypted for the database."""
        return self._fernet.encrypt(text.encode())

    def decrypt_secret(self, token: bytes) -> str:
        """What `encrypt_secret` was given; KeyTrouble under another key."""
        try:
            return self._fernet.decrypt(token).decode()
        except InvalidToken:
            raise KeyTrouble("A stored password was encrypted under another installation's key.") from None

    @cached_property
    def _fernet(self) -> MultiFernet:
        return MultiFernet([Fernet(base64.urlsafe_b64encode(self.derive("stored secrets")))])


def _checksum(secret: bytes) -> bytes:
    return hashlib.sha256(b"postroom recovery " + secret).digest()[:3]


def sync_folder(folder: Path) -> None:
    """Make names created in a folder durable (fsync of the folder itself)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


metadata = MetaData()
blob_key = Table(
    "blob_key",
    metadata,
    Column("blob", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
)


_WRAPPED = select(blob_key).where(blob_key.c.blob.in_(bindparam("some", expanding=True)))


class KeyStore:
    """Each blob's own key, wrapped by the installation's; a database of its own (`Archive` opens it)."""

    def __init__(self, engine: Engine, key: InstallationKey) -> None:
        self._engine = engine
        self._key = key

    def create(self) -> None:
        """Make the table where it is missing; harmless to repeat."""
        make_room_for_keys(self._engine)
        metadata.create_all(self._engine)

    def wrap(self, blob: int, secret: bytes) -> bytes:
        """A blob's key as it is stored, bound to that blob."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._key.wrapping.encrypt(nonce, secret, blob.to_bytes(8, "big"))

    def add(self, wrapped: Mapping[int, bytes]) -> None:
        """Keep keys durably, before the rows that refer to their blobs are committed."""
        if wrapped:
            with writing(self._engine).begin() as session:
                insert_rows(session, blob_key, [{"blob": k, "wrapped": v} for k, v in wrapped.items()])

    def get(self, blobs: Iterable[int]) -> dict[int, bytes]:
        """The keys of blobs, unwrapped; absent where destroyed. KeyTrouble under another installation's key."""
        return {blob: self.unwrap(blob, wrapped) for blob, wrapped in self.wrapped(blobs).items()}

    def wrapped(self, blobs: Iterable[int]) -> dict[int, bytes]:
        """The keys of blobs as they are stored, for another key store of the same installation."""
        wanted = list(blobs)
        found: dict[int, bytes] = {}
        with self._engine.connect() as session:
            for start in range(0, len(wanted), 500):
                rows = session.execute(_WRAPPED, {"some": wanted[start : start + 500]})
                found.update((row.blob, row.wrapped) for row in rows)
        return found

    def unwrap(self, blob: int, wrapped: bytes) -> bytes:
        """One key as it is stored (`wrapped`). KeyTrouble under another installation's key."""
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return self._key.wrapping.decrypt(nonce, sealed, blob.to_bytes(8, "big"))
        except Exception as error:  # cryptography's InvalidTag says nothing more
            raise KeyTrouble(f"The key of blob {blob} does not open with this installation's key.") from error

    def destroy(self, blobs: Iterable[int]) -> None:
        """Make blobs unreadable for good; harmless to repeat."""
        wanted = list(blobs)
        if not wanted:
            return
        with destroying(self._engine) as session:
            for start in range(0, len(wanted), 500):
                session.execute(delete(blob_key).where(blob_key.c.blob.in_(wanted[start : start + 500])))

    def of_pack(self, pack: int) -> list[int]:
        """The blobs of one pack that have a key, in order."""
        first, last = pack << 32, (pack + 1) << 32
        with self._engine.connect() as session:
            return list(
                session.scalars(select(blob_key.c.blob).where(blob_key.c.blob >= first, blob_key.c.blob < last))
            )

    def close(self) -> None:
        """Give back connections."""
        self._engine.dispose()
