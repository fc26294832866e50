"""What the people of the small world wrote to each other in the last three weeks: the text of every mail."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.demo.compose import Person

ANNA = Person("Anna Novotná", "anna@demo.example", "cs")
BERND = Person("Bernd Keller", "bernd@demo.example", "en")
CLARA = Person("Clara Nowak", "clara@demo.example", "pl")

HELPDESK = "helpdesk@demo.example"
SALES = "sales@demo.example"
PRESS = "press@demo.example"

# How colleagues sign when they write from the address of a process.
ANNA_AT_HELPDESK = Person("Anna Novotná", HELPDESK, "cs")
BERND_AT_SALES = Person("Bernd Keller", SALES, "en")
CLARA_AT_PRESS = Person("Clara Nowak", PRESS, "pl")

PAVEL = Person("Pavel Dvořák", "dvorak@kancelar-morava.example", "cs")
JANA = Person("Jana Malá", "mala@lekarna-lipa.example", "cs")
TOMAS = Person("Tomáš Říha", "riha@pila-vysocina.example", "cs")
EVA = Person("Eva Šťastná", "stastna@gymnazium-reka.example", "cs")
ONDREJ = Person("Ondřej Kříž", "ondrej.kriz@denik-firmy.example", "cs")
KASIA = Person("Katarzyna Wiśniewska", "k.wisniewska@biuro-wisla.example", "pl")
MAREK = Person("Marek Zieliński", "m.zielinski@hotel-pod-debem.example", "pl")
CARRIER = Person("Spedycja Bałtyk – Faktury", "faktury@spedycja-baltyk.example", "pl")
AGNIESZKA = Person("Agnieszka Wójcik", "a.wojcik@gazeta-gospodarcza.example", "pl")
LUCIA = Person("Lucía Fernández", "lucia.fernandez@talleres-ebro.example", "es")
CARLOS = Person("Carlos Ibáñez Ruiz", "compras@hostal-miramar.example", "es")
WAREHOUSE = Person("Almacén Levante", "existencias@almacen-levante.example", "es")
MARTA = Person("Marta Solís", "marta.solis@radio-ribera.example", "es")
AGENCY = Person("Estudio Naranjo", "hola@estudio-naranjo.example", "es")
OLGA = Person("Ольга Смирнова", "o.smirnova@alatau-office.example", "ru")
DMITRI = Person("Дмитрий Ковалёв", "kovalev@torgdom-step.example", "ru")
GALINA = Person("Галина Петрова", "petrova@klinika-rodnik.example", "ru")
ANTON = Person("Антон Лебедев", "lebedev@delovoy-vestnik.example", "ru")
SIOBHAN = Person("Siobhán Byrne", "siobhan.byrne@liffey-labs.example", "en")
TOM = Person("Tom Okafor", "tom.okafor@harbour-coworking.example", "en")
HANNAH = Person("Hannah Lindqvist", "hannah.lindqvist@officeworld-weekly.example", "en")
PRIYA = Person("Priya Raman", "priya.raman@northgate-council.example", "en")
BEANS = Person("Bright Bean Roasters", "news@bright-bean.example", "en")
DISPENSER = Person("", "aqua14@devices.liffey-labs.example", "en")
DAEMON = Person("Mail Delivery System", "MAILER-DAEMON@mx.harbour-coworking.example", "en")


@dataclass(frozen=True)
class Letter:
    """One mail as its author meant it; `key` is how replies and enclosures refer to it.

    Sent at `clock` (UTC) so many `days` before today; `copy` is a second address of ours that it reaches. `style` is
    that of the author's program: plain, gmail, outlook or apple, which decides about HTML and how the parent is quoted.
    """

    key: str
    sender: Person
    to: str
    days: int
    clock: str
    subject: str
    text: str
    answers: str = ""
    copy: str = ""
    style: str = "plain"
    charset: str = "utf-8"
    encoding: str = "quoted-printable"


HELPDESK_LETTERS = (
    # Czech: a machine that stays cold, five letters.
    Letter(
        "cold-1",
        PAVEL,
        HELPDESK,
        20,
        "08:42",
        "Reklamace: kávovar Barista 300 nehřeje",
        """
Dobrý den,

včera ráno přestal hřát náš kávovar Barista 300 (výrobní číslo B3-40718).
Displej ukazuje chybu E14, voda teče, ale je úplně studená. Zkoušeli jsme
ho vypnout ze zásuvky a nechat hodinu stát, nepomohlo to.

