"""People who sign in: links work once and expire, tries are limited, sessions can be ended."""

import threading

import pytest

from archive.people import sessions, users
from archive.people.users import UserTrouble
from archive.store.schema import user

from ..home import NOON, Home

MINUTE = 60_000


class TestLinks:
    def link(self, home: Home, who: str = "anna", at: int = NOON) -> str:
        with home.archive.transaction() as session:
            return users.new_link(session, home.ids[who], at)

    def use(self, home: Home, token: str, at: int = NOON) -> str | None:
        with home.archive.transaction() as session:
            user = users.use_link(session, token, at)
        return user.email if user else None

    def test_a_link_works_once(self, home: Home) -> None:
        token = self.link(home)
        assert self.use(home, token) == "anna@demo.example"
        assert self.use(home, token) is None

    def test_looking_whose_it_is_does_not_use_it_up(self, home: Home) -> None:
        token = self.link(home)
        with home.archive.reading() as session:
            for _ in range(3):
                owner = users.link_owner(session, token, NOON)
                assert owner is not None
                assert owner.id == home.ids["anna"]

    def test_a_link_expires(self, home: Home) -> None:
        token = self.link(home)
        assert self.use(home, token, NOON + users.LINK_LIVES_MS) is None
        assert self.use(home, token, NOON + users.LINK_LIVES_MS - 1) == "anna@demo.example"

    def test_a_new_link_ends_the_ones_before_and_nobody_elses(self, home: Home) -> None:
        first, bernds, second = self.link(home), self.link(home, "bernd"), self.link(home)
        assert self.use(home, first) is None
        assert self.use(home, second) == "anna@demo.example"
        assert self.use(home, bernds) == "bernd@demo.example"

    def test_a_disabled_person_gets_in_by_no_link(self, home: Home) -> None:
        token = self.link(home)
        with home.archive.transaction() as session:
            session.execute(user.update().where(user.c.id == home.ids["anna"]).values(disabled_at=1))
        assert self.use(home, token) is None

    @pytest.mark.parametrize("token", ["", "x", "\0", "'; DROP TABLE user", "ü" * 1000])
    def test_a_made_up_link_is_nobodys(self, home: Home, token: str) -> None:
        self.link(home)
        assert self.use(home, token) is None

    @pytest.mark.databases("sqlite")  # whose files can be read
    def test_the_database_does_not_give_a_link_away(self, home: Home) -> None:
        token = self.link(home)
        home.close()
        assert token.encode() not in b"".join(path.read_bytes() for path in home.folder.glob("*.sqlite*"))

    def test_two_who_use_it_at_once_are_one(self, home: Home) -> None:
        token, found, go = self.link(home), [], threading.Barrier(4)

        def use() -> None:
            go.wait()
            found.append(self.use(home, token))

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, found)) == ["None", "None", "None", "anna@demo.example"]


class TestTries:
    def test_after_ten_failures_one_has_to_wait(self, home: Home) -> None:
        subjects = {"account:anna": users.TRIES, "address:192.0.2.1": 10 * users.TRIES}
        with home.archive.transaction() as session:
            for number in range(users.TRIES):
                assert users.may_try(session, subjects, NOON + number)
                users.record_failed_try(session, subjects, NOON + number)
            assert not users.may_try(session, subjects, NOON + MINUTE)
            assert users.may_try(session, {"account:bernd": users.TRIES}, NOON + MINUTE)
            assert users.may_try(session, {"address:192.0.2.1": 10 * users.TRIES}, NOON + MINUTE)
            assert users.may_try(session, subjects, NOON + users.TRIES_WINDOW_MS + number)

    def test_many_accounts_from_one_address_are_stopped_too(self, home: Home) -> None:
        with home.archive.transaction() as session:
            for number in range(10 * users.TRIES):
                users.record_failed_try(session, {f"account:{number}": 1, "address:192.0.2.1": 1}, NOON)
            assert not users.may_try(session, {"account:new": 10, "address:192.0.2.1": 10 * users.TRIES}, NOON)

    def test_old_failures_are_forgotten_for_good(self, home: Home) -> None:
        with home.archive.transaction() as session:
            users.record_failed_try(session, {"account:anna": 1}, NOON)
            users.record_failed_try(session, {"account:bernd": 1}, NOON + 2 * users.TRIES_WINDOW_MS)
        assert home.count("sign_in_try") == 1


