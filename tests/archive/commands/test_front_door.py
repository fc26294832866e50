"""The front door: names, exit codes, what goes to stdout and what to stderr, whatever happens."""

import importlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import postroom
from archive.front import plain, when
from tests import world

from .conftest import House, Office


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


def test_every_command_of_the_contract_is_there() -> None:
    names = {" ".join(path) for path, _ in every_command(postroom.cli)}
    assert names >= {
        "init", "user add", "user link", "user list", "process add", "process list", "mailbox add", "mailbox test",
        "binding add", "poll", "serve", "gateway", "web", "demo", "messages list", "messages show", "messages raw",
        "search", "reread", "stats", "inspect", "export", "doctor", "upgrade", "key confirm", "key restore",
    }  # fmt: skip


def test_every_command_has_help_with_an_example() -> None:
    for path, command in every_command(postroom.cli):
        text = command.get_help(click.Context(command, info_name=" ".join(path)))
        assert "Example:\n" in text, path
        example = text.split("Example:\n", 1)[1].split("Options:")[0]
        assert f"postroom {path[0]}" in example, path
        assert all(len(line) < 160 for line in example.splitlines())


def test_help_lists_all_commands_and_imports_none(house: House) -> None:
    code = "import sys, postroom; c = postroom.run(['--help']); print(sorted(sys.modules)); sys.exit(c)"
    said = house.postroom(command=[sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"])
    assert said.code == 0
    for name in postroom.COMMANDS:
        assert f"  {name} " in said.out
    for slow in ("sqlalchemy", "flask", "pydantic", "structlog", "imapclient", "archive.store.archive"):
        assert f"'{slow}'" not in said.out


ROOT = Path(postroom.__file__).parent


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serch", "x"], 'There is no command "serch". Did you mean "search"?'),
        (["user", "add"], "Missing argument 'EMAIL'"),
        (["search", "--jsn", "x"], "No such option"),
        (["search"], "Missing argument 'QUERY'"),
        (["messages", "show", "seven"], "is not the id of a message"),
        (["messages", "show", "99999999999999999999999"], "is not the id of a message"),
        (["export", "out"], "Missing option '--format'"),
        (["export", "out", "--format", "pst"], "'pst' is not"),
        (["inspect"], "Missing argument 'FILE...'"),
        (["init", "--no-input"], "Missing option '--admin EMAIL'"),
        (["init", "--admin", "a@x.example", "--url", "ftp://x"], "https://post.example.org"),
        (["init", "--admin", "a@x.example", "--url", "https://x/path"], "without a path"),
    ],
)
def test_wrong_use_is_2_with_a_sentence_on_stderr(house: House, arguments: list[str], says: str) -> None:
    said = house.postroom(*arguments)
    assert said.code == 2
    assert says in said.err
    assert said.out == ""
    assert list(house.folder.iterdir()) == []


@pytest.mark.parametrize("arguments", [["stats"], ["user", "list"], ["search", "x"], ["upgrade"], ["reread"]])
def test_without_an_archive_one_sentence_says_how_to_make_one(house: House, arguments: list[str]) -> None:
    said = house.postroom(*arguments)
    assert said.code == 1
    assert said.err == f"postroom: {house.data}: no archive there. Make one with: postroom init --admin EMAIL\n"
    assert said.out == ""
    assert not house.data.exists()


def test_a_wrong_setting_is_one_sentence_and_names_the_file(house: House) -> None:
    file = house.folder / "postroom.toml"
    file.write_text("[web]\nport = 70000\n")
    house.environment["POSTROOM_CONFIG"] = str(file)
    said = house.postroom("stats")
    assert said.code == 1
    assert said.err.startswith(f"postroom: {file}: web.port: ")
    assert said.err.count("\n") == 1


def test_help_and_inspect_ask_for_no_settings(house: House) -> None:
    house.environment["POSTROOM_CONFIG"] = "/nowhere/postroom.toml"
    (house.folder / "a.eml").write_bytes(world.mail())
    assert house.postroom("--help").code == 0
    assert house.postroom("search", "--help").code == 0
    assert house.postroom("inspect", "--json", "a.eml").object["subject"] == "Hello"


