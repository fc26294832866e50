"""What keeps coming in while the demo runs: new matters and answers, put together from the stock of this file."""

from __future__ import annotations

import random
import textwrap

from gateway.demo import enclosures
from gateway.demo.compose import Person
from gateway.demo.letters import HELPDESK, PRESS, SALES, Letter

WRITERS = {
    "en": (
        Person("Grace Whitfield", "grace@lantern-books.example", "en"),
        Person("Owen Hughes", "owen.hughes@tidewater-marine.example", "en"),
        Person("Amara Osei", "amara.osei@bluegate-dental.example", "en"),
    ),
    "cs": (
        Person("Lenka Horáková", "horakova@stavby-sever.example", "cs"),
        Person("Jiří Beneš", "benes@autodily-benes.example", "cs"),
        Person("Markéta Šimková", "simkova@skolka-slunicko.example", "cs"),
    ),
    "pl": (
        Person("Paweł Kamiński", "p.kaminski@drukarnia-sowa.example", "pl"),
        Person("Małgorzata Dąbrowska", "m.dabrowska@kancelaria-krakus.example", "pl"),
        Person("Łukasz Szymański", "lukasz@warsztat-rowerowy.example", "pl"),
    ),
    "es": (
        Person("Íñigo Muñoz", "i.munoz@bodegas-altavista.example", "es"),
        Person("Rosa Peña Gil", "rosa.pena@clinica-sanroque.example", "es"),
        Person("Javier Núñez", "javier@imprenta-delsur.example", "es"),
    ),
    "ru": (
        Person("Елена Соколова", "sokolova@stroymir.example", "ru"),
        Person("Сергей Никитин", "nikitin@avtodom-ural.example", "ru"),
        Person("Наталья Ким", "n.kim@stomatologia-kim.example", "ru"),
    ),
}

GREETINGS = {
    "en": ("Hello,", "Hi,", "Good morning,"),
    "cs": ("Dobrý den,",),
    "pl": ("Dzień dobry,",),
    "es": ("Buenos días:", "Hola:", "Buenas tardes:"),
    "ru": ("Добрый день!", "Здравствуйте!"),
}
CLOSINGS = {
    "en": ("Many thanks", "Best wishes", "Kind regards", "Thank you", "Best"),
    "cs": ("Děkujeme", "S pozdravem", "Děkuji a přeji hezký den", "Děkuji"),
    "pl": ("Pozdrawiam", "Z poważaniem", "Pozdrawiam serdecznie", "Z wyrazami szacunku"),
    "es": ("Gracias y un saludo", "Muchas gracias", "Un cordial saludo", "Atentamente", "Saludos"),
    "ru": ("С уважением,", "Спасибо,"),
}