Kávovar máme od března, takže je ještě v záruce. Můžete nám prosím
napsat, jak máme postupovat?

S pozdravem
Pavel Dvořák
Kancelář Morava, s. r. o.
tel. +420 555 010 144
""",
        charset="iso-8859-2",
    ),
    Letter(
        "cold-2",
        ANNA_AT_HELPDESK,
        PAVEL.address,
        20,
        "10:05",
        "Re: Reklamace: kávovar Barista 300 nehřeje",
        """
Dobrý den, pane Dvořáku,

děkujeme za zprávu a omlouváme se za potíže. Chyba E14 znamená, že čidlo
bojleru nehlásí teplotu. Prosím zkontrolujte, jestli je zadní kryt
zacvaknutý na obou stranách, a pošlete nám fotku štítku a místa pod
kávovarem. Reklamaci vedeme pod číslem R-118.

Hezký den
Anna Novotná
Demo, zákaznická podpora
""",
        answers="cold-1",
    ),
    Letter(
        "cold-3",
        PAVEL,
        HELPDESK,
        19,
        "07:55",
        "Re: Reklamace: kávovar Barista 300 nehřeje",
        """
Dobrý den,

kryt byl zacvaknutý. Pod kávovarem je ale ráno vždycky trochu vody,
fotku posílám v příloze.

P. Dvořák
""",
        answers="cold-2",
        charset="iso-8859-2",
    ),
    Letter(
        "cold-4",
        ANNA_AT_HELPDESK,
        PAVEL.address,
        19,
        "09:30",
        "Re: Reklamace: kávovar Barista 300 nehřeje",
        """
Dobrý den,

to vypadá na prasklé těsnění, voda se pak dostane k čidlu. Technik k vám
může přijet ve čtvrtek mezi 9. a 11. hodinou. Vyhovuje vám to?

Kávovar do té doby prosím nezapínejte.

Anna Novotná
""",
        answers="cold-3",
    ),
    Letter(
        "cold-5",
        PAVEL,
        HELPDESK,
        14,
        "13:21",
        "Re: Reklamace: kávovar Barista 300 nehřeje",
        """
Dobrý den,

technik byl přesný a kávovar zase hřeje. Moc děkujeme za rychlé vyřízení,
reklamaci můžete uzavřít.

S pozdravem
Pavel Dvořák
""",
        answers="cold-4",
        charset="iso-8859-2",
        encoding="8bit",
    ),
    # Polish: damaged in transport, of interest to sales as well.
    Letter(
        "damaged-1",
        KASIA,
        HELPDESK,
        17,
        "11:12",
        "Uszkodzona przesyłka – zamówienie 2031",
        """
Dzień dobry,

dziś kurier dostarczył zamówienie 2031 (2 × Aqua 20). Karton jednego
dystrybutora był wgnieciony, a po otwarciu okazało się, że pękła boczna
osłona. Kurier spisał z nami protokół szkody.

Proszę o informację, czy wymienią Państwo całe urządzenie, czy tylko
osłonę. Zależy nam na czasie, w poniedziałek otwieramy nowe piętro.

Z poważaniem
Katarzyna Wiśniewska
Biuro Wisła sp. z o.o.
""",
        copy=SALES,
        style="outlook",
    ),
    Letter(
        "damaged-2",
        ANNA_AT_HELPDESK,
        KASIA.address,
        17,
        "12:40",
        "Re: Uszkodzona przesyłka – zamówienie 2031",
        """
Dzień dobry, Pani Katarzyno,

bardzo przepraszamy. Wymienimy całe urządzenie, nowe wyślemy jeszcze dziś.
Proszę tylko o skan protokołu szkody, potrzebuje go przewoźnik.

Pozdrawiam serdecznie
Anna Novotná
Demo
""",
        answers="damaged-1",
    ),
    Letter(
        "damaged-3",
        KASIA,
        HELPDESK,
        17,
        "14:03",
        "ODP: Uszkodzona przesyłka – zamówienie 2031",
        """
Dzień dobry,

w załączeniu przesyłam protokół. Dziękuję za szybką reakcję!

Katarzyna Wiśniewska
""",
        answers="damaged-2",
        style="outlook",
    ),
    Letter(
        "damaged-4",
        KASIA,
        HELPDESK,
        13,
        "09:17",
        "ODP: Uszkodzona przesyłka – zamówienie 2031",
        """
