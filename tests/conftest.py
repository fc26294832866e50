"""What all tests share: the real servers they run against, and an honest word about what could not be run."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from .servers import ceph as ceph_server
from .servers import courier as courier_server
from .servers import cyrus as cyrus_server
from .servers import imap
from .servers import moto as moto_server
from .servers import postfix as postfix_server
from .servers import postgresql as postgresql_server
from .servers.buckets import ENVIRONMENT, BucketServer
from .servers.ceph import Ceph
from .servers.certificates import Authority
from .servers.courier import Courier
from .servers.cyrus import Cyrus
from .servers.dovecot import Dovecot
from .servers.imap import PASSWORD, ImapServer
from .servers.moto import Moto
from .servers.postgresql import PostgreSQL
from .servers.scripted import Scripted
from .servers.smtp import Smtp

# How long an example takes says more about what else the machine does.
hypothesis.settings.register_profile("postroom", deadline=None)
hypothesis.settings.load_profile("postroom")


@dataclass(frozen=True)
class Means:
    """Something a test may need beside Python packages; where apt can install it, doing without is a failure."""

    missing: Callable[[], str | None]
    must_be_had: bool = False


def _program(name: str, package: str, *others: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
        if any(shutil.which(each, path=path) for each in (name, *others)):
            return None
        return f"{name} is not installed (apt-get install {package})"

    return missing


DATABASES = ("sqlite", "postgresql")
_WANTED = set(os.environ.get("DATABASES", " ".join(DATABASES)).split())  # DATABASES=sqlite make test: the quick half
_ARCHIVE = Path(__file__).parent / "archive"

MEANS = {
    "dovecot": Means(_program("dovecot", "dovecot-imapd"), must_be_had=True),
    "cyrus": Means(cyrus_server.missing, must_be_had=True),
    "courier": Means(courier_server.missing, must_be_had=True),
    "postfix": Means(postfix_server.missing, must_be_had=True),
    "ceph": Means(ceph_server.missing, must_be_had=True),
    "buckets": Means(lambda: ceph_server.missing() and moto_server.missing()),
    "chromium": Means(_program("chromium", "chromium", "chromium-browser"), must_be_had=True),
    # Not every release has the package; where it has, tests/setup/packages installs it.
    "firefox": Means(_program("firefox-esr", "firefox-esr", "firefox")),
    "strace": Means(_program("strace", "strace")),
    "postgresql": Means(
        lambda: None if postgresql_server.program() else "PostgreSQL is not installed (apt-get install postgresql)",
        must_be_had=True,
    ),
    "root": Means(lambda: None if os.geteuid() == 0 else "only root may do this"),
}
# A test that uses one of these fixtures needs no mark beside.
_FIXTURES_NEED = {
    "dovecot": "dovecot",
    "make_dovecot": "dovecot",
    "chromium": "chromium",
    "firefox": "firefox",
    "buckets": "buckets",
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "databases(*kinds): on which a test runs; without it those of tests/archive on both, others on SQLite",
    )
    config.addinivalue_line(
        "markers", f"needs(*means): skipped, by name and with the reason, where one of {', '.join(MEANS)} is missing"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The same tests on every database."""
    if "database" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("databases")
    if mark is None and _ARCHIVE not in metafunc.definition.path.parents:
        return
    kinds = [kind for kind in (mark.args if mark else DATABASES) if kind in _WANTED]
    needing = [pytest.param(kind, marks=pytest.mark.needs(kind)) if kind in MEANS else kind for kind in kinds]
    metafunc.parametrize("database", needing, indirect=True, scope="session")


def pytest_runtest_setup(item: pytest.Item) -> None:
    wanted = [name for mark in item.iter_markers("needs") for name in mark.args]
    wanted += [need for fixture, need in _FIXTURES_NEED.items() if fixture in getattr(item, "fixturenames", ())]
    for name in dict.fromkeys(wanted):
        reason = MEANS[name].missing()
        if reason is None:
            continue
        if MEANS[name].must_be_had and os.geteuid() == 0 and shutil.which("apt-get"):
            pytest.fail(f"{reason}; it can be had here, so the test may not be skipped", pytrace=False)
        pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section(f"not run: {len(skipped)}", sep="-")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")


