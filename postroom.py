"""The front door: the command line, the only place where gateway, archive, web and config meet.

Each package contributes its own commands; they are imported when they are called. Nothing happens at import, for
workers started by `multiprocessing` import this file again.
"""

import contextlib
import importlib
import io
import keyword
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

_OVERWRITTEN = (
    'The package "{}" is not the one Postroom installs: another of that name may have overwritten it. '
    "Install Postroom anew, into a virtual environment of its own."
)
try:
    from archive.front import Front, Given, Pages, plain
except ModuleNotFoundError as missing:
    if missing.name not in ("archive", "archive.front"):
        raise
    sys.exit("postroom: " + _OVERWRITTEN.format("archive"))

# Where each command lives (the attribute is named like the command), and its line in `postroom --help`.
COMMANDS = {
    "init": ("archive.commands.init", "Make an archive: data folder, key, database, first admin."),
    "user": ("archive.commands.user", "People who sign in."),
    "case": ("archive.commands.case", "Cases: open, file, take out, close."),
    "restriction": ("archive.commands.restriction", "Conversations that only those see who are named."),
    "process": ("archive.commands.process", "Matters people work on together."),
    "rule": ("archive.commands.rule", "What is asked of arriving mail, and what is done with it."),
    "ticket": ("archive.commands.ticket", "One process’s work on one conversation."),
    "unrouted": ("archive.commands.unrouted", "Where mail goes that no address claims."),
    "mailbox": ("gateway.commands", "Accounts on mail servers."),
    "provider": ("gateway.providers", "Who gives tokens for mailboxes without a password."),
    "binding": ("gateway.commands", "Watched folders of mailboxes."),
    "poll": ("gateway.commands", "Take in what is waiting in the watched folders."),
    "identity": ("gateway.identities", "Addresses that mail goes out from."),
    "canary": ("gateway.identities", "Test mails of addresses to themselves: whether their way is open."),
    "template": ("archive.commands.template", "Texts of a process that mail begins with."),
    "reply": ("archive.commands.reply", "Answer a message with the text on stdin."),
    "compose": ("archive.commands.reply", "Write a new mail with the text on stdin."),
    "outbox": ("archive.commands.outbox", "Mails of ours that wait, and what became of them."),
    "brake": ("archive.commands.brake", "Where mail that goes out by itself has stopped."),
    "send": ("gateway.identities", "Send what is due now, once."),
    "serve": ("gateway.commands", "Run web pages and gateway."),
    "gateway": ("gateway.commands", "Run the gateway alone."),
    "web": ("web.commands", "Run the web pages alone."),
    "demo": ("gateway.commands", "Show Postroom with an embedded mail server and a small world."),
    "messages": ("archive.commands.messages", "Archived messages."),
    "search": ("archive.commands.search", "Find messages, newest first."),
    "inspect": ("archive.commands.inspect", "Show how Postroom reads raw mails, without an archive."),
    "import": ("archive.commands.import_", "Bring in mail from mboxes, Maildirs, folders and exports."),
    "export": ("archive.commands.export", "Write every received copy to a folder, byte for byte."),
    "backup": ("archive.commands.backup", "Back the whole archive up while it runs."),
    "restore": ("archive.commands.restore", "Put a backup back into an empty place."),
    "release": ("archive.commands.release", "Let things leave a restored archive by themselves again."),
    "reread": ("archive.commands.reread", "Read archived mail with the second reader."),
    "reindex": ("archive.commands.reindex", "Bring the search index up to date, or make it anew."),
    "stats": ("archive.commands.stats", "How much is archived, and what it takes."),
    "verify": ("archive.commands.verify", "Read everything again and say what is not as it was."),
    "ledger": ("gateway.ledger", "What became of every mail seen in a watched folder."),
    "key": ("archive.commands.key", "The installation's key and its recovery key."),
    "upgrade": ("archive.commands.upgrade", "Bring the database to this version."),
    "doctor": ("archive.commands.doctor", "Check the installation and say what to do."),
}

SERVICES = ("serve", "gateway", "web", "demo")  # run on, and log what happens; the others say what they have to say

