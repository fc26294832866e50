"""`postroom inspect`: how Postroom reads raw mails. Needs no archive and no settings, and starts quickly."""

import sys
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import click

from ..front import as_json, json_option, plain, when
from ..mail import inspection

_MAPPED = 16 << 20  # bytes; a larger file is not read into memory whole


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--content", is_flag=True, help="With --json: the parts' decoded bytes too, in base64.")
@json_option
@click.pass_context
def inspect(context: click.Context, files: tuple[str, ...], content: bool, as_lines: bool) -> None:
    """Show how Postroom reads raw mails, without an archive; "-" reads one from stdin.

    A file that cannot be read is reported on stderr, the others are shown all the same.

    \b
    Example:
      postroom inspect --json mail.eml
      postroom inspect --json --content *.eml
    """
    failed = False
    for name in files:
        try:
            raw = sys.stdin.buffer.read() if name == "-" else _raw(Path(name))
        except OSError as error:
            click.echo(f"postroom: {plain(name)}: {error.strerror}.", err=True)
            failed = True
            continue
        described = {"file": name, **inspection.describe(raw, content)}
        if as_lines:
            as_json(described)
        else:
            _tell(described)
    if failed:
        context.exit(1)


def _raw(path: Path) -> "bytes | mmap":
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        return mmap(file.fileno(), 0, access=ACCESS_READ) if size > _MAPPED else file.read()


def _tell(described: dict[str, Any]) -> None:
    def people(kind: str) -> str:
        return ", ".join(f"{one['name']} <{one['address']}>".strip() for one in described[kind])

    facts = [
        ("File", described["file"]),
        ("Subject", described["subject"]),
        *(
            (name, people(kind))
            for name, kind in (("From", "from"), ("To", "to"), ("Cc", "cc"), ("Reply-To", "reply_to"))
        ),
        ("Date", "" if described["date"] is None else when(described["date"] * 1000)),
        ("Message-ID", described["message_id"]),
        *(("Problem", text) for text in described["problems"]),
        *(("Part", _part(one)) for one in described["parts"]),
    ]
    for name, text in facts:
        if text:
            click.echo(f"{name + ':':12}{plain(text)}")
    click.echo()
    for text in described["text"].splitlines():
        click.echo(plain(text))
    click.echo()


def _part(one: dict[str, Any]) -> str:
    facts = [one["path"], one["content_type"], one["charset"], one["name"], f"{one['size']:,} bytes"]
    return "  ".join(fact for fact in facts if fact) + ("  attachment" if one["attachment"] else "")
