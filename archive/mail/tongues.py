"""In which language a text is written, told by its small words. Pure; None where that is not plain.

It decides nothing but which text of a template is offered first, and a person sees it before it goes.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping

# As their speakers call them.
KNOWN: Mapping[str, str] = {
    "en": "English", "cs": "Čeština", "de": "Deutsch", "es": "Español", "fr": "Français", "it": "Italiano",
    "pl": "Polski", "ru": "Русский", "sk": "Slovenčina",
}  # fmt: skip

_SMALL: Mapping[str, str] = {
    "en": "the and of to in is that for with you this not are have from your we be it on was will please an would "
    "thank thanks what when our hello dear my me can",
    "cs": "a se na je že s z do pro jsem jsme by jak ale nebo jako po tak když které prosím děkuji dobrý den vám vás "
    "jste aby ještě byl jsou nám mi při už také této dne není",
    "de": "der die das und ist nicht ein eine ich sie wir mit für auf zu den im von dass bitte danke haben sind werden "
    "dem des es an ihnen ihre mein unser sehr geehrte wie noch",
    "es": "el la los las de que y en un una por con para no se es del lo su como más pero gracias hola usted nos está "
    "este esta buenos días al ha mi me",
    "fr": "le la les des et est que un une pour dans ne pas vous nous je avec sur ce qui par plus bonjour merci votre "
    "du au en sont ai cette mon",
    "it": "il la di che e un una per non con sono del si da come al gli nel della buongiorno grazie ho ha vi le in "
    "lo questo nostro",
    "pl": "i w na się nie z do że jest to o jak po przez ale od czy dla proszę dziękuję dzień dobry pan pani państwo "
    "mam są było tego może jestem oraz już będzie mi",
    "ru": "и в не на что с по как это из за для но к от вы мы я у так же бы спасибо здравствуйте пожалуйста ваш нам "
    "было мне его все уже или еще день добрый",
    "sk": "a sa na je že s z do pre som sme by ako ale alebo po tak keď ktoré prosím ďakujem dobrý deň vám vás ste aby "
    "ešte bol sú nám mi pri už tiež tejto nie",
}
_WORDS = {code: frozenset(words.split()) for code, words in _SMALL.items()}
_WORD = re.compile(r"[^\W\d_]+")
_LOOKED_AT = 4_000  # characters
_LEAST = 2  # words


def guess(text: str, among: Collection[str] = tuple(KNOWN)) -> str | None:
    """The language of a text, of those that count; quoted lines do not."""
    own = "\n".join(line for line in text[: 2 * _LOOKED_AT].split("\n") if not line.startswith(">"))
    words = Counter(_WORD.findall(own[:_LOOKED_AT].lower()))
    found = sorted(((sum(words[one] for one in _WORDS[code]), code) for code in KNOWN if code in among), reverse=True)
    if not found or found[0][0] < _LEAST or (len(found) > 1 and found[0][0] == found[1][0]):
        return None
    return found[0][1]