Dzień dobry,

nowy dystrybutor dotarł w piątek i działa bez zarzutu. Kiedy możemy
spodziewać się odbioru uszkodzonego? Stoi spakowany w recepcji.

Katarzyna Wiśniewska
""",
        answers="damaged-3",
        style="outlook",
    ),
    # English: a leak, six letters.
    Letter(
        "leak-1",
        SIOBHAN,
        HELPDESK,
        12,
        "08:03",
        "Water dispenser leaking on 3rd floor",
        """
Hi there,

The Aqua 20 on our third floor has been leaking since this morning. We
have put a bucket under it, but it fills up in about an hour. The one on
the second floor is fine.

Is this something we can fix ourselves or do we need a visit?

Thanks,
Siobhán

Siobhán Byrne
Office Manager, Liffey Labs
""",
        style="gmail",
    ),
    Letter(
        "leak-2",
        ANNA_AT_HELPDESK,
        SIOBHAN.address,
        12,
        "08:31",
        "Re: Water dispenser leaking on 3rd floor",
        """
Hello Siobhán,

please close the blue valve behind the dispenser (a quarter turn to the
right) and unplug it. Could you tell me when the filter was changed the
last time? A filter that is not pushed in all the way is the usual cause.

Kind regards
Anna Novotná
Demo Helpdesk
""",
        answers="leak-1",
    ),
    Letter(
        "leak-3",
        SIOBHAN,
        HELPDESK,
        12,
        "08:52",
        "Re: Water dispenser leaking on 3rd floor",
        """
Valve closed, leak stopped - thank you! Our caretaker changed the filter
on Friday, so you may well be right.
""",
        answers="leak-2",
        style="gmail",
    ),
    Letter(
        "leak-4",
        ANNA_AT_HELPDESK,
        SIOBHAN.address,
        12,
        "09:10",
        "Re: Water dispenser leaking on 3rd floor",
        """
Then please take the filter out, check that the black ring is still on it,
and push it in until it clicks twice. If it drips again, I will send
somebody on Thursday.

Anna
""",
        answers="leak-3",
    ),
    Letter(
        "leak-5",
        SIOBHAN,
        HELPDESK,
        11,
        "10:26",
        "Re: Water dispenser leaking on 3rd floor",
        """
Hi Anna,

No black ring to be found, so that will be it. Could you post us two
spare ones? Charge them to our usual account.

S.
""",
        answers="leak-4",
        style="gmail",
    ),
    Letter(
        "leak-6",
        SIOBHAN,
        HELPDESK,
        8,
        "15:44",
        "Re: Water dispenser leaking on 3rd floor",
        """
The rings came today and it is dry as a bone. You are a star!

Siobhán
""",
        answers="leak-5",
        style="gmail",
    ),
    # Russian: an invoice that does not arrive.
    Letter(
        "invoice-1",
        OLGA,
        HELPDESK,
        10,
        "06:20",
        "Не приходит счёт за сервисное обслуживание",
        """
Здравствуйте!

В прошлом месяце ваш мастер обслуживал у нас две кофемашины, но счёт мы
до сих пор не получили. Бухгалтерия закрывает квартал в пятницу, просим
прислать счёт № 7715 повторно на этот адрес.

С уважением,
Ольга Смирнова
офис-менеджер, «Алатау Офис»
""",
        charset="windows-1251",
    ),
    Letter(
        "invoice-2",
        ANNA_AT_HELPDESK,
        OLGA.address,
        10,
        "09:02",
        "Re: Не приходит счёт за сервисное обслуживание",
        """
Здравствуйте, Ольга!

Извините за задержку: счёт был отправлен на старый адрес вашей
бухгалтерии. Высылаю его во вложении. Адрес мы исправили.

С уважением,
Анна Новотна
Demo
""",
        answers="invoice-1",
    ),
    Letter(
        "invoice-3",
        OLGA,
        HELPDESK,
        9,
        "05:48",
        "Re: Не приходит счёт за сервисное обслуживание",
        """
Анна, добрый день!

Счёт получили, спасибо. Пересылаю его же для порядка: в нём указан один
визит, а мастер приезжал дважды. Так и должно быть?

