"""Who may import whom: the sentences that keep the house a house, read from the source by ast."""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("archive", "config", "gateway", "web")
WINGS = ("events", "mail", "outgoing", "people", "post", "search", "store", "work")

# What a package may not import, with the reason that a failing test gives.
FORBIDDEN = {
    "archive": {
        "gateway": "the archive is what is true, whoever fetches it",
        "web": "the archive is what is true, whoever looks at it",
        "config": "the archive is handed plain values",
        "postroom": "only the front door stands above all",
        "imapclient": "IMAP belongs to the gateway",
        "imaplib": "IMAP belongs to the gateway",
        "smtplib": "SMTP belongs to the gateway",
        "aiosmtpd": "SMTP belongs to the gateway",
        "flask": "pages belong to the web",
        "apscheduler": "the archive has no clock",
    },
    "gateway": {"web": "they meet in the database", "postroom": "only the front door stands above all"},
    "web": {"gateway": "they meet in the database", "postroom": "only the front door stands above all"},
    "config": {
        "archive": "what the operator decided knows nothing of what is done with it",
        "gateway": "what the operator decided knows nothing of what is done with it",
        "web": "what the operator decided knows nothing of what is done with it",
        "postroom": "only the front door stands above all",
    },
}
# Everybody else is handed plain values.
MAY_READ_CONFIG = {"postroom", "gateway.app", "web.app", "archive.app"}
# The lowest wings of the archive stand on no other; what arrives and what is ordered stand above all wings.
LOWEST_WINGS = ("mail", "store")
ABOVE_THE_WINGS = ("archive.intake", "archive.commands")


def offences(sources: Mapping[str, str]) -> list[str]:
    """Every import that should not be, as a sentence; `sources` maps module names to their text."""
    found = []
    imports = {module: sorted(imported_by(module, text, sources)) for module, text in sources.items()}
    for module, targets in imports.items():
        package = module.split(".")[0]
        for target in targets:
            reason = FORBIDDEN.get(package, {}).get(target.split(".")[0])
            if reason:
                found.append(f"{module} imports {target}: {reason}")
            if target.split(".")[0] == "config" and package != "config" and module not in MAY_READ_CONFIG:
                found.append(f"{module} imports {target}: only the front door and each app.py read the configuration")
            wing, other = wing_of(module), wing_of(target)
            if wing in LOWEST_WINGS and other is not None and other != wing:
                found.append(f"{module} imports {target}: archive/{wing} stands on no other wing")
            if wing is not None and target.startswith(ABOVE_THE_WINGS):
                found.append(f"{module} imports {target}: it stands above the wings")
    found += [f"{' imports '.join(circle)}: imports point downwards only" for circle in circles(imports)]
    return found


def imported_by(module: str, text: str, known: Iterable[str]) -> set[str]:
    """The modules a module imports, wherever in it, as full names; `from a import b` means a.b where that is one."""
    known = set(known)
    is_package = any(other.startswith(f"{module}.") for other in known)
    package = module if is_package else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - (node.level - 1)]
                start = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{start}.{alias.name}"
                found.add(full if full in known else start)
    return found - {module}


def wing_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "archive" and len(parts) > 1 and parts[1] in WINGS else None


def circles(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Circles of modules that import each other, each once, from its first module round to it again."""
    state: dict[str, str] = {}
    found: list[list[str]] = []

    def visit(module: str, path: list[str]) -> None:
        state[module] = "open"
        for target in imports.get(module, ()):
            if target not in imports:
                continue
            if state.get(target) == "open":
                found.append([*path[path.index(target) :], target] if target in path else [target, target])
            elif target not in state:
                visit(target, [*path, target])
        state[module] = "done"

    for module in sorted(imports):
        if module not in state:
            visit(module, [module])
    return found


def sources_of_the_house() -> dict[str, str]:
    files = [ROOT / "postroom.py", *(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))]
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file.read_text()
        for file in files
        if file.exists()
    }


def test_nobody_imports_what_he_may_not() -> None:
    sources = sources_of_the_house()
    assert {module.split(".")[0] for module in sources} >= set(PACKAGES)
    assert offences(sources) == []


@pytest.mark.parametrize(
    ("module", "text", "offence"),
    [
        ("archive.intake", "import smtplib", "archive.intake imports smtplib"),
        ("archive.post.routing", "def route():\n    from gateway import poller", "imports gateway"),
        ("archive.store.archive", "from flask.globals import g", "archive.store.archive imports flask"),
        ("archive.store.keys", "from config.settings import Settings", "the archive is handed plain values"),
        ("gateway.poller", "import web.app", "gateway.poller imports web.app"),
        ("gateway.poller", "from config import settings", "only the front door"),
        ("web.search", "from gateway.mailbox import open_mailbox", "they meet in the database"),
        ("config.settings", "from archive.store import keys", "config.settings imports archive.store.keys"),
        ("archive.mail.reader", "from ..post import receipts", "archive/mail stands on no other wing"),
        ("archive.store.packs", "from archive.events import log", "archive/store stands on no other wing"),
        ("archive.post.messages", "from .. import intake", "it stands above the wings"),
        ("archive.post.messages", "from . import receipts", "imports point downwards only"),
    ],
)
def test_each_sentence_is_kept_by_the_check(module: str, text: str, offence: str) -> None:
    house = {
        "archive.intake": "from .post import receipts",
        "archive.store.keys": "",
        "archive.events.log": "",
        "archive.post.receipts": "from archive.post import messages",
        "archive.post.messages": "from ..store import keys",
        "gateway.poller": "from archive import intake",
        "gateway.app": "from config import settings",
        "web.search": "from archive.post import messages",
        "config.settings": "import tomllib",
    }
    assert offences(house) == []
    (found,) = [each for each in offences({**house, module: text}) if offence in each]
    assert module in found


# What gives away which database it is; and who may know.
KNOWS_THE_DATABASE = (
    "dialect.name",
    "sqlalchemy.dialects",
    "psycopg",
    "exec_driver_sql",
    "driver_connection",
    "PRAGMA ",
)
MAY_KNOW = {
    "archive.store.dialects": "the one place for all that differs",
    "archive.search.backends": "which index belongs to which database",
    "archive.search.fts5": "an index in SQLite",
    "archive.search.merging": "an index in SQLite",
    "archive.search.postgres": "an index in PostgreSQL",
    "archive.backup": "files that are SQLite's whatever the archive is in",
    "archive.events.replay": "a scratch file, whatever the archive is in",
}


def knowing(sources: Mapping[str, str]) -> list[str]:
    return sorted(
        f"{module}: {word}"
        for module, text in sources.items()
        if module.startswith("archive.") and ".migrations." not in module and module not in MAY_KNOW
        for word in KNOWS_THE_DATABASE
        if word in text
    )


def test_nobody_else_in_the_archive_knows_which_database_it_is_in() -> None:
    assert knowing(sources_of_the_house()) == []
    assert set(MAY_KNOW) <= set(sources_of_the_house())
    assert knowing({"archive.post.messages": "if session.dialect.name == 'sqlite':"}) == [
        "archive.post.messages: dialect.name"
    ]
