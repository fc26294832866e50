"""The mutator's mails mean what their originals mean, to our reader and to Python's own."""

import base64
import email
import email.header
import hashlib
import json
import random
import subprocess
import sys
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from archive.mail import inspection
from tests.mails import difficult
from tests.mails.mutator import mutate, parse

ORIGINALS = {
    name: mail.raw
    for group in (difficult.SUBJECTS, difficult.PEOPLE, difficult.SHAPES, difficult.ATTACHMENTS)
    for name, mail in group.items()
}
WELL_FORMED = [
    ORIGINALS[name]
    for name in (
        "two words on two lines",
        "one boundary the beginning of the other",
        "text that is attached",
        "a part without any name",
        "an attached mail, itself and opened",
    )
]


def _ours(raw: bytes) -> dict[str, Any]:
    read = inspection.describe(raw)
    keys = ("path", "name", "content_type", "charset", "attachment", "sha256")
    read["parts"] = [{key: part[key] for key in keys} for part in read["parts"]]
    return read


def _pythons(raw: bytes) -> list[tuple[str, str | None, str]]:
    message = email.message_from_bytes(raw)
    found = []
    for part in message.walk():
        if not part.is_multipart():
            content = part.get_payload(decode=True)
            digest = hashlib.sha256(content if isinstance(content, bytes) else b"").hexdigest()
            found.append((part.get_content_type(), part.get_filename(), digest))
    return [*found, ("subject", _subject(message), "")]


def _subject(message: Message) -> str:
    decoded = email.header.make_header(email.header.decode_header(str(message["Subject"] or "")))
    return " ".join(str(decoded).split())


def test_parts_are_put_together_again_as_they_were() -> None:
    for raw in ORIGINALS.values():
        assert bytes(parse(raw)) == raw


def test_the_same_seed_makes_the_same_mutant_and_another_another() -> None:
    raw = WELL_FORMED[1]
    assert mutate(raw, 5) == mutate(raw, 5)
    assert len({mutate(raw, seed) for seed in range(20)}) > 15


@pytest.mark.parametrize("raw", WELL_FORMED)
def test_a_mutant_means_the_same_to_pythons_own_reader(raw: bytes) -> None:
    wanted = _pythons(raw)
    assert all(_pythons(mutate(raw, seed)) == wanted for seed in range(60))


@pytest.mark.parametrize("name", ORIGINALS)
def test_a_mutant_means_the_same_to_ours(name: str) -> None:
    raw = ORIGINALS[name]
    wanted = _ours(raw)
    for seed in range(12):
        assert _ours(mutate(raw, seed)) == wanted, mutate(raw, seed)


def test_boundaries_folds_and_encodings_do_change() -> None:
    raw = WELL_FORMED[2]
    mutants = [mutate(raw, seed) for seed in range(60)]
    assert sum(b'boundary="sep"' not in mutant for mutant in mutants) > 20
    assert any(b"quoted-printable" in mutant.lower() for mutant in mutants)
    assert any(b"Date: Mon,\n" in mutant or b"date: Mon,\n" in mutant for mutant in mutants)


def test_random_binary_survives_every_transfer_encoding() -> None:
    data = random.Random(1).randbytes(3000) + b" \n--sep\nFrom x\n.\n \t\r\n="
    head = b"Subject: x\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n"
    raw = head + base64.encodebytes(data)
    digest = hashlib.sha256(data).hexdigest()
    for seed in range(40):
        assert inspection.describe(mutate(raw, seed))["parts"][0]["sha256"] == digest


def test_the_command_keeps_what_is_expected_under_the_mutants_names(tmp_path: Path) -> None:
    source = tmp_path / "mails"
    source.mkdir()
    (source / "one.eml").write_bytes(WELL_FORMED[0])
    (source / "two.eml").write_bytes(WELL_FORMED[1])
    (source / "unnamed.eml").write_bytes(WELL_FORMED[2])
    rows = [{"file": f"mails/{name}.eml", "corpus": "own", "expect": {"subject": name}} for name in ("one", "two")]
    (tmp_path / "expected.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "tests.mails.mutator", str(source), str(tmp_path / "out"), "--count", "5"]
    root = Path(__file__).parents[2]
    subprocess.run(
        [*command, "--expected", str(tmp_path / "expected.jsonl")], check=True, cwd=root, capture_output=True
    )
    kept = [json.loads(line) for line in (tmp_path / "out" / "expected.jsonl").read_text().splitlines()]
    mapping = [json.loads(line) for line in (tmp_path / "out" / "mapping.jsonl").read_text().splitlines()]
    assert [row["expect"]["subject"] for row in kept] == ["one", "two", "one", "two", "one"]
    assert [row["source"] for row in mapping] == ["one.eml", "two.eml", "one.eml", "two.eml", "one.eml"]
    assert all((tmp_path / "out" / row["file"]).exists() for row in kept)