Ольга
""",
        answers="invoice-2",
        charset="windows-1251",
        encoding="base64",
    ),
    # Spanish: a breakdown.
    Letter(
        "breakdown-1",
        LUCIA,
        HELPDESK,
        7,
        "10:15",
        "Avería de la máquina de café del taller",
        """
Buenos días:

La máquina de café del taller no muele desde ayer. Se oye el motor, pero
no cae café molido y al cabo de un minuto sale el aviso «Molino
bloqueado». Hemos vaciado la tolva y no vemos nada raro.

¿Podrían decirnos si es algo que podamos resolver por teléfono?

Un saludo,
Lucía Fernández
Talleres Ebro
""",
        style="gmail",
    ),
    Letter(
        "breakdown-2",
        LUCIA,
        HELPDESK,
        6,
        "09:33",
        "Re: Avería de la máquina de café del taller",
        """
Hola de nuevo:

Al final era un tornillo que se había colado entre los granos. Ya funciona,
pero hace más ruido que antes. ¿Conviene que la revise un técnico?

Gracias,
Lucía
""",
        answers="breakdown-1",
        style="gmail",
    ),
    # Single letters.
    Letter(
        "no-subject",
        EVA,
        HELPDESK,
        16,
        "12:08",
        "",
        """
Dobrý den, jaké filtry prosím patří do výdejníku Aqua 20? Na štítku už
není nic vidět. Potřebovali bychom tři kusy. Děkuji, Šťastná, gymnázium
""",
    ),
    Letter(
        "away",
        PRIYA,
        HELPDESK,
        11,
        "09:11",
        "Automatic reply: Your service contract",
        """
Thank you for your message. I am out of the office until Monday with no
access to email. For anything urgent please call the facilities desk on
+44 20 7946 0190.

Priya Raman
Northgate Council, Facilities
""",
    ),
    Letter(
        "descaling",
        GALINA,
        HELPDESK,
        5,
        "07:30",
        "Вопрос по очистке от накипи",
        """
Добрый день!

Подскажите, пожалуйста, как часто нужно очищать кофемашину от накипи,
если вода у нас очень жёсткая? В инструкции сказано раз в три месяца, но
индикатор загорается уже через месяц.

И можно ли использовать обычную лимонную кислоту?

Заранее спасибо,
Галина Петрова
клиника "Родник"
""",
        charset="koi8-r",
        encoding="8bit",
    ),
    Letter(
        "device",
        DISPENSER,
        HELPDESK,
        4,
        "04:00",
        "AQUA20 #14 FILTER CHANGE DUE",
        """
Unit 14 (floor 2, kitchen)
Filter AF-2: 98 % used, 6 days left
Water temperature: 7 C
Errors in the last 24 h: 0
""",
        encoding="7bit",
    ),
    Letter(
        "log",
        TOMAS,
        HELPDESK,
        3,
        "14:37",
        "Záznam chyb z kávovaru č. 7",
        """
Dobrý den,

posílám slíbený záznam chyb z kávovaru v jídelně. Chyba E09 se objevuje
vždy po ranním proplachu, jinak stroj pracuje normálně.

Tomáš Říha
Pila Vysočina
""",
    ),
    Letter(
        "bounce",
        DAEMON,
        HELPDESK,
        2,
        "10:02",
        "Undelivered Mail Returned to Sender",
        """
This is the mail system at host mx.harbour-coworking.example.

I am sorry to have to inform you that your message could not be delivered
to one or more recipients. It is attached below.

<reception@harbour-coworking.example>: host refused to talk to me:
    452 4.2.2 Mailbox full
""",
        encoding="7bit",
    ),
)

SALES_LETTERS = (
    # English: a quote, five letters; the price list travels to and fro.
    Letter(
        "quote-1",
        TOM,
        SALES,
        18,
        "09:26",
        "Quote for 12 coffee machines",
        """
Dear Demo team,

We are opening a second co-working space at the harbour in January and
need twelve coffee machines of the Barista 300 type, with service for
three years. Could you send me your price list and tell me what discount
is possible for this quantity?

Delivery would be to two addresses.

Best regards,
Tom Okafor
Harbour Co-Working
""",
        style="outlook",
    ),
    Letter(
        "quote-2",
        BERND_AT_SALES,
        TOM.address,
        18,
        "11:50",
        "Re: Quote for 12 coffee machines",
        """
Dear Tom,