# What is new: the address it goes to, its subject, and what stands between greeting and closing.
MATTERS = {
    "en": (
        (
            HELPDESK,
            "{model}: error {code} on the display",
            "Our {model} shows {code} after being switched on. "
            "Turning it off and on again helps for about ten minutes. "
            "What should we try next?",
        ),
        (
            HELPDESK,
            "Service visit for order {order}",
            "Could your technician come before 10:00 on the day of the visit? We have a fire drill after that.",
        ),
        (
            SALES,
            "Order: {count} filters AF-2",
            "Please send us {count} filters of the AF-2 type to the usual address. Our purchase order is {order}.",
        ),
        (
            SALES,
            "Where is order {order}?",
            "Order {order} was due yesterday, but nothing has arrived yet. Could you check with the carrier?",
        ),
        (
            PRESS,
            "Photos of the {model} in print quality",
            "For our guide to office kitchens we need two photos of the {model} in print quality, "
            "by Thursday if possible.",
        ),
    ),
    "cs": (
        (
            HELPDESK,
            "{model}: hlášení {code}",
            "na displeji přístroje {model} svítí {code}. "
            "Po vypnutí a zapnutí se hlášení za chvíli vrátí. "
            "Co s tím prosím můžeme udělat?",
        ),
        (
            HELPDESK,
            "Žádost o servisní prohlídku",
            "rádi bychom objednali pravidelnou prohlídku přístroje {model}. Hodí se nám kterýkoli den dopoledne.",
        ),
        (
            SALES,
            "Objednávka č. {order}",
            "objednáváme {count} ks filtrů AF-2 na obvyklou adresu. Prosíme o potvrzení termínu dodání.",
        ),
        (
            SALES,
            "Faktura k objednávce {order}",
            "k objednávce {order} nám zatím nepřišla faktura. Můžete ji prosím poslat ještě jednou?",
        ),
        (
            PRESS,
            "Prosba o vyjádření",
            "chystáme článek o kávě v kancelářích. "
            "Mohli byste nám ve dvou větách popsat, jaký zájem je o model {model}?",
        ),
    ),
    "pl": (
        (
            HELPDESK,
            "{model} – błąd {code}",
            "na wyświetlaczu urządzenia {model} pojawia się {code}. "
            "Wyłączenie i ponowne włączenie nie pomaga. "
            "Proszę o wskazówki.",
        ),
        (
            HELPDESK,
            "Zgłoszenie serwisowe",
            "urządzenie {model} głośno pracuje i czasem samo się wyłącza. Kiedy mógłby przyjechać serwisant?",
        ),
        (
            SALES,
            "Zamówienie nr {order}",
            "zamawiamy {count} szt. filtrów AF-2. Adres dostawy bez zmian. Proszę o potwierdzenie.",
        ),
        (
            SALES,
            "Pytanie o fakturę do zamówienia {order}",
            "na fakturze do zamówienia {order} jest stary adres firmy. Proszę o korektę.",
        ),
        (
            PRESS,
            "Zaproszenie do udziału w debacie",
            "zapraszamy przedstawiciela firmy do debaty o naprawach i trwałości sprzętu biurowego. "
            "Czy możemy liczyć na Państwa udział?",
        ),
    ),
    "es": (
        (
            HELPDESK,
            "{model}: aviso {code}",
            "En la pantalla de la {model} aparece {code} desde esta mañana. "
            "¿Qué podemos hacer mientras viene el técnico?",
        ),
        (
            HELPDESK,
            "Cambio de dirección para la revisión",
            "Nos hemos mudado a la planta baja. ¿Pueden avisar al técnico que viene por el pedido {order}?",
        ),
        (
            SALES,
            "Pedido {order}",
            "Queremos pedir {count} filtros AF-2 para la dirección de siempre. ¿Cuándo los recibiríamos?",
        ),
        (
            SALES,
            "Presupuesto para {count} unidades",
            "¿Nos pueden enviar un presupuesto para {count} unidades del modelo {model}, con mantenimiento incluido?",
        ),
        (
            PRESS,
            "Solicitud de información",
            "Preparamos un reportaje sobre el café en el trabajo y "
            "nos gustaría contar con los datos de ventas de la {model}.",
        ),
    ),
    "ru": (
        (
            HELPDESK,
            "{model}: ошибка {code}",
            "На экране {model} горит {code}. "
            "После перезапуска ошибка появляется снова. "
            "Подскажите, пожалуйста, что делать?",
        ),
        (
            HELPDESK,
            "Заявка на обслуживание",
            "Просим направить мастера для планового обслуживания {model}. Удобно в любой день после обеда.",
        ),
        (
            SALES,
            "Заказ № {order}",
            "Просим принять заказ: фильтры AF-2, {count} шт. "
            "Адрес доставки прежний. "
            "Счёт пришлите, пожалуйста, на эту почту.",
        ),
        (
            SALES,
            "Сроки поставки по заказу {order}",
            "Когда ожидать поставку по заказу {order}? Нам нужно спланировать работу склада.",
        ),
        (
            PRESS,
            "Запрос фотографий",
            "Для обзора нам нужны фотографии модели {model} в хорошем качестве. Можно ли получить их до пятницы?",
        ),
    ),
}

