"""What is said before a mail goes: files that are promised, comments that slip in, domains that only look alike."""

import pytest

from archive.outgoing import guards

KNOWN = {"brewery.example", "bank.example", "kancelar-morava.example", "mail.cz"}


@pytest.mark.parametrize(
    "text",
    [
        *("Please find it attached.", "See the attachment", "I have enclosed the invoice", "Anbei die Rechnung"),
        *("im Anhang finden Sie", "Die Datei ist angehängt", "beigefügt", "siehe Anlage", "Viz příloha"),
        *("v příloze posílám", "přiloženou fakturu", "přikládám fakturu", "W załączniku faktura", "załączam"),
        *("Adjunto la factura", "Le envío adjunta", "Прилагаю счёт", "приложение", "во вложении", "прикрепил файл"),
    ],
)
def test_a_file_that_is_promised_is_missed(text: str) -> None:
    assert guards.speaks_of_a_file(text)


@pytest.mark.parametrize(
    "text",
    ["", "Thank you", "> see the attachment", "Příležitost", "Anbeißen", "The attack", "Dobrý den", "приложу ли"[:4]],
)
def test_other_words_promise_none(text: str) -> None:
    assert guards.speaks_of_a_file(text) is None


def test_a_comment_is_found_also_quoted_and_in_other_lines() -> None:
    comments = ["Short", "This client never pays,\nask Bernd first before you promise anything"]
    assert guards.said_inside(comments, "Hello\n> ask  BERND first before you\n> promise anything")
    assert guards.said_inside(comments, "x", "this client never pays, sorry")
    assert guards.said_inside(comments, "Short is the answer") is None
    assert guards.said_inside([], "x") is None


@pytest.mark.parametrize(
    ("domain", "other"),
    [
        ("brewrey.example", "brewery.example"),
        ("brewery.exampel", "brewery.example"),
        ("brewery-.example", "brewery.example"),
        ("bгеwеrу.example", None),
        ("bank.examp1e", "bank.example"),
        ("bаnk.example", "bank.example"),  # a Cyrillic letter
        ("xn--bnk-7cd.example", "bank.example"),  # the same, as DNS has it
        ("bánk.example", "bank.example"),
        ("kancelar-rnorava.example", "kancelar-morava.example"),
        ("brewery.example", None),
        ("BREWERY.example", None),
        ("other.example", None),
        ("mall.cz", "mail.cz"),
        ("x.cz", None),
    ],
)
def test_a_domain_that_looks_like_one_we_know(domain: str, other: str | None) -> None:
    assert guards.alike(domain, KNOWN) == other


def test_distances_count_neighbours_that_change_places_once() -> None:
    assert guards._distance("abcd", "abdc") == 1
    assert guards._distance("", "abc") == 3
    assert guards._distance("kitten", "sitting") == 3
