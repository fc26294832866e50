"""What can go wrong at each command of a pass: faults, where each is meaningful, and what is to be said of it.

The cells of the proof are made from the two lists, never written out by hand.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ..servers.relay import Talk

# In the order of a pass; the last three stand where a server has no MOVE.
SELECTED = ("SEARCH", "SEARCH deleted", "FETCH sizes", "FETCH bodies", "FETCH ranges")
FOLDERS = ("LIST", "CREATE", "STATUS")
MOVING = ("MOVE", "COPY", "STORE", "EXPUNGE")
ASKED = ("CAPABILITY", "LOGIN", "SELECT", *SELECTED, "NAMESPACE", *FOLDERS, *MOVING, "SEARCH moved", "LOGOUT")
COMMANDS = ("greeting", *ASKED)
WITH_ANSWERS = ("CAPABILITY", "SELECT", *SELECTED, "NAMESPACE", "LIST", "STATUS", "MOVE", "SEARCH moved")
BODIES = ("FETCH bodies", "FETCH ranges")

Asks = Callable[[Talk], bytes | None]
Answers = Callable[[Talk, list[bytes]], None]
UNNOTICED = "nothing: nobody noticed"
CUT = frozenset({"cut", "line"})
NOTHING = frozenset({""})  # it harms nobody
ENCRYPTION = {"TLS": frozenset({"encryption", *CUT})}
UNREAD = frozenset({"garbled"})


def pass_on(talk: Talk) -> bytes | None:
    return talk.line


def tell(talk: Talk, told: list[bytes]) -> None:
    talk.say(*told)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, once or for some time."""

    name: str
    at: tuple[str, ...]
    kinds: frozenset[str]  # of trouble, of which one has to be told; "": none
    asks: Asks = pass_on
    answers: Answers = tell
    instead: dict[str, frozenset[str]] = field(default_factory=dict)  # at these commands other kinds
    lasts: int = 1  # commands in a row that meet it
    hasty: bool = False  # the gateway is to lose patience soon
    large: bool = False  # memory is watched

    def expected(self, command: str) -> frozenset[str]:
        if command in self.instead:
            return self.instead[command]
        # Nothing depends on how we part; that a folder is shown everywhere is a courtesy.
        return self.kinds | NOTHING if command in ("LOGOUT", "SUBSCRIBE") else self.kinds


# --- the line ---------------------------------------------------------------------------------------------------


def cut_unasked(talk: Talk) -> bytes | None:
    talk.cut()
    return None


def cut(talk: Talk, _told: list[bytes]) -> None:
    talk.cut()


def but_the_last(talk: Talk, told: list[bytes]) -> None:
    talk.say(*told[:-1])
    talk.cut()


def all_and_cut(talk: Talk, told: list[bytes]) -> None:
    talk.say(*told)
    talk.cut()


