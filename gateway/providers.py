"""`postroom provider`: who gives tokens for mailboxes without a password, and consent where there is no browser."""

import sys
import time
from datetime import UTC, datetime

import click

from archive import installation
from archive.events import log
from archive.front import Front, as_json, json_option, now, pass_front, plain
from archive.post import bindings, consents, providers
from archive.post.bindings import BindingTrouble
from archive.post.providers import Endpoints, ProviderTrouble

from . import accounts, credentials

LONGEST_SECRET = 4096  # characters
_DATE = click.DateTime(["%Y-%m-%d"])


@click.group()
def provider() -> None:
    """Providers of tokens (OAuth 2.0): Microsoft 365, Google, or any by its addresses.

    \b
    Example:
      echo SECRET | postroom provider add m365 --kind microsoft --tenant example.org --client-id ID --secret-stdin
    """


@provider.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(["microsoft", "google", "custom"]), required=True)
@click.option("--client-id", required=True, metavar="ID", help="As the provider knows Postroom.")
@click.option("--secret-stdin", is_flag=True, help="Read the client secret from the first line of stdin.")
@click.option("--secret-until", type=_DATE, metavar="YYYY-MM-DD", help="Until when that secret holds.")
@click.option("--consent-days", type=click.IntRange(1, 3650), help="How long consent lasts, where that is known.")
@click.option("--tenant", default="common", show_default=True, help="Microsoft: the directory’s id or domain.")
@click.option("--authorize", metavar="URL", help="custom: the page for consent")
@click.option("--token", metavar="URL", help="custom: where tokens are given")
@click.option("--device", metavar="URL", help="custom: where codes for devices are given")
@click.option("--revoke", metavar="URL", help="custom: where consent that was taken back is reported (RFC 7009)")
@click.option("--scope", help="What to ask for; ready for microsoft and google.")
@click.option("--client-scope", help="What to ask for as the application itself; ready for microsoft.")
@json_option
@pass_front
def add(
    front: Front,
    name: str,
    kind: str,
    client_id: str,
    secret_stdin: bool,
    secret_until: datetime | None,
    consent_days: int | None,
    tenant: str,
    authorize: str | None,
    token: str | None,
    device: str | None,
    revoke: str | None,
    scope: str | None,
    client_scope: str | None,
    as_lines: bool,
) -> None:
    """Add a provider. Prints the address to register there as redirect URI.

    \b
    Example:
      echo SECRET | postroom provider add google --kind google --client-id ID --secret-stdin
    """
    ready = providers.preset(kind, tenant) if kind != "custom" else None
    if ready is None and token is None:
        raise click.UsageError("Of a custom provider --token is needed, and --authorize or --device.")
    at = Endpoints(
        authorize or (ready.authorize if ready else None),
        token or (ready.token if ready else ""),
        device or (ready.device if ready else None),
        scope or (ready.scope if ready else ""),
        client_scope or (ready.client_scope if ready else None),
        revoke or (ready.revoke if ready else None),
    )
    secret, archive = _read_secret() if secret_stdin else None, front.archive()
    with archive.transaction() as session:
        id_ = providers.add(
            session, archive, name, kind, client_id, secret, at, now(),
            secret_until=_end_of(secret_until), consent_days=consent_days,
        )  # fmt: skip
        made, base = providers.get(session, id_), installation.get(session, installation.URL)
    back = f"{(base or 'http://127.0.0.1:8460').rstrip('/')}{made.redirect_path}"
    if as_lines:
        as_json({"provider": name, "kind": kind, "redirect_uri": back})
    else:
        click.echo(back)


@provider.command()
@click.argument("name")
@click.option("--secret-stdin", is_flag=True, required=True, help="Read it from the first line of stdin.")
@click.option("--until", type=_DATE, metavar="YYYY-MM-DD", help="Until when it holds.")
@pass_front
def secret(front: Front, name: str, secret_stdin: bool, until: datetime | None) -> None:
    """Give Postroom its new client secret at a provider.

    \b
    Example:
      echo SECRET | postroom provider secret m365 --secret-stdin --until 2028-11-01
    """
    given, archive = _read_secret(), front.archive()
    with archive.transaction() as session:
        one = providers.by_name(session, name)
        if one is None:
            raise ProviderTrouble(f"There is no provider {name}. See: postroom provider list")
        providers.set_secret(session, archive, one, given, now(), until=_end_of(until))


def _read_secret() -> str:
    given = sys.stdin.readline(LONGEST_SECRET).rstrip("\r\n")
    if not given:
        raise click.UsageError("There is no secret on the first line of stdin.")
    return given


def _end_of(day: datetime | None) -> int | None:
    return int(day.replace(tzinfo=UTC).timestamp() * 1000) if day is not None else None


@provider.command(name="list")
@json_option
@pass_front
def list_providers(front: Front, as_lines: bool) -> None:
    """List all providers, without secrets.

    \b
    Example:
      postroom provider list
    """
    with front.archive().reading() as session:
        found = providers.every(session)
    for one in found:
        if as_lines:
            as_json({"provider": one.name, "kind": one.kind, "client_id": one.client_id, "token": one.at.token})
        else:
            click.echo(f"{one.name}  {one.kind}  {plain(one.client_id)}  {plain(one.at.token)}")


@provider.command()
@click.argument("mailbox_name", metavar="MAILBOX")
@pass_front
def consent(front: Front, mailbox_name: str) -> None:
    """Have consent given for a mailbox of the organisation, with a code that is typed in at another machine.

    \b
    Example:
      postroom provider consent office
    """
    from . import app
    from .mailbox import Mailbox

    archive, connecting = front.archive(), app.configured().connecting
    with archive.reading() as session:
        box = bindings.mailbox_by_name(session, mailbox_name)
        by = providers.get(session, box.provider) if box is not None and box.provider is not None else None
    if box is None or by is None or box.grant != "consent":
        raise BindingTrouble(f"{mailbox_name} is no mailbox for which consent is given. See: postroom mailbox list")
    if box.owner is not None:
        raise BindingTrouble(f"{mailbox_name} is private: its owner gives consent at the pages, and nobody else.")
    account = accounts.parse(box.imap, "imap", plaintext=box.plaintext)
    client = credentials.client(archive, by, connecting)
    device = client.begin_device()
    click.echo(f"Open {plain(device.url)} in any browser and type in: {plain(device.user_code)}")
    end = time.monotonic() + device.lasts
    while (given := client.after_device(device, account.user)) is None:
        if time.monotonic() > end:
            raise BindingTrouble("Nobody typed that code in in time. Begin again.")
        time.sleep(max(1, device.interval))
    # Tried first: somebody may be signed in there as another.
    shown = accounts.parse(box.imap, "imap", plaintext=box.plaintext, token=given.tokens.access)
    Mailbox(shown, connecting).close()
    with archive.transaction() as session:
        consents.give(session, archive, box, by, given.tokens, now(), log.OPERATOR)
    click.echo(f"{mailbox_name} can be signed in to.")
