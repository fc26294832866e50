"""What following words replace in the index goes from the disk, and nothing is written when there is nothing to do."""

import pytest

from archive import reindexing
from archive.search import merging

from ..home import Home, numbered

pytestmark = pytest.mark.databases("sqlite")  # PostgreSQL cleans up by itself


def parts(home: Home) -> int:
    return int(home.rows("SELECT count(DISTINCT segid) FROM search_idx")[0][0])


def test_when_the_words_have_followed_the_index_is_in_few_parts_and_everything_is_found(home: Home) -> None:
    for start in range(0, 120, 10):
        home.take("Helpdesk", *numbered(range(start, start + 10), "invoices " * 30 + f"only{start}"))
    while reindexing.pass_(home.archive, 25).indexed:
        pass
    assert parts(home) < 4
    assert len(home.find("anna", "invoice")) == 120
    assert home.find("anna", "only110", limit=3) == ["mail 119", "mail 118", "mail 117"]
    before = home.rows("SELECT * FROM search_data")
    assert not reindexing.pass_(home.archive, 25).indexed
    assert home.rows("SELECT * FROM search_data") == before


def test_what_merging_frees_is_given_back(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_KEPT_FREE", 4)
    for start in range(0, 200, 20):
        text = " ".join(f"w{start}x{number}" for number in range(600))
        home.take("Helpdesk", *numbered(range(start, start + 20), text))
    while reindexing.pass_(home.archive, 30).indexed:
        pass
    assert home.rows("PRAGMA freelist_count")[0][0] <= 4
    assert len(home.find("anna", "w100x5")) == 20
    before = home.rows("PRAGMA page_count")
    reindexing.pass_(home.archive, 30)
    assert home.rows("PRAGMA page_count") == before