def test_a_database_that_cannot_be_written_is_a_sentence(office: Office) -> None:
    (office.data / "archive.sqlite").write_bytes(b"this is no database" * 1000)
    said = office.postroom("stats")
    assert said.code == 1
    assert "Traceback" not in said.err
    assert "database" in said.err


def test_an_archive_under_another_key_is_not_opened(office: Office, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = House(tmp_path_factory.mktemp("other"))
    assert other.postroom("init", "--admin", "x@x.example", "--no-input").code == 0
    office.key_path.unlink()
    other.key_path.rename(office.key_path)
    said = office.postroom("stats")
    assert said.code == 1
    assert "The key file does not belong to the archive" in said.err


def test_a_reader_that_goes_away_is_no_fault(office: Office) -> None:
    office.take(office.helpdesk, *(world.mail(subject=f"Number {i}" + "x" * 900, text=str(i)) for i in range(200)))
    with subprocess.Popen(
        office.command("messages", "list", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=office.environ(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_ctrl_c_is_130(house: House) -> None:
    """At a prompt on a terminal, as a person would."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        # A shell lets what it runs in the background ignore Ctrl-C, and that is handed on.
        ["env", "--default-signal=INT", *house.command("init")],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=house.environ(),
        cwd=house.folder,
    ) as process:
        os.close(follower)
        shown = b""
        while b"Address of the first admin" not in shown:
            shown += os.read(leader, 1000)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == postroom.INTERRUPTED
    os.close(leader)
    assert list(house.folder.iterdir()) == []


def test_what_is_written_is_for_the_owner_alone(office: Office) -> None:
    office.take(office.helpdesk, world.mail())
    assert office.postroom("export", "out", "--format", "eml").code == 0
    made = [office.data, office.key_path, office.folder / "out", *(office.folder / "out").iterdir()]
    made += [path for path in office.data.rglob("*") if "pytest" not in path.name]
    for path in made:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_package_that_is_not_ours_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(click.ClickException, match="another of that name may have overwritten it"):
        postroom.cli.get_command(click.Context(postroom.cli), "web")


def test_an_archive_that_is_not_ours_is_named(house: House) -> None:
    foreign = house.folder / "archive"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("print('something else')")
    script = f"import sys; sys.path[:0] = [{str(house.folder)!r}, {str(ROOT)!r}]; import postroom; postroom.main()"
    said = house.postroom(command=[sys.executable, "-c", script, "doctor"])
    assert said.code == 1
    assert said.err.startswith('postroom: The package "archive" is not the one Postroom installs')


@pytest.mark.parametrize("arguments", [("search", "{}"), ("user", "add", "d@demo.example", "--name", "{}")])
def test_what_is_typed_has_to_be_text(office: Office, arguments: tuple[str, ...]) -> None:
    said = office.postroom(*(one.format(os.fsdecode(b"caf\xe9")) for one in arguments))
    assert (said.code, said.out) == (2, "")
    assert said.err == "postroom: What was typed is not UTF-8 text.\n"


def test_a_folder_to_export_to_need_not_be(office: Office) -> None:
    assert office.postroom("export", os.fsdecode(b"caf\xe9"), "--format", "eml").code == 0
    assert (office.folder / os.fsdecode(b"caf\xe9") / "index.jsonl").exists()


def test_workers_that_import_it_again_do_nothing() -> None:
    code = f"import runpy; runpy.run_path({str(ROOT / 'postroom.py')!r}, run_name='__mp_main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße aus Łódź", "Grüße aus Łódź"),
        ("a\x1b[2Jb", "a\ufffd[2Jb"),
        ("line\r\nforged", "line\ufffd\ufffdforged"),
        ("pay \u202egnp.exe", "pay \ufffdgnp.exe"),
        ("no\u2028line", "no\ufffdline"),
        ("1\xa0000\t€", "1 000 €"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_text_from_mail_cannot_steer_a_terminal(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("milliseconds", "written"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_793_620_800_000, "2026-11-02T12:00:00Z"),
        (1_793_620_800_007, "2026-11-02T12:00:00.007Z"),
        (-(1 << 62), "0001-01-01T00:00:00Z"),
        (1 << 62, "9999-12-31T23:59:59Z"),
    ],
)
def test_any_time_a_server_claims_can_be_written(milliseconds: int, written: str) -> None:
    assert when(milliseconds) == written
