"""Templates at the pages: who manages them, which is offered first, and what comes of it in the form."""

from archive.outgoing import identities, templates
from archive.outgoing.templates import Text
from archive.people import processes

from .. import world
from .conftest import NOW, Office
from .test_writing import fields, mail, queued, send, sender  # noqa: F401  the fixture

CZECH = "Dobrý den, prosím o zaslání faktury, děkuji a jsem s pozdravem"


def put(office: Office, name: str = "Thanks", **texts: str) -> int:
    with office.archive.transaction() as session:
        helpdesk = processes.by_slug(session, "helpdesk")
        assert helpdesk
        kept = {code: Text(text) for code, text in texts.items()}
        return templates.put(session, None, helpdesk.id, name, kept, "operator", NOW)


def test_a_template_is_written_changed_removed_and_put_back(office: Office) -> None:
    anna, page = office.browser("anna"), "/processes/helpdesk/templates"
    form = {"name": "Thanks", "text-en": "Dear {{sender_name}},\r\nthanks", "subject-cs": "", "text-cs": "Díky"}
    done = anna.post(page, form)
    assert done.status_code == 303
    shown = anna.get(done.location).text
    assert "Dear {{sender_name}},\nthanks</textarea>" in shown
    wrong = anna.post(page, {**form, "name": "Other", "text-en": "{{password}}"})
    assert wrong.status_code == 422
    assert "“{{password}}” is no placeholder." in wrong.text
    assert anna.post(page, {**form, "template": "1", "name": "Danke"}).status_code == 303
    assert anna.post(f"{page}/1/remove").status_code == 303
    assert anna.get(f"{page}?template=1").status_code == 404
    assert anna.post(f"{page}/1/put-back").status_code == 303
    with office.archive.reading() as session:
        (one,) = templates.every(session)
    assert (one.name, dict(one.texts)["en"].text) == ("Danke", "Dear {{sender_name}},\nthanks")


def test_nobody_changes_a_template_of_another_process(office: Office) -> None:
    made = put(office, en="x")
    bernd = office.browser("bernd")
    for address in (f"/processes/sales/templates?template={made}", "/processes/helpdesk/templates"):
        assert bernd.get(address).status_code == 404
    assert (
        bernd.post("/processes/sales/templates", {"template": str(made), "name": "x", "text-en": "x"}).status_code
        == 404
    )
    assert bernd.post(f"/processes/sales/templates/{made}/remove").status_code == 404
    assert bernd.post("/processes/helpdesk/templates", {"name": "x", "text-en": "x"}).status_code == 404


def test_the_language_of_the_mail_is_offered_first_and_inserted(office: Office, sender: int) -> None:  # noqa: F811
    made = put(
        office, en="Dear {{sender_name}}", cs="Dobrý den, tiket {{ticket}}, {{process}} ({{author}}, {{address}})"
    )
    sender_ = world.Person("[Eva](https://evil.example) <b>", world.EVA.address)
    (id_,) = office.take("helpdesk", world.mail(from_=sender_, subject="Faktura", text=CZECH))
    anna = office.browser("anna")
    page = anna.get(f"/messages/{id_}/reply").text
    form = fields(page)
    assert page.index(f'value="{made} cs"') < page.index(f'value="{made} en"')
    shown = send(anna, {**form, "text": "Before", "do": "template", "template": f"{made} cs"})
    assert shown.status_code == 200
    text = fields(shown.text)["text"]
    assert text == f"Before\n\nDobrý den, tiket {form['ticket']}, Helpdesk ({world.ANNA.name}, helpdesk@demo.example)"
    english = fields(send(anna, {**form, "do": "template", "template": f"{made} en"}).text)
    assert english["text"].startswith("Dear Eva https evil.example b")
    assert send(anna, {**english, "to": "eva@x.example"}).status_code == 303
    html = mail(office, queued(office)[0]).get_body(("html",))
    assert html
    assert "<b>" not in html.get_content()
    assert "href" not in html.get_content()


def test_without_a_plain_language_the_identitys_comes_first_and_others_texts_are_not_offered(
    office: Office,
    sender: int,  # noqa: F811
) -> None:
    made = put(office, en="A", pl="B")
    with office.archive.transaction() as session:
        sales = processes.by_slug(session, "sales")
        assert sales
        other = templates.put(session, None, sales.id, "Theirs", {"en": Text("x")}, "operator", NOW)
        one = identities.get(session, sender)
        identities.remove(session, sender, NOW)
        from archive.post import bindings

        identities.add(
            session, one.address, bindings.mailbox_of(session, one.mailbox), NOW, process=one.process, languages=["pl"]
        )
    (id_,) = office.take("helpdesk", world.mail(subject="4711", text="4711"))
    anna = office.browser("anna")
    page = anna.get(f"/messages/{id_}/reply").text
    assert page.index(f'value="{made} pl"') < page.index(f'value="{made} en"')
    assert f'value="{other} en"' not in page
    form = fields(page)
    for wanted in (f"{other} en", f"{made} cs", "", "x y", f"{made}"):
        assert fields(send(anna, {**form, "do": "template", "template": wanted}).text)["text"] == ""


def test_one_signs_in_words_of_ones_own(office: Office, sender: int) -> None:  # noqa: F811
    anna = office.browser("anna")
    assert anna.post("/signatures", {f"signature-{sender}": "Anna\r\nHelpdesk", "signature-99": "x"}).status_code == 303
    assert "Anna\nHelpdesk</textarea>" in anna.get("/signatures").text
    (id_,) = office.take("helpdesk", world.mail(subject="Invoice"))
    assert "Anna\nHelpdesk</p>" in anna.get(f"/messages/{id_}/reply").text
    assert "Yours</p>" in office.browser("dana").get(f"/messages/{id_}/reply").text
    assert office.browser("bernd").post("/signatures", {f"signature-{sender}": "x"}).status_code == 303
    with office.archive.reading() as session:
        assert identities.own_signatures(session, office.users["bernd"]) == {}
