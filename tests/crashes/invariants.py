"""What must hold after any crash: the invariants of the design, looked at from outside.

`at_once` is asked right after a kill, before anything is mended; `at_rest` when later passes have done their work.
"""

import hashlib
import json
from collections import Counter

from archive.mail import identity
from archive.people.scopes import MACHINE, Viewer
from archive.post import messages
from archive.search import hits, query

from ..command_line import call
from .scene import PROOF, WORD, Scene

# Each finds what belongs to nothing, or is there twice.
_NONE_OF = {
    "messages without a receipt": "SELECT id FROM message WHERE id NOT IN (SELECT message FROM receipt)",
    "messages without a scope": "SELECT id FROM message WHERE id NOT IN (SELECT message FROM message_scope)",
    "messages without a delivery": "SELECT id FROM message WHERE id NOT IN (SELECT message FROM delivery)",
    "messages without a ticket": "SELECT m.id FROM message m JOIN delivery d ON d.message = m.id WHERE NOT EXISTS "
    "(SELECT 1 FROM ticket t WHERE t.conversation = m.conversation AND t.scope = d.scope)",
    "receipts without a delivery": "SELECT r.id FROM receipt r WHERE NOT EXISTS "
    "(SELECT 1 FROM delivery d WHERE d.message = r.message AND d.scope = r.scope)",
    "deliveries of another scope than their receipt's": "SELECT d.message FROM delivery d JOIN receipt r "
    "ON r.id = d.receipt WHERE r.message <> d.message OR r.scope <> d.scope",
    "tickets that count wrongly": "SELECT t.id FROM ticket t WHERE t.messages <> (SELECT count(*) FROM delivery d "
    "JOIN message m ON m.id = d.message WHERE m.conversation = t.conversation AND d.scope = t.scope)",
    "Message-IDs of conversations that are none": "SELECT reference FROM thread WHERE conversation NOT IN "
    "(SELECT conversation FROM message)",
    "blobs nobody refers to": "SELECT id FROM blob WHERE id NOT IN (SELECT blob FROM message UNION "
    "SELECT trace FROM receipt UNION SELECT blob FROM leaf UNION SELECT blob FROM quarantine)",
    "leaves of messages that are none": "SELECT message FROM leaf WHERE message NOT IN (SELECT id FROM message)",
    "leaves kept twice": "SELECT hash FROM blob WHERE hash IS NOT NULL GROUP BY 1 HAVING count(*) > 1",
    "blobs of packs that are none": "SELECT id FROM blob WHERE id >> 32 NOT IN (SELECT id FROM pack)",
    "copies received twice": "SELECT binding, uidvalidity, uid FROM receipt GROUP BY 1, 2, 3 HAVING count(*) > 1",
    "contents kept twice": "SELECT content_key FROM message GROUP BY 1 HAVING count(*) > 1",
    "messages not announced once": "SELECT m.id FROM message m WHERE (SELECT count(*) FROM event e WHERE "
    "e.kind = 'message.archived' AND e.subject = 'message:' || m.id) <> 1",
    "copies not announced once": "SELECT m.id FROM message m WHERE (SELECT count(*) FROM event e WHERE "
    "e.kind IN ('message.archived', 'copy.received') AND e.subject = 'message:' || m.id) "
    "<> (SELECT count(*) FROM receipt r WHERE r.message = m.id)",
    "events without details": "SELECT id FROM event WHERE id NOT IN (SELECT event FROM event_detail)",
    "mail in quarantine": "SELECT id FROM quarantine",
    "mail left alone": "SELECT uid FROM left_alone",
}


def at_once(scene: Scene) -> None:
    """No original is out of both folders, and whatever has a receipt has its bytes."""
    on_server(scene)
    databases_sound(scene)
    everything_receipted_has_its_bytes(scene)
    index_sound(scene)
    scene.home.close()


def at_rest(scene: Scene, *, moving: str = "move") -> None:
    """Everything is archived once, moved, settled, found and whole, and nothing is left behind."""
    folders_at_rest(scene, moving)
    databases_sound(scene)
    for what, statement in _NONE_OF.items():
        found = scene.home.rows(statement)
        assert found == [], (what, found[:5])
    every_copy_is_receipted_once(scene, "left" if moving == "copy" else "moved")
    one_message_for_each_content(scene)
    everything_receipted_has_its_bytes(scene)
    index_sound(scene)
    everything_is_found(scene)
    scene.home.close()


