"""A private, throw-away PostgreSQL behind a unix socket, with as many databases as tests want.

It needs nothing but Debian's package `postgresql`, runs under an unprivileged user id, and ends when the program that
started it ends, however that happens. It does not sync: what it says is true until the machine fails.
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_ACCOUNT = "postgres"  # whom Debian's package makes; root may not run the server


def program(name: str = "postgres") -> str | None:
    """Where one of PostgreSQL's programs is, of the newest version there; None when it is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    path = ":".join([*map(str, reversed(folders)), os.environ.get("PATH", "")])
    return shutil.which(name, path=path)


class PostgreSQL:
    """One server; as a context manager it is stopped and everything in it removed at the end."""

    def __init__(self, *, sync: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pr-sql-", dir="/tmp"))  # a socket's path has to be short
        self.log = self.folder / "log"
        self._sync = sync
        self._keeper: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as = {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []}
            shutil.chown(self.folder, _ACCOUNT, _ACCOUNT)
        self.folder.chmod(0o755)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Starts it and waits until it answers. RuntimeError with its log."""
        assert self._keeper is None
        if not (self.folder / "data").exists():
            self._make()
        executable = program()
        assert executable
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "on" if self._sync else "off",
            "full_page_writes": "on" if self._sync else "off",
            "max_connections": "100",
            "shared_buffers": "64MB",
        }
        more = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # The shell holds the other end of a pipe of ours: when we are gone, it ends the server at once.
        self._keeper = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                'exec 3<&0; "$@" 3<&- & child=$!; (cat <&3 >/dev/null; kill -QUIT $child 2>/dev/null) & wait $child',
                "sh",
                *(executable, "-D", str(self.folder / "data"), *more),
            ],
            stdin=subprocess.PIPE,
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            **self._as,
        )
        deadline = time.monotonic() + _START_SECONDS
        while self._keeper.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, AssertionError):
                self.execute("SELECT 1")
                return
            time.sleep(0.05)
        self.close()
        raise RuntimeError("PostgreSQL did not start")

    def _make(self) -> None:
        executable = program("initdb")
        if executable is None:
            raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
        arguments = ["-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C"]
        subprocess.run([executable, *arguments, "-N"], check=True, capture_output=True, cwd="/", **self._as)

    def stop(self) -> None:
        """Ends it in the middle of everything (SIGQUIT); `start` starts it again. Harmless when it is not running."""
        if self._keeper is None:
            return
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        try:
            self._keeper.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._keeper.pid, signal.SIGKILL)
            self._keeper.wait(_STOP_SECONDS)
        self._keeper = None

    def kill(self) -> None:
        """Kills what the others were started by (SIGKILL), and waits until they have noticed; `start` begins anew."""
        assert self._keeper is not None
        data = self.folder / "data"
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        end = time.monotonic() + _STOP_SECONDS
        while _at_work_in(data):
            assert time.monotonic() < end, "it does not end"
            time.sleep(0.05)
        self.stop()

    def close(self) -> None:
        """Ends it and removes everything it kept."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What a person at psql does; returns the rows. AssertionError while nobody answers."""
        import psycopg

        try:
            connection = psycopg.connect(f"host={self.folder} user=postgres dbname={database}", autocommit=True)
        except psycopg.OperationalError as error:
            raise AssertionError(str(error)) from None
        with connection, connection.cursor() as cursor:
            cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def make(self, note: Path) -> str:
        """A new empty database; its URL, which is also written into a file for its owner alone."""
        return self._note(self._create("template0"), note)

    def copy(self, url: str, note: Path) -> str:
        """As `make`, a copy of one that nobody has open."""
        return self._note(self._create(_name(url)), note)

    def drop(self, url: str) -> None:
        """Removes a database, whoever has it open."""
        self.execute(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    def _create(self, template: str) -> str:
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def _note(self, database: str, note: Path) -> str:
        url = f"postgresql://postgres@/{database}?host={self.folder}"
        note.touch(0o600)
        note.write_text(url)
        return url


def _at_work_in(folder: Path) -> bool:
    """Whether any process has it as its working directory, as all of a server have that of its data."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                return True
    return False


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]