# Failures whose text is a sentence for people. Named, not imported: who raised one has imported it.
SENTENCES = (
    "archive.backup.BackupTrouble",
    "archive.export.ExportTrouble",
    "archive.importing.workers.Failed",
    "archive.outgoing.identities.IdentityTrouble",
    "archive.outgoing.templates.TemplateTrouble",
    "archive.people.processes.ProcessTrouble",
    "archive.people.users.UserTrouble",
    "archive.post.bindings.BindingTrouble",
    "archive.work.cases.CaseTrouble",
    "archive.work.rulebook.RuleTrouble",
    "archive.store.keys.KeyTrouble",
    "archive.store.packs.Damaged",
    "archive.store.packs.NotReady",
    "archive.store.packs.StoreTrouble",
    "gateway.trouble.Trouble",
    "archive.post.providers.ProviderTrouble",
    "config.settings.Misconfigured",
)
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Commands(click.Group):
    """The command group; a command's module is imported when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the day: set up, run, look, look after."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; ClickException where its package is not ours."""
        if cmd_name not in COMMANDS:
            return None
        module = COMMANDS[cmd_name][0]
        package = module.split(".", maxsplit=1)[0]
        try:
            attribute = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
            command: click.Command | None = getattr(importlib.import_module(module), attribute, None)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".", maxsplit=1)[0] != package:
                raise
            command = None
        if command is None:
            raise click.ClickException(_OVERWRITTEN.format(package))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with what was probably meant."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            meant = f' Did you mean "{near[0]}"?' if near else ' See "postroom --help".'
            raise click.UsageError(f'There is no command "{plain(args[0])}".{meant}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _version(ctx: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib import metadata

        try:
            click.echo(f"postroom {metadata.version('postroom')}")
        except metadata.PackageNotFoundError:
            click.echo("postroom, run from a checkout")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Postroom: an IMAP gateway and shared mailbox archive.

    POSTROOM_DATA names the data folder (./postroom-data without it), POSTROOM_CONFIG a TOML file of settings.

    \b
    Example:
      postroom init --admin anna@example.org
      postroom serve
    """
    service = context.invoked_subcommand in SERVICES
    context.obj = front = Front(lambda: _given(service), _pages)
    context.call_on_close(front.close)


def _given(service: bool) -> Given:
    """The settings, so far as every command may need them; ClickException where one will not do."""
    from config import logs, settings

    try:
        decided = settings.load()
    except settings.Misconfigured as error:
        raise click.ClickException(str(error)) from error
    logs.configure(decided.log.level, decided.log.format, service=service)
    host = "127.0.0.1" if decided.web.host in ("0.0.0.0", "::", "") else decided.web.host  # noqa: S104  compared, not bound
    host = f"[{host}]" if ":" in host else host
    base = f"http://{host}:{decided.web.port or 8460}"
    return Given(decided.data.absolute(), decided.key_path.absolute(), decided.database.url, base, decided.blobs.url)


def _pages(front: Front, host: str | None, port: int | None) -> Pages:
    """The web pages for `serve`, which the gateway runs without knowing them."""
    from web import app

    return app.pages(front, host, port)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    try:
        result = cli.main(list(arguments), prog_name="postroom", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        complain(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    except UnicodeEncodeError:
        complain("What was typed is not UTF-8 text.")
        return 2
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        complain(sentence)
        return 1
    return result if isinstance(result, int) else 0


def _sentence(error: Exception) -> str | None:
    """What went wrong in words, where it is no fault of ours."""
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    if kinds.intersection(SENTENCES):
        return str(error)
    # Exactly these: what derives from DatabaseError beside them is a fault of ours.
    if type(error).__module__ == "sqlalchemy.exc" and type(error).__name__ in ("OperationalError", "DatabaseError"):
        return f"The database cannot be used: {getattr(error, 'orig', error)}."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return None


def complain(sentence: str) -> None:
    """A sentence on stderr; nothing from outside in it can move the cursor."""
    for line in sentence.splitlines():
        click.echo(f"postroom: {plain(line)}", err=True)


def main() -> None:
    """The entry point `postroom`."""
    os.umask(0o077)  # what is written is for the owner alone
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    code: Any = run(sys.argv[1:])
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