ANSWERS = {
    "en": (
        "Any news on this? A short line would do.",
        "Thank you, that works for us. You can close this one.",
        "One more question: does the warranty still cover this?",
        "Sorry to chase, but we would need an answer today.",
    ),
    "cs": (
        "Dobrý den, už prosím víte něco nového?",
        "Děkujeme, takhle nám to vyhovuje.",
        "Ještě jeden dotaz: vztahuje se na to záruka?",
        "Omlouvám se za urgenci, odpověď bychom potřebovali ještě dnes.",
    ),
    "pl": (
        "Dzień dobry, czy coś już wiadomo w tej sprawie?",
        "Dziękuję, wszystko się zgadza. Sprawę można zamknąć.",
        "Mam jeszcze jedno pytanie: czy obejmuje to gwarancja?",
        "Przepraszam za ponaglenie, ale potrzebujemy odpowiedzi jeszcze dziś.",
    ),
    "es": (
        "Buenos días, ¿hay alguna novedad?",
        "Muchas gracias, así nos viene bien.",
        "Una pregunta más: ¿esto lo cubre la garantía?",
        "Perdonen la insistencia, pero necesitaríamos una respuesta hoy.",
    ),
    "ru": (
        "Добрый день! Есть ли новости по этому вопросу?",
        "Спасибо, нас всё устраивает.",
        "Ещё один вопрос: распространяется ли на это гарантия?",
        "Извините за беспокойство, но ответ нужен сегодня.",
    ),
}
MODELS = ("Barista 300", "Barista 500", "Aqua 20", "Aqua 40")
REPLY_PREFIXES = ("re:", "odp:")


def open_matter(chance: random.Random, number: int) -> Letter:
    """A letter that begins something new; `number` tells it from all others of the stream."""
    language = chance.choice(sorted(WRITERS))
    writer = chance.choice(WRITERS[language])
    address, subject, text = chance.choice(MATTERS[language])
    greeting, closing = chance.choice(GREETINGS[language]), chance.choice(CLOSINGS[language])
    numbers = {
        "order": chance.randrange(2060, 2999),
        "count": chance.randrange(2, 40) * 5,
        "code": f"E{chance.randrange(1, 30):02}",
        "model": chance.choice(MODELS),
    }
    return Letter(
        key=f"stream-{number}",
        sender=writer,
        to=address,
        days=0,
        clock="",
        subject=subject.format(**numbers),
        text=f"{greeting}\n\n{textwrap.fill(text.format(**numbers), 74)}\n\n{closing}\n{writer.name}",
        copy=_copy(chance, address),
        style=chance.choice(("plain", "gmail", "outlook", "apple")),
        encoding=chance.choice(("quoted-printable", "base64", "8bit")),
    )


def answer(chance: random.Random, number: int, parent: Letter, language: str) -> Letter:
    """A further letter by the author of `parent`, in the language of the matter."""
    known = parent.subject.lower().startswith(REPLY_PREFIXES)
    return Letter(
        key=f"stream-{number}",
        sender=parent.sender,
        to=parent.to,
        days=0,
        clock="",
        subject=parent.subject if known else f"Re: {parent.subject}".rstrip(),
        text=f"{chance.choice(ANSWERS[language])}\n\n{parent.sender.name}",
        answers=parent.key,
        style=parent.style,
        encoding=chance.choice(("quoted-printable", "base64", "8bit")),
    )


def enclosures_of(letter: Letter) -> list[tuple[str, str, bytes]]:
    """What is enclosed in a letter of the stream: name, media type and bytes; the same for the same letter."""
    number = int(letter.key.removeprefix("stream-"))
    if letter.answers or number % 4:
        return []
    if letter.to == SALES:
        rows = [("Article", "Quantity"), ("AF-2", str(number)), ("DS-1", "2")]
        return [("order.csv", "text/csv", enclosures.csv(rows))]
    if letter.to == HELPDESK:
        return [("photo.png", "image/png", enclosures.photo())]
    return [("questions.pdf", "application/pdf", enclosures.pdf(["Questions", "", letter.sender.address]))]


def _copy(chance: random.Random, address: str) -> str:
    if chance.random() < 0.1:
        return chance.choice([other for other in (HELPDESK, SALES, PRESS) if other != address])
    return ""