thank you for your enquiry. Please find our price list attached. For
twelve machines we can offer 9 % off the list price, delivery to both
addresses included. The service contract is 38 EUR per machine and month.

The offer is valid for 30 days.

Kind regards
Bernd Keller
Demo Sales
""",
        answers="quote-1",
    ),
    Letter(
        "quote-3",
        TOM,
        SALES,
        16,
        "16:08",
        "RE: Quote for 12 coffee machines",
        """
Hi Bernd,

Thanks, that was quick. I am sending your price list back with a
question: is the milk module on page 1 included in the 9 %?

And could we start the service in February rather than January?

Tom
""",
        answers="quote-2",
        style="outlook",
    ),
    Letter(
        "quote-4",
        BERND_AT_SALES,
        TOM.address,
        15,
        "08:15",
        "Re: Quote for 12 coffee machines",
        """
Hello Tom,

yes to both: the discount covers the milk modules, and the service may
start on 1 February.

Shall I prepare the order?

Bernd
""",
        answers="quote-3",
    ),
    Letter(
        "quote-5",
        TOM,
        SALES,
        9,
        "10:40",
        "RE: Quote for 12 coffee machines",
        """
Bernd,

The board said yes. Please go ahead with 12 machines and 6 milk modules,
8 for the harbour and 4 for Mill Street. The purchase order will follow by
post; our reference is HC-2207.

Tom
""",
        answers="quote-4",
        style="outlook",
    ),
    # Czech: an order.
    Letter(
        "order-1",
        JANA,
        SALES,
        15,
        "10:33",
        "Objednávka č. 2047",
        """
Dobrý den,

objednáváme u vás:

  10 ks  filtr AF-2
   2 ks  odvápňovací sada
   1 ks  výdejník vody Aqua 20, bílý

Dodací adresa: Lékárna U Lípy, Lipová 12. Prosíme o potvrzení ceny
a termínu dodání.

S pozdravem
PharmDr. Jana Malá
""",
        style="gmail",
    ),
    Letter(
        "order-2",
        BERND_AT_SALES,
        JANA.address,
        15,
        "13:20",
        "Re: Objednávka č. 2047",
        """
Dobrý den, paní doktorko,

objednávku 2047 potvrzujeme, celková cena je 11 480 Kč bez DPH. Bílý
výdejník bude skladem příští středu, filtry a sady můžeme poslat hned.
Obchodní podmínky přikládám.

S pozdravem
Bernd Keller
Demo
""",
        answers="order-1",
    ),
    Letter(
        "order-3",
        JANA,
        SALES,
        14,
        "08:05",
        "Re: Objednávka č. 2047",
        """
Dobrý den,

pošlete prosím všechno najednou, středa nám stačí. Fakturu na adresu
lékárny, IČO zůstává stejné.

Malá
""",
        answers="order-2",
        style="gmail",
    ),
    Letter(
        "order-4",
        JANA,
        SALES,
        6,
        "16:52",
        "Re: Objednávka č. 2047",
        """
Dobrý den,

zásilka dorazila v pořádku, jen místo deseti filtrů bylo v krabici devět.
Můžete prosím poslat ten jeden chybějící, nebo ho odečíst z faktury?

Děkuji
Jana Malá
""",
        answers="order-3",
        style="gmail",
    ),
    # Polish: an enquiry.
    Letter(
        "hotel-1",
        MAREK,
        SALES,
        13,
        "12:25",
        "Zapytanie ofertowe - ekspresy do hotelu",
        """
Szanowni Państwo,

prowadzimy hotel na 64 pokoje i chcielibyśmy wymienić ekspresy w sali
śniadaniowej. Interesują nas dwa urządzenia o wydajności co najmniej 150
filiżanek na godzinę oraz umowa serwisowa z czasem reakcji 24 godziny.

Proszę o ofertę i informację, czy możliwy jest leasing.

Z poważaniem
Marek Zieliński
Hotel pod Dębem
""",
        charset="iso-8859-2",
    ),
    Letter(
        "hotel-2",
        MAREK,
        SALES,
        4,
        "09:45",
        "Re: Zapytanie ofertowe - ekspresy do hotelu",
        """
Dzień dobry,

czy otrzymali Państwo moje zapytanie z zeszłego tygodnia? Decyzję chcemy
podjąć do końca miesiąca.