class TestPasswords:
    def test_a_password_opens_its_own_account(self, home: Home) -> None:
        hashed = users.hash_password("long enough ü")
        with home.archive.transaction() as session:
            users.set_password(session, home.ids["anna"], hashed, NOON, "operator")
            found = users.stored_password(session, " ANNA@demo.example ")
        assert found == (home.ids["anna"], hashed)
        assert users.password_is(hashed, "long enough ü")
        assert not users.password_is(hashed, "long enough u")

    def test_where_no_password_is_kept_nothing_opens(self) -> None:
        assert not users.password_is(None, "")
        assert not users.password_is("nonsense", "x")

    def test_a_guess_for_nobody_takes_as_long_as_for_somebody(self) -> None:
        import time

        hashed = users.hash_password("long enough")

        def seconds(stored: str | None) -> float:
            start = time.process_time()
            users.password_is(stored, "a guess for it")
            return time.process_time() - start

        somebody, nobody = min(seconds(hashed) for _ in range(3)), min(seconds(None) for _ in range(3))
        assert nobody > 0.5 * somebody

    def test_a_short_one_is_refused(self) -> None:
        with pytest.raises(UserTrouble, match="10 characters"):
            users.hash_password("123456789")


class TestUsers:
    def test_an_address_is_one_person_in_any_case(self, home: Home) -> None:
        with home.archive.transaction() as session, pytest.raises(UserTrouble, match="already"):
            users.add(session, "ANNA@Demo.Example", "Anna again", NOON)

    @pytest.mark.parametrize("address", ["", "anna", "a@", "@b", "a b@c", "a@b\r\nBcc: x", "a@b,c@d", "<a@b>", "a\0@b"])
    def test_what_is_no_address_is_refused(self, home: Home, address: str) -> None:
        with home.archive.transaction() as session, pytest.raises(UserTrouble, match="not an email address"):
            users.add(session, address, "Somebody", NOON)


class TestSessions:
    def test_a_session_lasts_while_it_is_used_and_ends_after(self, home: Home) -> None:
        with home.archive.transaction() as session:
            token = sessions.start(session, home.ids["anna"], "Firefox", NOON)
            almost = NOON + sessions.LIVES_MS - 1
            found = sessions.find(session, token, almost)
            assert found is not None
            assert found.user == home.ids["anna"]
            assert sessions.find(session, token, NOON + sessions.LIVES_MS) is None
            sessions.touch(session, token, almost)
            assert sessions.find(session, token, NOON + sessions.LIVES_MS) is not None

    def test_signing_out_ends_this_one_and_no_other(self, home: Home) -> None:
        with home.archive.transaction() as session:
            one = sessions.start(session, home.ids["anna"], "", NOON)
            other = sessions.start(session, home.ids["anna"], "", NOON)
            sessions.end(session, one, NOON)
            sessions.end(session, one, NOON)
            assert sessions.find(session, one, NOON) is None
            assert sessions.find(session, other, NOON) is not None

    def test_signing_out_everywhere_is_for_one_person(self, home: Home) -> None:
        with home.archive.transaction() as session:
            annas = [sessions.start(session, home.ids["anna"], "", NOON) for _ in range(3)]
            bernds = sessions.start(session, home.ids["bernd"], "", NOON)
            sessions.end_all(session, home.ids["anna"], NOON)
            assert [sessions.find(session, one, NOON) for one in annas] == [None] * 3
            assert sessions.find(session, bernds, NOON) is not None

    @pytest.mark.parametrize("token", ["", "x", "\0", "ü"])
    def test_a_made_up_cookie_is_nobodys(self, home: Home, token: str) -> None:
        with home.archive.transaction() as session:
            sessions.start(session, home.ids["anna"], "", NOON)
            assert sessions.find(session, token, NOON) is None

    @pytest.mark.databases("sqlite")
    def test_the_database_does_not_give_a_cookie_away(self, home: Home) -> None:
        with home.archive.transaction() as session:
            token = sessions.start(session, home.ids["anna"], "", NOON)
        home.close()
        assert token.encode() not in b"".join(path.read_bytes() for path in home.folder.glob("*.sqlite*"))

    def test_expired_ones_are_swept(self, home: Home) -> None:
        with home.archive.transaction() as session:
            sessions.start(session, home.ids["anna"], "", NOON)
            sessions.start(session, home.ids["anna"], "", NOON + 2 * sessions.LIVES_MS)
        assert home.count("web_session") == 1
