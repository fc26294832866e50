"""Templates: what is filled in is plain text and nothing else; a text for each language; signatures of people."""

import time

import pytest

from archive.mail import tongues
from archive.outgoing import identities, placeholders, templates
from archive.outgoing.templates import TemplateTrouble, Text

from ..home import NOON, Home
from .test_outbox import office, reply, seen, send  # noqa: F401  the fixture

EVIL = "<b>Eva</b>\r\nBcc: all@x\0 [click](https://evil.example) `x` {{ticket}} {% x %} *a* _b_ & \u2028# " + "y" * 200


def test_what_is_filled_in_is_plain_text_of_one_line() -> None:
    filled = placeholders.fill("Dear {{ sender_name }},\nticket {{ticket}}.", {"sender_name": EVIL, "ticket": "7"})
    first, second = filled.split("\n")
    assert second == "ticket 7."
    assert not set(first) & set("<>[](){}`*_&#/:\r\n\0\u2028")
    assert len(first) <= len("Dear ,") + placeholders.LONGEST
    assert placeholders.plain("Jürgen O’Neill-Novák jr.") == "Jürgen O’Neill-Novák jr."


@pytest.mark.parametrize(
    "text", ["{{nobody}}", "{{ ticket", "ticket }}", "{{ticket.__class__}}", "{{ticket|safe}}", "{{}}"]
)
def test_whatever_else_stands_between_braces_is_refused(home: Home, text: str) -> None:
    assert list(placeholders.unknown(text))
    with home.archive.transaction() as session, pytest.raises(TemplateTrouble, match="no placeholder"):
        put(session, home, {"en": Text(text)})
    assert home.count("template") == 0


def test_spaces_between_braces_take_no_time() -> None:
    began = time.thread_time()
    assert list(placeholders.unknown("{{" + " " * 20_000)) == ["{{"]
    assert time.thread_time() - began < 1


def put(session: object, home: Home, texts: dict[str, Text], name: str = "Thanks", id_: int | None = None) -> int:
    of = home.ids["process helpdesk"]
    return templates.put(session, id_, of, name, texts, "user:1", NOON)  # type: ignore[arg-type]


def test_a_template_is_kept_changed_removed_and_put_back(home: Home) -> None:
    with home.archive.transaction() as session:
        made = put(session, home, {"en": Text("Thanks"), "cs": Text("Díky", "[{{ticket}}]"), "de": Text("")})
        other = put(session, home, {"en": Text("x", "Got it")}, "Other")
        one = templates.get(session, made)
        assert one
        assert dict(one.texts) == {"en": Text("Thanks"), "cs": Text("Díky", "[{{ticket}}]")}
        assert not one.goes_by_itself
        assert one.language([None, "pl", "cs"]) == "cs"
        assert one.language(["pl"]) in one.texts
        put(session, home, {"en": Text("Dear {{sender_name}}", "Got it")}, id_=other, name="Other")
        changed = templates.get(session, other)
        assert changed
        assert not changed.goes_by_itself, "it would say what the sender wrote"
        for name, texts in (
            ("thanks", {"en": Text("x")}),
            ("", {"en": Text("x")}),
            ("New", {}),
            ("N", {"xx": Text("x")}),
        ):
            with pytest.raises(TemplateTrouble):
                put(session, home, texts, name)
        with pytest.raises(LookupError):
            templates.put(session, made, home.ids["process sales"], "A", {"en": Text("x")}, "user:1", NOON)
        assert templates.remove(session, made, "user:1", NOON)
        assert not templates.remove(session, made, "user:1", NOON)
        assert [one.id for one in templates.every(session, [home.ids["process helpdesk"]])] == [other]
        assert templates.put_back(session, made, "user:1", NOON)
        assert templates.remove(session, made, "user:1", NOON)
        put(session, home, {"en": Text("x")})
        assert not templates.put_back(session, made, "user:1", NOON), "another has its name"
    assert home.verify() == []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello, when will you send the invoice? Thank you", "en"),
        ("Dobrý den, prosím o zaslání faktury, děkuji", "cs"),
        ("Guten Tag, bitte senden Sie mir die Rechnung", "de"),
        ("Buenos días, ¿me puede enviar la factura? Gracias", "es"),
        ("Dzień dobry, proszę o przesłanie faktury, dziękuję", "pl"),
        ("Здравствуйте, пришлите мне, пожалуйста, счёт", "ru"),
        ("Dobrý deň, pošlite mi prosím faktúru, ďakujem", "sk"),
        ("> Guten Tag, bitte senden Sie mir die Rechnung\nThank you for this", "en"),
        ("4711", None),
        ("", None),
    ],
)
def test_the_language_of_a_mail_is_told_by_its_small_words(text: str, language: str | None) -> None:
    assert tongues.guess(text) == language


def test_somebody_signs_in_words_of_their_own_and_others_do_not(office: Home) -> None:  # noqa: F811
    anna = office.ids["anna"]
    with office.archive.transaction() as session:
        assert identities.sign(session, office.ids["helpdesk"], anna, "Anna for Helpdesk", f"user:{anna}", NOON)
        assert not identities.sign(session, office.ids["helpdesk"], anna, "Anna for Helpdesk", f"user:{anna}", NOON)
        one = identities.get(session, office.ids["helpdesk"])
        assert identities.signature(session, one, office.ids["bernd"]) == one.signature
    from archive import sending

    made = seen(office, send(office, "anna", reply(office)))
    with office.archive.reading() as session:
        raw = sending.whole(office.archive, session, made)
    assert b"Anna for Helpdesk" in raw
    with office.archive.transaction() as session:
        assert identities.sign(session, office.ids["helpdesk"], anna, "", f"user:{anna}", NOON)
        assert identities.own_signatures(session, anna) == {}
    assert office.verify() == []