def half_a_line(talk: Talk, told: list[bytes]) -> None:
    line = told[0].partition(b"\r\n")[0]
    talk.say(line[: len(line) // 2 + 1])
    talk.cut()


def within_a_literal(talk: Talk, told: list[bytes]) -> None:
    talk.say(_within(told))
    talk.cut()


def stall(talk: Talk, _told: list[bytes]) -> None:
    talk.wait()


def stall_within_a_literal(talk: Talk, told: list[bytes]) -> None:
    talk.say(_within(told))
    talk.wait()


def drip(talk: Talk, told: list[bytes]) -> None:
    talk.drip(b"".join(told), 0.15)
    talk.wait()


def still_working(talk: Talk, told: list[bytes]) -> None:
    """As servers do that have much to search; without an end."""
    while not talk.over.wait(0.05):
        talk.say(b"* OK Hang in there...\r\n")


def _within(told: list[bytes]) -> bytes:
    answer = b"".join(told)
    start, end, _ = next(_literals(answer))
    return answer[: random.Random(len(answer)).randrange(start + 1, end)]


def _literals(answer: bytes) -> Iterator[tuple[int, int, re.Match[bytes]]]:
    at = 0
    while match := re.compile(rb"\{(\d+)\}\r\n").search(answer, at):
        at = match.end() + int(match[1])
        yield match.end(), at, match


# --- numbers and bytes that lie -----------------------------------------------------------------------------------


def announce(by: int) -> Answers:
    """The first literal that is long enough is announced as longer or shorter by so many bytes than it is."""

    def answers(talk: Talk, told: list[bytes]) -> None:
        answer = b"".join(told)
        start, end, match = next(one for one in _literals(answer) if one[1] - one[0] + by > 0)
        talk.say(answer[: match.start()], b"{%d}\r\n" % (end - start + by), answer[start:])

    return answers


def announce_endless(talk: Talk, told: list[bytes]) -> None:
    talk.say(b"* 1 FETCH (UID 1 BODY[] {4294967295}\r\n", *told)


def endless_line(talk: Talk, _told: list[bytes]) -> None:
    talk.say(b"* ")
    for _ in range(1600):
        talk.say(b"x" * (1 << 16))
    talk.say(b"\r\n")


def endless_lines(talk: Talk, _told: list[bytes]) -> None:
    while not talk.over.is_set():
        talk.say(b"* 1 EXISTS\r\n" * 5000)


def put_before(*lines: bytes) -> Answers:
    def answers(talk: Talk, told: list[bytes]) -> None:
        talk.say(*lines, *told)

    return answers


def put_last(*lines: bytes) -> Answers:
    def answers(talk: Talk, told: list[bytes]) -> None:
        talk.say(*told[:-1], *lines, told[-1])

    return answers


def instead(pattern: bytes, text: bytes) -> Answers:
    def answers(talk: Talk, told: list[bytes]) -> None:
        talk.say(*(re.sub(pattern, text, one, count=1) for one in told))

    return answers


def other_uids(talk: Talk, told: list[bytes]) -> None:
    talk.say(*(re.sub(rb"UID (\d+)", lambda uid: b"UID %d" % (int(uid[1]) + 1000), one, count=1) for one in told))


def twice(talk: Talk, told: list[bytes]) -> None:
    talk.say(*told[:-1], *told)


def twice_and_not_the_same(talk: Talk, told: list[bytes]) -> None:
    start, _, _ = next(_literals(told[0]))
    talk.say(told[0][:start], b"!", told[0][start + 1 :], *told)


def another_tag(talk: Talk, told: list[bytes]) -> None:
    talk.say(*told[:-1], b"ZZZZ9 OK done\r\n")
    talk.wait()


def tagged_twice(talk: Talk, told: list[bytes]) -> None:
    talk.say(*told, told[-1])


# --- refusals -----------------------------------------------------------------------------------------------------


def unasked(_talk: Talk) -> bytes | None:
    return None


def refuse(answer: str) -> Answers:
    """The command is not done, and this is said: `NO …`, `BAD …`, or `BYE …` and the line is cut."""

    def answers(talk: Talk, _told: list[bytes]) -> None:
        if answer.startswith("BYE") or not talk.line:
            talk.say(f"* {answer}\r\n".encode())
            talk.cut()
        talk.say(talk.tag + f" {answer}\r\n".encode())

    return answers


def deny(talk: Talk, told: list[bytes]) -> None:
    """It was done."""
    talk.say(*(one for one in told[:-1] if b"COPYUID" not in one), talk.tag + b" NO it cannot be done\r\n")


def claim(talk: Talk, _told: list[bytes]) -> None:
    """It was not done."""
    uids = _uids(talk.line)
    code = b""
    if talk.name in ("MOVE", "COPY") and uids:
        named = b",".join(b"%d" % uid for uid in uids)
        code = b"[COPYUID 1 %b %b] " % (named, b",".join(b"%d" % (uid + 5000) for uid in uids))
    talk.say(talk.tag, b" OK ", code, b"done\r\n")


def half(talk: Talk) -> bytes | None:
    uids = _uids(talk.line)
    some = b",".join(b"%d" % uid for uid in uids[: len(uids) // 2])
    return re.sub(rb"(UID \w+ )[\d:,]+", rb"\g<1>" + some, talk.line, count=1)


def _uids(line: bytes) -> list[int]:
    found = re.search(rb"UID \w+ ([\d:,]+)", line)
    uids: list[int] = []
    for one in found[1].split(b",") if found else ():
        first, _, last = one.partition(b":")
        uids += range(int(first), int(last or first) + 1)
    return uids


_OTHERS = (b"* 9 EXISTS\r\n", b"* 1 RECENT\r\n", b"* 2 FETCH (FLAGS (\\Seen \\Flagged))\r\n", b"* 9 EXPUNGE\r\n")
_UNASKED = (
    b'* LIST (\\Noselect) "/" "INBOX"\r\n',
    b'* STATUS "Elsewhere" (MESSAGES 7 UIDNEXT 1 UIDVALIDITY 1)\r\n',
    b"* 1 FETCH (UID 1 BODY[] {5}\r\nfalse FLAGS ())\r\n",
    b"* SEARCH 1 2 3 99\r\n",
)
_LOGIN_LATER = {"LOGIN": frozenset({"not let in"})}
_FOLDER_LATER = {"SELECT": frozenset({"folder closed"}), "STATUS": frozenset({"folder closed"})}
# What is refused for many is asked for one by one.
_WITHHELD = {"FETCH bodies": NOTHING, "FETCH ranges": frozenset({"withheld"})}
_PLAIN_NO = {
    "LOGIN": frozenset({"password"}),
    "SELECT": frozenset({"folder gone"}),
    "STATUS": frozenset({"folder gone"}),
    "CREATE": frozenset({"folder not made"}),
    **_WITHHELD,
}
_THROTTLED = frozenset({"throttled"})
_WORKING = tuple(one for one in ASKED if one not in ("CAPABILITY", "LOGOUT"))


def _code(answer: str, at: Iterable[str], kinds: frozenset[str], **instead: frozenset[str]) -> Fault:
    return Fault(answer, tuple(at), kinds, unasked, refuse(answer), instead)


def _later(answer: str, at: Iterable[str] = _WORKING) -> Fault:
    others = dict.fromkeys(at, CUT | _THROTTLED) if answer.startswith("BYE") else {**_LOGIN_LATER, **_FOLDER_LATER}
    return Fault(answer, tuple(at), _THROTTLED, unasked, refuse(answer), others, lasts=3)


FAULTS = (
    Fault("cut before it is asked", (*ASKED, "TLS"), CUT, asks=cut_unasked, instead=ENCRYPTION),
    Fault("cut before any answer", (*COMMANDS, "TLS"), CUT, answers=cut, instead=ENCRYPTION, lasts=3),
    Fault("cut before the tagged answer", WITH_ANSWERS, CUT, answers=but_the_last),
    Fault("cut after the answer", COMMANDS, CUT, answers=all_and_cut),
    Fault("cut within a line", COMMANDS, CUT, answers=half_a_line),
    Fault("cut within a literal", BODIES, CUT, answers=within_a_literal),
    Fault("stall", (*COMMANDS, "TLS"), frozenset({"silent"}), answers=stall, hasty=True),
    Fault("stall within a literal", BODIES, frozenset({"silent"}), answers=stall_within_a_literal, hasty=True),
    Fault(
        "a byte now and then",
        (*COMMANDS, "TLS"),
        frozenset({"slow"}),
        answers=drip,
        instead={"TLS": frozenset({"slow", "silent"})},
        hasty=True,
    ),
    Fault("still working, for ever", ("SEARCH", "MOVE"), frozenset({"slow"}), answers=still_working, hasty=True),
    *(
        Fault(f"literal {-by} longer than announced", BODIES, UNREAD | CUT, answers=announce(by))
        for by in (-1, -2, -3, -40)
    ),
    *(
        Fault(
            f"literal {by} shorter than announced", BODIES, UNREAD | CUT | {"silent"}, answers=announce(by), hasty=True
        )
        for by in (1, 3, 40)
    ),
    Fault("{4294967295}", WITH_ANSWERS, frozenset({"endless"}), answers=announce_endless, large=True),
    Fault(
        "a line of 100 MB",
        ("greeting", "LOGIN", "SELECT", "SEARCH", "FETCH bodies", "LIST", "MOVE"),
        frozenset({"endless"}),
        answers=endless_line,
        large=True,
    ),
    Fault("lines without end", ("SEARCH", "FETCH bodies"), frozenset({"endless"}), answers=endless_lines, large=True),
    Fault("NUL bytes", ASKED, UNREAD, answers=put_before(b"\0\0\0\r\n")),
    Fault("NUL bytes in a note", ASKED, NOTHING, answers=put_before(b"* OK \0 \0\r\n")),
    Fault("an empty line", ASKED, UNREAD, answers=put_before(b"\r\n")),
    Fault("another protocol", ("greeting", "LOGIN", "SELECT"), UNREAD, unasked, put_before(b"HTTP/1.1 400 Bad\r\n")),
    Fault("no TLS", ("TLS",), frozenset({"encryption"}), unasked, put_before(b"* OK ready\r\n")),
    Fault("others' doings in between", (*SELECTED, "STATUS", *MOVING), NOTHING, answers=put_last(*_OTHERS)),
    Fault(
        "answers to questions not asked",
        ("SELECT", "FETCH sizes", *BODIES, "LIST", "STATUS", "MOVE"),
        NOTHING,
        answers=put_before(*_UNASKED),
        instead={"FETCH bodies": UNREAD},
    ),
    Fault("answers for other UIDs", ("FETCH sizes", *BODIES), NOTHING | {"withheld"}, answers=other_uids),
    Fault("answers twice", ("FETCH sizes", *BODIES), NOTHING, answers=twice),
    Fault("answers twice and not the same", BODIES, UNREAD, answers=twice_and_not_the_same),
    Fault("answered with another tag", ASKED, UNREAD, answers=another_tag),
    Fault(
        "answered with the tag twice",
        _WORKING,
        UNREAD,
        answers=tagged_twice,
        instead={"SEARCH moved": NOTHING | UNREAD},
    ),
    Fault("a continuation nobody waits for", ASKED, NOTHING, answers=put_last(b"+ go on\r\n")),
    Fault("BYE before the answer", _WORKING, CUT, answers=put_before(b"* BYE shutting down\r\n")),
    Fault(
        "UIDVALIDITY another for once", ("SELECT",), NOTHING, answers=instead(rb"UIDVALIDITY \d+", b"UIDVALIDITY 77")
    ),
    Fault("UIDNEXT grows", ("SELECT", "STATUS"), NOTHING, answers=instead(rb"UIDNEXT \d+", b"UIDNEXT 4000000000")),
    Fault("UIDVALIDITY is no number", ("STATUS",), UNREAD, answers=instead(rb"UIDVALIDITY \d+", b"UIDVALIDITY x")),
    Fault("no UIDVALIDITY", ("SELECT",), frozenset({"no uidvalidity"}), answers=instead(rb"UIDVALIDITY", b"UIDVALUE")),
    Fault("UIDNEXT shrinks", ("SELECT", "STATUS"), NOTHING, answers=instead(rb"UIDNEXT \d+", b"UIDNEXT 1")),
    Fault(
        "COPYUID of others",
        ("MOVE", "COPY"),
        UNREAD,
        answers=instead(rb"COPYUID \d+ [\d:,]+ [\d:,]+", b"COPYUID 1 9000:9010 1:11"),
    ),
    Fault(
        "COPYUID of nowhere",
        ("MOVE", "COPY"),
        UNREAD,
        answers=instead(rb"(COPYUID \d+ [\d:,]+) [\d:,]+", rb"\1 90000:90010"),
    ),
    Fault("OK, and not done", MOVING, frozenset({"not moved"}), unasked, claim, lasts=3),
    Fault("OK, and not done: CREATE", ("CREATE",), frozenset({"folder gone"}), unasked, claim),
    Fault("OK, and half of it done", MOVING, frozenset({"not moved"}), half),
    Fault("NO, and done", MOVING, frozenset({"disobedient"}), answers=deny, lasts=2),
    Fault("NO, and done: CREATE", ("CREATE",), NOTHING, answers=deny),
    Fault("READ-ONLY", ("SELECT",), frozenset({"forbidden"}), answers=put_before(b"* OK [READ-ONLY] for now\r\n")),
    # refusals
    Fault("NO", _WORKING, frozenset({"disobedient"}), unasked, refuse("NO it cannot be done"), _PLAIN_NO),
    Fault(
        "BAD",
        _WORKING,
        frozenset({"disobedient"}),
        unasked,
        refuse("BAD what is that?"),
        {**_LOGIN_LATER, **_FOLDER_LATER, **_WITHHELD},
    ),
    _later("NO [UNAVAILABLE] not now"),
    _later("NO [INUSE] somebody is at it", ("LOGIN", "SELECT", "CREATE", *MOVING)),
    _later("NO [LIMIT] too many"),
    _later("NO [ALERT] Too many simultaneous connections. (Failure)", ("LOGIN", "SELECT", "FETCH bodies")),
    _later("NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)", ("LOGIN", "FETCH bodies", "MOVE")),
    _later("NO Server Unavailable. 15", ("LOGIN", "SELECT", "FETCH bodies", "MOVE")),
    _code(
        "BAD User is authenticated but not connected.",
        ("SELECT", "SEARCH", "FETCH sizes", "MOVE"),
        frozenset({"no mailbox"}),
    ),
    _later("NO Request is throttled. Suggested Backoff Time: 9961 milliseconds", ("SELECT", "FETCH bodies", "MOVE")),
    _later("BYE Too many connections", ("greeting", "LOGIN", "SELECT")),
    Fault("BYE", COMMANDS, CUT, unasked, refuse("BYE Server shutting down")),
    _code("NO [AUTHENTICATIONFAILED] Invalid credentials", ("LOGIN",), frozenset({"password"})),
    _code("NO [AUTHORIZATIONFAILED] not yours", ("LOGIN",), frozenset({"password"})),
    _code("NO [EXPIRED] The password has expired", ("LOGIN",), frozenset({"password"})),
    _code("NO [PRIVACYREQUIRED] Use encryption", ("LOGIN",), frozenset({"no encryption"})),
    _code("NO [CONTACTADMIN] Ask the admin", ("LOGIN", "SELECT"), frozenset({"not let in", "folder closed"})),
    _code(
        "NO [SERVERBUG] Internal error",
        ("LOGIN", "SELECT", "MOVE"),
        frozenset({"disobedient"}),
        LOGIN=frozenset({"not let in"}),
        SELECT=frozenset({"folder closed"}),
    ),
    _code("BAD [CLIENTBUG] Not like that", ("SEARCH", "STATUS", "MOVE"), frozenset({"disobedient", "folder closed"})),
    _code("NO [NOPERM] Permission denied", ("SELECT", "CREATE", *MOVING), frozenset({"forbidden", "folder forbidden"})),
    _code("NO [NONEXISTENT] Unknown folder", ("SELECT",), frozenset({"folder gone"})),
    _code("NO [TRYCREATE] Unknown folder", ("MOVE", "COPY"), frozenset({"disobedient"})),
    _code("NO [OVERQUOTA] Quota exceeded", ("CREATE", "MOVE", "COPY"), frozenset({"mailbox full"})),
    Fault("NO [ALREADYEXISTS] It is there", ("CREATE",), NOTHING, answers=refuse("NO [ALREADYEXISTS] It is there")),
)


# --- while the gateway waits for news -----------------------------------------------------------------------------


def untold(_talk: Talk, _told: list[bytes]) -> None:
    """The server keeps its news to itself."""


def in_pieces(talk: Talk, told: list[bytes]) -> None:
    talk.drip(b"".join(told), 0.02)


WAITING = ("IDLE", "news", "DONE")  # the question with its go-ahead; what the server tells by itself; the end of it
# The go-ahead is the end of a pass that went well; whatever fails while nobody asks costs a new connection.
_AFTERWARDS = {"DONE": NOTHING | UNREAD | CUT}

WHILE_WAITING = (
    Fault("cut before it is asked", ("IDLE",), NOTHING, asks=cut_unasked),
    Fault("cut before any answer", WAITING, NOTHING, answers=cut),
    Fault("cut after the answer", WAITING, NOTHING, answers=all_and_cut, instead=_AFTERWARDS),
    Fault("cut within a line", WAITING, NOTHING, answers=half_a_line),
    Fault("stall", ("IDLE", "DONE"), NOTHING, answers=stall, hasty=True),
    Fault("still working, for ever", ("DONE",), NOTHING, answers=still_working, hasty=True),
    Fault("news that is not told", ("news",), NOTHING, answers=untold, lasts=100),
    Fault("told in pieces", ("news", "DONE"), NOTHING, answers=in_pieces, lasts=5),
    Fault("a sign of life", WAITING, NOTHING, answers=put_before(b"* OK Still here\r\n")),
    Fault("untrue EXISTS", WAITING, NOTHING, answers=put_before(b"* 17 EXISTS\r\n", b"* 0 EXISTS\r\n"), lasts=3),
    Fault("absurd EXISTS", WAITING, NOTHING, answers=put_before(b"* 99999999999999999999 EXISTS\r\n")),
    Fault("others' doings in between", WAITING, NOTHING, answers=put_before(*_OTHERS)),
    Fault("answers to questions not asked", WAITING, NOTHING, answers=put_before(*_UNASKED)),
    Fault("NUL bytes", WAITING, NOTHING, answers=put_before(b"\0\0\0\r\n")),
    Fault("an empty line", WAITING, NOTHING, answers=put_before(b"\r\n")),
    Fault("another protocol", WAITING, NOTHING, answers=put_before(b"HTTP/1.1 400 Bad\r\n")),
    Fault("a continuation nobody waits for", ("news", "DONE"), NOTHING, answers=put_before(b"+ go on\r\n")),
    Fault("answered with another tag", ("DONE",), NOTHING, answers=another_tag, hasty=True),
    Fault("answered with the tag twice", ("DONE",), NOTHING | UNREAD, answers=tagged_twice),
    Fault("{4294967295}", WAITING, NOTHING, answers=announce_endless, large=True),
    Fault("a line of 100 MB", WAITING, NOTHING, answers=endless_line, large=True),
    Fault("lines without end", WAITING, NOTHING, answers=endless_lines, large=True),
    Fault("BYE", WAITING, NOTHING, answers=refuse("BYE Server shutting down")),
    *(
        Fault(answer, ("IDLE",), NOTHING, unasked, refuse(answer))
        for answer in ("NO [LIMIT] too many wait", "BAD what is that?", "OK that was quick")
    ),
    *(Fault(answer, ("DONE",), NOTHING, answers=refuse(answer)) for answer in ("NO not now", "BAD what is that?")),
)
WAITING_CELLS = [(fault, command) for fault in WHILE_WAITING for command in fault.at]
CELLS = [(fault, command) for fault in FAULTS for command in fault.at]
