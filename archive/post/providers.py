"""Who gives tokens for mailboxes without a password (OAuth 2.0, RFC 6749), and as what we are known there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from sqlalchemy import Row, insert, select, update

from ..events import log, proof
from ..store.archive import Archive, Session
from ..store.schema import provider
from .bindings import NAME

Grant = Literal["consent", "client"]
GRANTS: Mapping[str, str] = {
    "consent": "a person gives it, at a page or with a code",
    "client": "the application asks for itself",
}

# Not kept with a provider: there were some before there was anything to tell them. Microsoft has no such address.
_REVOKE: Mapping[str, str] = {"google": "https://oauth2.googleapis.com/revoke"}


class ProviderTrouble(Exception):
    """What was asked for a provider cannot be; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider is asked, and for what."""

    authorize: str | None
    token: str
    device: str | None  # RFC 8628; None: it has no such flow for mail
    scope: str
    client_scope: str | None  # of a client that asks for itself; None: it has no such flow for mail
    revoke: str | None = None  # RFC 7009; None: it cannot be told that consent is over


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as the operator registered us with it."""

    id: int
    name: str
    kind: str
    client_id: str
    secret: bytes | None  # encrypted
    secret_until: int | None  # UTC ms
    consent_days: int | None
    at: Endpoints

    @property
    def redirect_path(self) -> str:
        """Where it sends people back to. Its own, so that no other can answer in its place (RFC 9207 1)."""
        return f"/mailboxes/back/{self.name}"


def preset(kind: str, tenant: str = "common") -> Endpoints:
    """The endpoints of a known kind; `tenant` is a Microsoft directory's id or domain. ProviderTrouble otherwise."""
    if kind == "microsoft":
        if not tenant or any(not (char.isascii() and (char.isalnum() or char in ".-")) for char in tenant):
            raise ProviderTrouble(f'"{tenant}" is no id or domain of a directory.')
        at = f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0"
        mail = "https://outlook.office.com"
        return Endpoints(
            f"{at}/authorize",
            f"{at}/token",
            f"{at}/devicecode",
            f"{mail}/IMAP.AccessAsUser.All {mail}/SMTP.Send offline_access",
            "https://outlook.office365.com/.default",
        )
    if kind == "google":
        # Mail is not among the scopes that Google gives to devices.
        return Endpoints(
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/token",
            None,
            "https://mail.google.com/",
            None,
            _REVOKE["google"],
        )
    raise ProviderTrouble(f'There are no ready endpoints of a kind "{kind}".')


def check(at: Endpoints) -> None:
    """ProviderTrouble where an address will not do: secrets travel there, so it has to be https."""
    for url in (at.authorize, at.token, at.device, at.revoke):
        if url is None:
            continue
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.fragment:
            raise ProviderTrouble(f'"{url}" will not do as an address: write https://host/path.')
    if not at.scope.strip() or not at.scope.isprintable():
        raise ProviderTrouble("Say what to ask for (scope).")


def add(
    session: Session,
    archive: Archive,
    name: str,
    kind: str,
    client_id: str,
    secret: str | None,
    at: Endpoints,
    now: int,
    *,
    secret_until: int | None = None,
    consent_days: int | None = None,
) -> int:
    """A new provider's id; the secret is kept encrypted. ProviderTrouble where name or addresses will not do."""
    if not NAME.fullmatch(name):
        raise ProviderTrouble(f'"{name}" will not do as a name: letters, digits and . _ @ + -, at most 64.')
    if by_name(session, name) is not None:
        raise ProviderTrouble(f"There is a provider {name} already.")
    if not client_id.strip() or not client_id.isprintable():
        raise ProviderTrouble("A provider needs the client id that it gave us.")
    check(at)
    row = {
        "name": name, "kind": kind, "client_id": client_id.strip(), "secret_until": secret_until,
        "secret": archive.key.encrypt_secret(secret) if secret else None, "consent_days": consent_days,
        "authorize": at.authorize, "token": at.token, "device": at.device, "scope": at.scope,
        "client_scope": at.client_scope, "created_at": now,
        "revoke": at.revoke if at.revoke != _REVOKE.get(kind) else None,
    }  # fmt: skip
    made = cast(int, session.scalar(insert(provider).values(**row).returning(provider.c.id)))
    details = {"name": name, "token": at.token}
    rows = proof.of_ids(session, "provider", [made])
    log.write(session, [log.Event("provider.added", log.OPERATOR, f"provider:{made}", details, rows)], now)
    return made


def set_secret(
    session: Session, archive: Archive, one: Provider, secret: str, now: int, *, until: int | None = None
) -> None:
    """Another client secret, and until when it holds (UTC ms) where the provider said so."""
    values = {"secret": archive.key.encrypt_secret(secret), "secret_until": until}
    session.execute(update(provider).where(provider.c.id == one.id).values(**values))
    rows = proof.of_ids(session, "provider", [one.id])
    log.write(session, [log.Event("provider.secret_set", log.OPERATOR, f"provider:{one.id}", rows=rows)], now)


def every(session: Session) -> list[Provider]:
    """All providers by name."""
    return [_provider(row) for row in session.execute(select(provider).order_by(provider.c.name))]


def get(session: Session, id_: int) -> Provider:
    """The provider of this id; LookupError where there is none."""
    row = session.execute(select(provider).where(provider.c.id == id_)).first()
    if row is None:
        raise LookupError(f"provider {id_}")
    return _provider(row)


def by_name(session: Session, name: str) -> Provider | None:
    """The provider of this name."""
    row = session.execute(select(provider).where(provider.c.name == name)).first()
    return _provider(row) if row else None


def _provider(row: Row[Any]) -> Provider:
    revoke = row.revoke or _REVOKE.get(row.kind)
    at = Endpoints(row.authorize, row.token, row.device, row.scope, row.client_scope, revoke)
    return Provider(row.id, row.name, row.kind, row.client_id, row.secret, row.secret_until, row.consent_days, at)


def consent_url(one: Provider, redirect_uri: str, state: str, verifier: str, user: str) -> str:
    """Where a person gives consent: authorisation code with PKCE (RFC 7636), for this user where the provider heeds it.

    ProviderTrouble where the provider has no such page.
    """
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
    from authlib.oauth2.rfc7636 import create_s256_code_challenge

    if one.at.authorize is None:
        raise ProviderTrouble(f"{one.name} has no page for consent.")
    more = {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256", "login_hint": user}
    if one.kind == "google":  # it gives a refresh token only so
        more |= {"access_type": "offline", "prompt": "consent"}
    made: str = prepare_grant_uri(
        one.at.authorize,
        client_id=one.client_id,
        response_type="code",
        redirect_uri=redirect_uri,
        scope=one.at.scope,
        state=state,
        **more,
    )
    return made
