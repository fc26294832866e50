"""Templates: texts of a process that people begin with, or that go out by themselves; one text for each language."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import delete, insert, select, update

from ..events import log, proof
from ..mail import tongues
from ..people.scopes import process_scope
from ..store.archive import Session
from ..store.schema import template, template_text
from . import placeholders
from .composing import clean

LONGEST_NAME = 80  # characters
LONGEST_SUBJECT = 200
LONGEST_TEXT = 20_000


class TemplateTrouble(ValueError):
    """What was asked of a template cannot be; a sentence, for the catalogues with its values."""

    def __init__(self, says: str, **values: object) -> None:
        self.says = says
        self.values = {name: str(value) for name, value in values.items()}
        super().__init__(says % self.values if self.values else says)


def _say(text: str) -> str:
    """Marks a sentence for the catalogues."""
    return text


_NO_NAME = _say("A template needs a name of at most %(most)s characters.")
_SAME_NAME = _say("There is another template of that name.")
_NO_TEXT = _say("Write a text in at least one language.")
_TOO_LONG = _say("A text of at most %(most)s characters, please.")
_NO_LANGUAGE = _say("“%(what)s” is no language texts can be written in.")
_UNKNOWN = _say("“%(what)s” is no placeholder. There are: %(names)s.")


@dataclass(frozen=True, slots=True)
class Text:
    """A text in one language, and the subject of a mail that goes out by itself ("": it is not for that)."""

    text: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """A template with its texts, by language."""

    id: int
    process: int
    name: str
    texts: Mapping[str, Text]
    removed: bool = False

    @property
    def scope(self) -> str:
        """Whose it is."""
        return process_scope(self.process)

    @property
    def goes_by_itself(self) -> bool:
        """Whether all its texts can go out by themselves: with a subject, and nothing in them the sender wrote."""
        return bool(self.texts) and all(
            one.subject and not (placeholders.named(one.text) | placeholders.named(one.subject)) & placeholders.THEIRS
            for one in self.texts.values()
        )

    def language(self, wanted: Iterable[str | None]) -> str:
        """The first of the wanted languages there is a text in, else any there is."""
        return next((one for one in wanted if one is not None and one in self.texts), next(iter(self.texts), ""))


def every(session: Session, processes: Collection[int] | None = None) -> list[Template]:
    """All templates of these processes (None: of all), by name."""
    query = select(template).where(template.c.removed_at.is_(None)).order_by(template.c.name, template.c.id)
    if processes is not None:
        query = query.where(template.c.process.in_(sorted(processes)))
    rows = session.execute(query).all()
    texts = _texts(session, [row.id for row in rows])
    return [Template(row.id, row.process, row.name, texts.get(row.id, {})) for row in rows]


def get(session: Session, id_: int) -> Template | None:
    """The template of this id, removed or not."""
    row = session.execute(select(template).where(template.c.id == id_)).first()
    if row is None:
        return None
    texts = _texts(session, [id_]).get(id_, {})
    return Template(row.id, row.process, row.name, texts, row.removed_at is not None)


def _texts(session: Session, ids: Sequence[int]) -> dict[int, dict[str, Text]]:
    found: dict[int, dict[str, Text]] = {}
    query = select(template_text).where(template_text.c.template.in_(ids))
    for row in session.execute(query.order_by(template_text.c.language)):
        found.setdefault(row.template, {})[row.language] = Text(row.text, row.subject or "")
    return found


def put(
    session: Session, id_: int | None, process: int, name: str, texts: Mapping[str, Text], actor: str, now: int
) -> int:
    """A new template (`id_` None), or another content of one; its id. Rights are the caller's.

    TemplateTrouble where it will not do; LookupError where there is no such template in that process.
    """
    name, texts = clean(name), {code: one for code, one in texts.items() if one.text.strip() or one.subject.strip()}
    _check(session, id_, process, name, texts)
    if id_ is None:
        row = {"process": process, "name": name, "created_at": now}
        id_ = cast(int, session.scalar(insert(template).values(**row).returning(template.c.id)))
        kind, before = "template.added", {}
    else:
        here = (template.c.id == id_) & (template.c.process == process) & template.c.removed_at.is_(None)
        if not session.execute(update(template).where(here).values(name=name)).rowcount:
            raise LookupError(f"template {id_}")
        kind, before = "template.changed", _texts(session, [id_]).get(id_, {})
        session.execute(delete(template_text).where(template_text.c.template == id_))
    rows = [
        {"template": id_, "language": code, "subject": clean(one.subject) or None, "text": one.text}
        for code, one in texts.items()
    ]
    session.execute(insert(template_text), rows)
    made = proof.joined(
        {"template_text": {f"{id_}/{code}": None for code in before}},
        proof.of_ids(session, "template", [id_]),
        proof.stored(session, "template_text", template_text.c.template == id_),
    )
    details = {"name": name, "texts": {code: [one.subject, one.text] for code, one in texts.items()}}
    log.write(session, [log.Event(kind, actor, f"template:{id_}", details, made)], now)
    return id_


def _check(session: Session, id_: int | None, process: int, name: str, texts: Mapping[str, Text]) -> None:
    if not name or len(name) > LONGEST_NAME:
        raise TemplateTrouble(_NO_NAME, most=LONGEST_NAME)
    if any(one.name.lower() == name.lower() and one.id != id_ for one in every(session, [process])):
        raise TemplateTrouble(_SAME_NAME)
    if not texts or not all(one.text.strip() for one in texts.values()):
        raise TemplateTrouble(_NO_TEXT)
    for code, one in texts.items():
        if code not in tongues.KNOWN:
            raise TemplateTrouble(_NO_LANGUAGE, what=code[:20])
        if len(one.text) > LONGEST_TEXT or len(one.subject) > LONGEST_SUBJECT:
            raise TemplateTrouble(_TOO_LONG, most=LONGEST_TEXT)
        for wrong in (*placeholders.unknown(one.text), *placeholders.unknown(one.subject)):
            names = ", ".join(f"{{{{{each}}}}}" for each in placeholders.NAMES)
            raise TemplateTrouble(_UNKNOWN, what=wrong, names=names)


def remove(session: Session, id_: int, actor: str, now: int) -> bool:
    """It is offered no more, and sent no more by itself; False where it is not there. Rights are the caller's."""
    return _switch(session, id_, now, "template.removed", actor, now)


def put_back(session: Session, id_: int, actor: str, now: int) -> bool:
    """A removed template again; False where it was not removed, or another has its name by now."""
    one = get(session, id_)
    if one is None or any(each.name.lower() == one.name.lower() for each in every(session, [one.process])):
        return False
    return _switch(session, id_, None, "template.put_back", actor, now)


def _switch(session: Session, id_: int, removed_at: int | None, kind: str, actor: str, now: int) -> bool:
    there = template.c.removed_at.is_(None) if removed_at else template.c.removed_at.is_not(None)
    done = session.execute(update(template).where(template.c.id == id_, there).values(removed_at=removed_at))
    if done.rowcount:
        rows = proof.of_ids(session, "template", [id_])
        log.write(session, [log.Event(kind, actor, f"template:{id_}", rows=rows)], now)
    return bool(done.rowcount)