@pytest.fixture(autouse=True)
def _no_installation_of_the_tester(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own POSTROOM_DATA must be out of every test's reach."""
    for name in [name for name in os.environ if name.startswith("POSTROOM_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> PostgreSQL | None:
    """The server on which a test makes its databases; None: SQLite, in files."""
    kind = getattr(request, "param", "sqlite")
    return request.getfixturevalue("shared_postgresql") if kind == "postgresql" else None


@pytest.fixture(scope="session")
def shared_postgresql() -> Iterator[PostgreSQL]:
    """One server for each pytest worker."""
    with PostgreSQL() as server:
        yield server


@dataclass(frozen=True)
class Account(imap.Account):
    """A fresh user of the Dovecot that the tests of one worker share."""

    server: Dovecot


@pytest.fixture(scope="session")
def shared_dovecot() -> Iterator[Dovecot]:
    """One ordinary server (Maildir, separator ".", TLS) for each pytest worker; take `dovecot` for a user on it."""
    with Dovecot() as server:
        yield server


_numbers = count(1)


@pytest.fixture
def dovecot(request: pytest.FixtureRequest) -> Callable[..., Account]:
    """Makes fresh users on the shared server: `anna = dovecot("anna")`."""
    server: Dovecot = request.getfixturevalue("shared_dovecot")

    def fresh(name: str = "anna", password: str = PASSWORD) -> Account:
        user = server.add_user(f"{name}{next(_numbers)}@demo.example", password)
        return Account(server, user, password)

    return fresh


IMAP_SERVERS: dict[str, Callable[[], Dovecot | Cyrus | Courier]] = {
    "dovecot": Dovecot,
    "cyrus": Cyrus,
    "cyrus beside": lambda: Cyrus(separator=".", beside=True),  # folders beside INBOX, not below it
    "courier": Courier,
}


@pytest.fixture(scope="session")
def shared_imap_servers() -> Iterator[Callable[[str], ImapServer]]:
    """One server of each kind for each pytest worker, started when it is first asked for."""
    running: dict[str, ImapServer] = {}
    with ExitStack() as stack:

        def get(kind: str) -> ImapServer:
            if kind not in running:
                running[kind] = stack.enter_context(IMAP_SERVERS[kind]())
            return running[kind]

        yield get


def on_servers(*kinds: str) -> list[Any]:
    """Parameters for `any_server`, each skipped by name where its server cannot be had."""
    return [pytest.param(kind, marks=pytest.mark.needs(kind.split()[0])) for kind in kinds]


@pytest.fixture(params=on_servers("dovecot", "cyrus", "courier"))
def any_server(
    request: pytest.FixtureRequest, shared_imap_servers: Callable[[str], ImapServer]
) -> Callable[..., imap.Account]:
    """The test runs on every real server there is; makes fresh users on it: `anna = any_server("anna")`."""
    server = shared_imap_servers(request.param)

    def fresh(name: str = "anna", password: str = PASSWORD) -> imap.Account:
        return imap.Account(server, server.add_user(f"{name}{next(_numbers)}", password), password)

    return fresh


@pytest.fixture
def make_dovecot() -> Iterator[Callable[..., Dovecot]]:
    """Starts servers of other kinds, with `Dovecot`'s arguments; they are stopped when the test is over."""
    started: list[Dovecot] = []

    def start(**kind: Any) -> Dovecot:
        server = Dovecot(**kind)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def shared_buckets() -> Iterator[BucketServer]:
    """One S3 server with a bucket `mail` for each pytest worker; take `buckets`, which brings its credentials along."""
    with Moto() if ceph_server.missing() else Ceph() as server:
        server.make_bucket("mail")
        yield server


@pytest.fixture
def buckets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> BucketServer:
    """The shared S3 server, Ceph's or else moto's; its credentials stand in the environment."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    server: BucketServer = request.getfixturevalue("shared_buckets")
    return server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues good, expired and misnamed certificates; trust it with `SSL_CERT_FILE=authority.file`."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """An IMAP server that lies, stalls and cuts when told to, with the user `anna`."""
    with Scripted() as server:
        yield server


@pytest.fixture
def smtp() -> Iterator[Smtp]:
    """An SMTP server on a socket that keeps what it is given."""
    with Smtp() as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium under Playwright: a `Browser`; open a context of your own for each test."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        # As root Chromium refuses to start with its sandbox.
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield browser
        browser.close()
