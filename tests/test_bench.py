"""The benchmark's mail is what its document says, and its checks see what is wrong."""

import collections
import email
import itertools
import json
import statistics
import sys
from pathlib import Path

import pytest

from bench import checks, mail, measure

LETTER = (
    b"Subject: Quarterly figures\r\nMessage-ID: <1@demo.example>\r\n\r\nDear colleagues, the zebrafish are paid.\r\n"
)


def test_the_same_seed_makes_the_same_mail() -> None:
    first = list(itertools.islice(mail.Office(7).mails(), 60))
    assert first == list(itertools.islice(mail.Office(7).mails(), 60))
    assert first != list(itertools.islice(mail.Office(8).mails(), 60))


def test_the_made_up_mail_resembles_an_offices() -> None:
    raws = list(itertools.islice(mail.Office(3).mails(), 1500))
    sizes = [len(raw) for raw in raws]
    assert 5_000 < statistics.median(sizes) < 10_000
    assert 45_000 < statistics.mean(sizes) < 110_000
    mails = [email.message_from_bytes(raw) for raw in raws]
    kinds = [{part.get_content_type() for part in each.walk()} for each in mails]
    assert 0.25 < statistics.mean("text/html" in kind for kind in kinds) < 0.35
    assert 0.20 < statistics.mean("multipart/mixed" in kind for kind in kinds) < 0.30
    assert 0.45 < statistics.mean("In-Reply-To" in each for each in mails) < 0.65
    copies = collections.Counter(str(each["Message-ID"]) for each in mails if each["Message-ID"])
    assert 0.03 < sum(number - 1 for number in copies.values()) / len(mails) < 0.09
    assert not any(each.defects or part.defects for each in mails for part in each.walk())


def test_every_made_up_mail_has_a_word_to_ask_for() -> None:
    raws = [raw.replace(b"\n", b"\r\n") for raw in itertools.islice(mail.Office(3).mails(), 300)]
    asked, unread = checks.questions(raws)
    assert unread == 0
    assert set().union(*(question.mails for question in asked)) == {checks.sha256(raw) for raw in raws}
    assert all(question.word.isalpha() for question in asked)


def test_what_search_does_not_find_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").touch()
    (tmp_path / "bench" / "asking.py").write_text(
        "import sys, json\nfor line in sys.stdin: print(json.dumps({'question': line.rstrip(), 'found': ['1']}))\n"
    )
    monkeypatch.chdir(tmp_path)
    asked = [checks.Question("zebrafish", frozenset({"aa", "bb", "cc"}))]
    told = checks.ask({}, asked, {"aa": "1", "bb": "2", "cc": None})
    assert told == ["the mail with SHA-256 bb is not found by 'zebrafish'"]


def test_an_export_that_differs_from_what_was_served_is_told(tmp_path: Path) -> None:
    def export(*entries: tuple[bytes, str | None]) -> list[str]:
        lines = []
        for number, (raw, told) in enumerate(entries):
            (tmp_path / f"{number}.eml").write_bytes(raw)
            lines.append(json.dumps({"file": f"{number}.eml", "sha256": told or checks.sha256(raw), "message": "5"}))
        (tmp_path / "index.jsonl").write_text("\n".join(lines))
        return checks.exported(tmp_path, collections.Counter([checks.sha256(LETTER)] * 2))[1]

    assert export((LETTER, None), (LETTER, None)) == []
    assert any("not exported" in each for each in export((LETTER, None)))
    assert any("never served" in each for each in export((LETTER, None), (LETTER, None), (LETTER + b" ", None)))
    assert any("not what index.jsonl says" in each for each in export((LETTER, None), (LETTER + b" ", "00")))


def test_what_a_command_costs_includes_what_it_started() -> None:
    child = "import time; block = bytearray(60_000_000)\nwhile time.process_time() < 0.5: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('over')"
    cost = measure.run([sys.executable, "-c", parent])
    assert cost.output == "over\n"
    assert 0.5 <= cost.cpu < cost.seconds + 0.5
    assert cost.peak > 60_000_000
    with pytest.raises(measure.FailedError, match="no such luck"):
        measure.run([sys.executable, "-c", "raise SystemExit('no such luck')"])
