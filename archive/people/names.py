"""What scopes are called, for people."""

from collections.abc import Iterable

from sqlalchemy import select

from ..store.archive import Session
from ..store.schema import case, process, user


def of_scopes(session: Session, scopes: Iterable[str]) -> dict[str, str]:
    """The names of people, processes and cases, by scope; absent where there is none, as of a restriction."""
    ids: dict[str, list[int]] = {}
    for scope in set(scopes):
        kind, _, number = scope.partition(":")
        if number.isdecimal():
            ids.setdefault(kind, []).append(int(number))
    found: dict[str, str] = {}
    for kind, column, table in (("user", user.c.name, user), ("process", process.c.name, process)):
        if kind not in ids:
            continue
        rows = session.execute(select(table.c.id, column).where(table.c.id.in_(ids[kind])))
        found |= {f"{kind}:{row.id}": row.name for row in rows}
    if "case" in ids:
        query = select(case.c.id, case.c.reference, case.c.title).where(case.c.id.in_(ids["case"]))
        found |= {f"case:{row.id}": f"{row.reference} {row.title}".strip() for row in session.execute(query)}
    return found