Marek Zieliński
""",
        answers="hotel-1",
        charset="iso-8859-2",
        encoding="base64",
    ),
    # Spanish: a late delivery, of interest to the helpdesk as well.
    Letter(
        "late-1",
        CARLOS,
        SALES,
        11,
        "11:37",
        "Pedido 2052: retraso en la entrega",
        """
Buenos días:

El pedido 2052 tenía que haber llegado el lunes y seguimos sin noticias.
El enlace de seguimiento dice desde hace tres días «en reparto». Tenemos
el comedor sin máquina de agua y una boda el sábado.

Les agradecería que lo aclaren hoy mismo con el transportista.

Atentamente,
Carlos Ibáñez Ruiz
Hostal Miramar
""",
        copy=HELPDESK,
        style="apple",
    ),
    Letter(
        "late-2",
        BERND_AT_SALES,
        CARLOS.address,
        11,
        "12:20",
        "Re: Pedido 2052: retraso en la entrega",
        """
Estimado señor Ibáñez:

Lamentamos mucho el retraso. El transportista confirma que el paquete
está en su almacén de Castellón y que se lo entrega mañana antes de las
12. Si no fuera así, le llevamos nosotros una máquina de préstamo el
viernes.

Un cordial saludo,
Bernd Keller
Demo
""",
        answers="late-1",
    ),
    Letter(
        "late-3",
        CARLOS,
        SALES,
        10,
        "13:02",
        "Re: Pedido 2052: retraso en la entrega",
        """
Ha llegado a las 11:40 y ya está instalada. Gracias por moverlo tan rápido;
nos han salvado la boda.

Carlos Ibáñez
""",
        answers="late-2",
        style="apple",
    ),
    # Russian: a price list.
    Letter(
        "prices-1",
        DMITRI,
        SALES,
        8,
        "06:55",
        "Прайс-лист на следующий год",
        """
Добрый день!

Просим выслать прайс-лист на кофемашины и диспенсеры на следующий год, с
учётом доставки. Планируем заказать 5 машин Barista 300 и 20 комплектов
фильтров AF-2.

С уважением,
Дмитрий Ковалёв
Торговый дом "Степь"
""",
        charset="koi8-r",
    ),
    Letter(
        "prices-2",
        BERND_AT_SALES,
        DMITRI.address,
        8,
        "08:44",
        "Re: Прайс-лист на следующий год",
        """
Здравствуйте, Дмитрий!

Спасибо за интерес к нашей продукции. Прайс-лист во вложении, цены
действительны с 1 января. При заказе пяти машин скидка составляет 5 %.

С уважением,
Бернд Келлер
Demo
""",
        answers="prices-1",
    ),
    Letter(
        "prices-3",
        DMITRI,
        SALES,
        7,
        "07:12",
        "Re: Прайс-лист на следующий год",
        """
Бернд, спасибо, прайс-лист получили. Нас устраивает. Выставьте, пожалуйста,
счёт на 5 машин, оплатим в течение трёх дней.

Дмитрий Ковалёв
""",
        answers="prices-2",
        charset="windows-1251",
    ),
    # Single letters.
    Letter(
        "newsletter",
        BEANS,
        SALES,
        5,
        "09:00",
        "Winter roasts are here – and 15 % off until Sunday",
        """
BRIGHT BEAN ROASTERS

Winter roasts are here: Fireside (dark, cocoa) and First Frost (light,
orange peel). 15 % off both until Sunday with the code FROST15.

See the roasts: https://bright-bean.example/winter

You get this mail because your company buys from us. Unsubscribe:
https://bright-bean.example/unsubscribe
""",
        copy=PRESS,
    ),
    Letter(
        "stock",
        WAREHOUSE,
        SALES,
        3,
        "07:05",
        "Existencias semanales",
        """
Buenos días:

Adjuntamos las existencias de esta semana en formato CSV. Del filtro AF-2
quedan menos de 50 unidades; la próxima reposición está prevista para el
día 15.

Almacén Levante
""",
    ),
    Letter(
        "freight",
        CARRIER,
        SALES,
        2,
        "06:30",
        "Faktura nr FV/1187 – transport, zlecenie 2031",
        """
Szanowni Państwo,

w załączeniu przesyłamy fakturę FV/1187 za transport zlecenia 2031 oraz
ponownie protokół szkody. Termin płatności: 14 dni.