def verified(scene: Scene) -> None:
    """`postroom verify` finds nothing, neither in rows nor in bytes."""
    done = call(scene.environment, "verify")
    assert done.returncode == 0, (done.stdout, done.stderr)


def on_server(scene: Scene) -> None:
    """Invariant 4. The watched folder is read first: what is moved in between is seen twice, never missed."""
    watched = Counter(one.raw for one in scene.watched())
    processed = Counter(one.raw for one in scene.processed())
    missing = scene.originals - (watched + processed)
    assert not missing, f"{missing.total()} originals are in neither folder"
    strange = (watched | processed) - scene.originals
    assert not strange, f"{strange.total()} mails were never there"


def folders_at_rest(scene: Scene, moving: str) -> None:
    watched, processed = scene.watched(), scene.processed()
    assert Counter(one.raw for one in processed) == scene.originals
    if moving == "copy":
        assert Counter(one.raw for one in watched) == scene.originals
        assert all("$Postroom" in one.flags for one in watched)
    else:
        assert watched == []
    for one in processed:  # what people see of their mail is as it was
        assert (one.flags & {r"\Seen", r"\Flagged"}) in (set(), {r"\Seen", r"\Flagged"})
        assert r"\Deleted" not in one.flags
    assert sum(r"\Seen" in one.flags for one in processed) == (scene.originals.total() + 2) // 4


def databases_sound(scene: Scene) -> None:
    scene.home.check_database()


def everything_receipted_has_its_bytes(scene: Scene) -> None:
    """Invariant 3: read as any reader does, and hashed again here."""
    home = scene.home
    with home.archive.reading() as session:
        for copy in messages.every_copy(session, MACHINE, limit=10_000):
            raw = b"".join(messages.raw(home.archive, session, copy))
            assert hashlib.sha256(raw).digest() == copy.sha256
            assert raw in scene.originals


def every_copy_is_receipted_once(scene: Scene, how: str) -> None:
    hashes = Counter(hashlib.sha256(raw).digest() for raw in scene.originals.elements())
    assert Counter(row[0] for row in scene.home.rows("SELECT sha256 FROM receipt")) == hashes
    assert Counter(scene.home.rows("SELECT settlement FROM receipt WHERE settled_at > 0")) == {
        (how,): scene.originals.total()
    }


def one_message_for_each_content(scene: Scene) -> None:
    contents = {bytes(identity.split(raw)[0]) for raw in scene.originals}
    assert scene.home.count("message") == len(contents)
    # Nothing of ours: every key opens a blob that is referred to, and every blob has its key.
    blobs = {row[0] for row in scene.home.rows("SELECT id FROM blob")}
    keys = {row[0] for row in scene.home.rows("SELECT blob FROM blob_key", database="keys")}
    assert blobs <= keys, "blobs without a key"


def no_key_is_left_over(scene: Scene) -> None:
    """When every pack has been opened again: what a crash left in the key store is destroyed."""
    blobs = {row[0] for row in scene.home.rows("SELECT id FROM blob")}
    keys = {row[0] for row in scene.home.rows("SELECT blob FROM blob_key", database="keys")}
    assert keys == blobs, f"{len(keys - blobs)} keys belong to nothing"


def index_sound(scene: Scene) -> None:
    scene.home.check_index()
    assert scene.home.count("search" if scene.home.url else "search_row") == scene.home.count("message")


def everything_is_found(scene: Scene) -> None:
    """Messages by words of their own, by Anna, and nothing by Bernd; all of them where time does not matter."""
    home = scene.home
    by_content: dict[bytes, bytes] = {bytes(identity.split(raw)[0]): raw for raw in scene.originals}
    anna, bernd = home.viewer("anna"), home.viewer("bernd")
    searched, some = 0, list(by_content)[:: 1 if PROOF else 4]
    for content in some:
        at = content.find(WORD.encode())
        if at < 0:
            continue
        word = content[at:].split(maxsplit=1)[0].decode()
        assert _contents(scene, word, anna) == [content]
        assert _contents(scene, word, bernd) == []
        searched += 1
    assert searched >= 0.5 * len(some)
    assert json.loads(home.rows("SELECT recipients FROM message LIMIT 1")[0][0])


def _contents(scene: Scene, word: str, viewer: Viewer) -> list[bytes]:
    archive = scene.home.archive
    with archive.reading() as session:
        ids = hits.find(session, query.parse(word), viewer)
        return [b"".join(messages.content(archive, session, id_)) for id_ in ids]
