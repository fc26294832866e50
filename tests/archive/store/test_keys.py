"""The installation's key, and the key store: what is lost without them, and what cannot be got at."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from archive.store.keys import KEY_BYTES, InstallationKey, KeyTrouble

from ...world import mail
from ..home import Home

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
secrets = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)


class TestTheRecoveryKey:
    @given(secrets)
    def test_it_gives_the_key_back(self, secret: bytes) -> None:
        key = InstallationKey(secret)
        assert InstallationKey.from_recovery(key.recovery()).fingerprint == key.fingerprint

    @given(secrets, st.data())
    def test_case_spaces_and_hyphens_do_not_matter(self, secret: bytes, data: st.DataObject) -> None:
        key = InstallationKey(secret)
        letters = key.recovery().replace("-", "").lower()
        cuts = data.draw(st.lists(st.integers(0, len(letters)), max_size=5).map(sorted))
        typed = " \t-\n".join(letters[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True))
        assert InstallationKey.from_recovery(f"  {typed}\r\n").fingerprint == key.fingerprint

    @settings(max_examples=20)
    @given(secrets)
    def test_every_mistyped_letter_is_noticed(self, secret: bytes) -> None:
        text = InstallationKey(secret).recovery()
        for at, letter in enumerate(text):
            if letter == "-":
                continue
            other = ALPHABET[(ALPHABET.index(letter) + 1) % 32]
            with pytest.raises(KeyTrouble):
                InstallationKey.from_recovery(text[:at] + other + text[at + 1 :])

    def test_letters_that_changed_places_are_noticed(self) -> None:
        text = InstallationKey(bytes(range(32))).recovery().replace("-", "")
        for at in range(len(text) - 1):
            if text[at] != text[at + 1]:
                with pytest.raises(KeyTrouble):
                    InstallationKey.from_recovery(text[:at] + text[at + 1] + text[at] + text[at + 2 :])

    @pytest.mark.parametrize(
        "change", [lambda t: t[:-7], lambda t: t[7:], lambda t: t + "-AAAAAA", lambda t: t[6:] * 2]
    )
    def test_missing_and_surplus_groups_are_noticed(self, change: object) -> None:
        with pytest.raises(KeyTrouble, match="missing or mistyped"):
            InstallationKey.from_recovery(change(InstallationKey.new().recovery()))  # type: ignore[operator]

    @given(st.text(max_size=80))
    def test_anything_else_is_refused_in_words(self, typed: str) -> None:
        with pytest.raises(KeyTrouble):
            InstallationKey.from_recovery(typed)

    @pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
    def test_a_key_of_another_length_is_none(self, size: int) -> None:
        with pytest.raises(KeyTrouble):
            InstallationKey(bytes(size))


class TestTheKeyFile:
    def test_it_is_for_its_owner_alone_whatever_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            InstallationKey.new().write(tmp_path / "key")
        finally:
            os.umask(before)
        assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600

    def test_it_reads_back(self, tmp_path: Path) -> None:
        key = InstallationKey.new()
        key.write(tmp_path / "key")
        assert InstallationKey.read(tmp_path / "key").fingerprint == key.fingerprint

    def test_it_is_never_written_over(self, tmp_path: Path) -> None:
        key = InstallationKey.new()
        key.write(tmp_path / "key")
        with pytest.raises(FileExistsError):
            InstallationKey.new().write(tmp_path / "key")
        assert InstallationKey.read(tmp_path / "key").fingerprint == key.fingerprint

    def test_a_missing_one_is_said_with_the_remedy(self, tmp_path: Path) -> None:
        with pytest.raises(KeyTrouble, match="postroom key restore"):
            InstallationKey.read(tmp_path / "key")

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"hello", b"A" * 56, b"\0" * 32])
    def test_a_damaged_one_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(KeyTrouble):
            InstallationKey.read(tmp_path / "key")

    def test_a_key_is_never_printed(self) -> None:
        key = InstallationKey.new()
        assert key.recovery() not in repr(key)
        assert repr(key) == str(key) == "InstallationKey()"


class TestWhatIsDerived:
    def test_each_purpose_has_bytes_of_its_own(self) -> None:
        key = InstallationKey.new()
        assert len({key.derive(purpose) for purpose in ("a", "b", "fingerprint", "blob key wrapping")}) == 4
        assert key.derive("a") == InstallationKey.from_recovery(key.recovery()).derive("a")

    def test_a_password_opens_only_under_its_own_key(self) -> None:
        key = InstallationKey.new()
        token = key.encrypt_secret("pässword")
        assert "pässword".encode() not in token
        assert key.decrypt_secret(token) == "pässword"
        with pytest.raises(KeyTrouble):
            InstallationKey.new().decrypt_secret(token)


class TestTheKeyStore:
    def test_a_blobs_key_comes_back(self, home: Home) -> None:
        keys = home.archive.keys
        keys.add({5: keys.wrap(5, b"k" * 32), 6: keys.wrap(6, b"l" * 32)})
        assert keys.get([5, 6, 7]) == {5: b"k" * 32, 6: b"l" * 32}

    def test_thousands_at_once(self, home: Home) -> None:
        keys = home.archive.keys
        keys.add({n: keys.wrap(n, n.to_bytes(32, "big")) for n in range(1200)})
        assert len(keys.get(range(3000))) == 1200
        keys.destroy(range(1, 3000))
        assert keys.get(range(3000)) == {0: bytes(32)}

    def test_a_wrapped_key_is_bound_to_its_blob(self, home: Home) -> None:
        keys = home.archive.keys
        keys.add({5: keys.wrap(6, b"k" * 32)})
        with pytest.raises(KeyTrouble, match="blob 5"):
            keys.get([5])

    @pytest.mark.parametrize("at", [0, 11, 12, 43, 59])
    def test_an_altered_wrapped_key_opens_nothing(self, home: Home, at: int) -> None:
        keys = home.archive.keys
        wrapped = bytearray(keys.wrap(5, b"k" * 32))
        wrapped[at] ^= 1
        keys.add({5: bytes(wrapped)})
        with pytest.raises(KeyTrouble):
            keys.get([5])

    def test_another_installations_key_opens_nothing(self, home: Home) -> None:
        keys = home.archive.keys
        keys.add({5: keys.wrap(5, b"k" * 32)})
        home.archive.keys._key = InstallationKey.new()
        with pytest.raises(KeyTrouble):
            keys.get([5])

    @pytest.mark.databases("sqlite")  # whose files can be read
    def test_no_key_stands_there_in_clear(self, home: Home) -> None:
        keys = home.archive.keys
        keys.add({5: keys.wrap(5, b"s3cr" * 8)})
        home.close()
        assert b"s3cr" not in b"".join(path.read_bytes() for path in home.folder.glob("keys.sqlite*"))

    def test_destroying_is_for_good_and_harmless_to_repeat(self, home: Home) -> None:
        home.take("Helpdesk", mail())
        blobs = [row[0] for row in home.rows("SELECT id FROM blob")]
        home.archive.keys.destroy(blobs)
        home.archive.keys.destroy(blobs)
        with pytest.raises(Exception, match="destroyed"):
            home.raws()

    @pytest.mark.databases("sqlite")  # whose files can be read
    def test_of_a_destroyed_key_nothing_is_left_on_the_disk(self, home: Home) -> None:
        """Not in free space of the file, nor in the log beside it, while others have it open."""
        keys = home.archive.keys
        wrapped = {number: keys.wrap(number, bytes([number]) * 32) for number in range(5, 200)}
        keys.add(wrapped)
        keys.add({1000: keys.wrap(1000, b"k" * 32)})

        def there() -> set[int]:
            data = b"".join(path.read_bytes() for path in home.folder.glob("keys.sqlite*"))
            return {number for number, one in wrapped.items() if one in data}

        assert there() == set(wrapped)
        gone = set(range(50, 150))
        keys.destroy(gone)
        assert there() == set(wrapped) - gone
        assert keys.get([49, 50, 1000]).keys() == {49, 1000}

    def test_a_key_is_added_once_only(self, home: Home) -> None:
        """A blob's number given twice would make one of the two unreadable; better nothing is recorded."""
        keys = home.archive.keys
        keys.add({5: keys.wrap(5, b"k" * 32)})
        with pytest.raises(IntegrityError):
            keys.add({4: keys.wrap(4, b"k" * 32), 5: keys.wrap(5, b"l" * 32)})
        assert keys.get([4, 5]) == {5: b"k" * 32}

    def test_the_keys_of_one_pack_are_those_of_its_blobs(self, home: Home) -> None:
        keys = home.archive.keys
        ids = [1 << 32, (1 << 32) + 9, (2 << 32) - 1, 2 << 32, 3 << 32]
        keys.add({one: keys.wrap(one, bytes(32)) for one in ids})
        assert keys.of_pack(1) == ids[:3]
        assert keys.of_pack(2) == ids[3:4]