Spedycja Bałtyk
Dział rozliczeń
""",
        copy=HELPDESK,
    ),
    Letter(
        "forward",
        PRIYA,
        SALES,
        2,
        "14:18",
        "Fwd: Order confirmation 2049",
        """
Hello,

I was away last week and only now saw the attached confirmation. The
delivery address in it is our old one. Can you still change it to
4 Northgate Square, side entrance?

Priya
""",
    ),
)

PRESS_LETTERS = (
    # English: an interview.
    Letter(
        "interview-1",
        HANNAH,
        PRESS,
        9,
        "09:58",
        "Interview request: repairable office machines",
        """
Dear Ms Nowak,

I write for OfficeWorld Weekly and am working on a feature about office
machines that can be repaired instead of replaced. Your spare parts
promise of ten years is rare in the trade, and I would like to hear how
you do it.

Would you or a colleague from service have 30 minutes for a call next
week?

Kind regards,
Hannah Lindqvist
""",
        style="apple",
    ),
    Letter(
        "interview-2",
        CLARA_AT_PRESS,
        HANNAH.address,
        8,
        "13:31",
        "Re: Interview request: repairable office machines",
        """
Dear Hannah,

with pleasure. I can offer Tuesday or Wednesday at 10:00. It would help
us to have your questions the day before.

Best regards
Clara Nowak
Demo, press office
""",
        answers="interview-1",
    ),
    Letter(
        "interview-3",
        HANNAH,
        PRESS,
        7,
        "15:15",
        "Re: Interview request: repairable office machines",
        """
Dear Clara,

Wednesday at 10:00 is perfect. My questions:

1. What does it cost you to keep parts for ten years?
2. Which part is asked for most often?
3. Do your customers ask about repair before they buy, or only after?

Looking forward to it,
Hannah
""",
        answers="interview-2",
        style="apple",
    ),
    # Single letters.
    Letter(
        "daily",
        ONDREJ,
        PRESS,
        6,
        "11:20",
        "Dotaz redakce: recyklace vodních filtrů",
        """
Dobrý den,

připravuji pro Deník firmy článek o recyklaci vodních filtrů. Podle vašeho
webu odebíráte použité filtry zpět. Mohu se zeptat, kolik jich za rok
vyberete a co se s nimi děje dál?

Uzávěrku máme v pátek v poledne.

S pozdravem
Ondřej Kříž
redaktor
""",
    ),
    Letter(
        "visit",
        MARTA,
        PRESS,
        5,
        "12:44",
        "Entrevista en la radio: invitación",
        """
Hola, Clara:

Como hablamos por teléfono, te mando la convocatoria para la entrevista
en «La mañana de la Ribera». Será en directo y durará unos quince
minutos. Si el jueves no te viene bien, dímelo y lo movemos.

Un abrazo,
Marta Solís
Radio Ribera
""",
    ),
    Letter(
        "quotation",
        AGNIESZKA,
        PRESS,
        4,
        "10:57",
        "Prośba o autoryzację wypowiedzi",
        """
Dzień dobry,

przesyłam do autoryzacji fragment z wypowiedzią Pani Prezes:

„Naprawa zamiast wymiany to dla nas nie hasło, tylko codzienność serwisu”.

Czy mogę prosić o akceptację lub poprawki do jutra do godziny 15?

Pozdrawiam
Agnieszka Wójcik
„Gazeta Gospodarcza”
""",
    ),
    Letter(
        "comment",
        ANTON,
        PRESS,
        3,
        "08:16",
        "Запрос комментария для «Делового вестника»",
        """
Здравствуйте!

«Деловой вестник» готовит материал о рынке кофейного оборудования для
офисов. Просим прокомментировать рост цен на запчасти: ожидаете ли вы его
в следующем году и как это скажется на ваших клиентах?

Достаточно двух-трёх предложений до четверга.

С уважением,
Антон Лебедев
""",
        charset="windows-1251",
    ),
    Letter(
        "draft",
        AGENCY,
        PRESS,
        1,
        "16:30",
        "Borrador de la nota de prensa con el logotipo nuevo",
        """
Hola:

Aquí va el borrador de la nota de prensa con el logotipo nuevo ya
colocado. Falta la cita de dirección y el enlace a las fotos.

¿Le dais el visto bueno antes del viernes?

Estudio Naranjo
""",
        copy=SALES,
    ),
)

LETTERS = HELPDESK_LETTERS + SALES_LETTERS + PRESS_LETTERS
