"""The bus' subjects on NATS: how topics, feeds and instruments are written there, and read again.

| subject | payload |
|---|---|
| ``oa.t.<feed>.<exchange>.<symbol>.<mode>`` | ticks of a feed, as `openalgo_ws.bus.records.pack` makes them |
| ``oa.f.<exchange>.<symbol>.<mode>`` | a tick of an untagged publisher, as it came |
| ``oa.l.<term>`` | ticks' subject for replies: it only says in which term of the lease they were published |
| ``oa.x.<topic>`` | any other message of the platform: orders, invalidations |
| ``oa.n.<publisher>.<number>`` | these messages' subject for replies: it only says their number |
| ``oa.n`` | asks publishers which of those they have |
| ``oa.n.<publisher>`` | asks one for those from a number on |
| ``oa.h`` | a publisher says which it has |
| ``oa.i.<subscriber>.h``, ``oa.i.<subscriber>.a.<topic>`` | the same in reply, and such a message again |
| ``oa.s`` | asks publishers for the last ticks of some instruments |
| ``oa.d.feeds`` | from gateways to the feed process that leads, see `openalgo_ws.scale.nats_demand` |
| ``oa.d.g.<channel>`` | its answers to one gateway |
| ``oa.d.here`` | a feed process begins to lead |
| ``oa.d.feeds.<layout>.<partition>``, ``oa.d.here.<layout>.<partition>`` | the same, of one partition |
| ``oa.m.<layout>`` | feed processes that share the partitions tell that they live |

A token must not be empty nor hold dots, spaces or wildcards (NATS' subject rules), so what is not a
letter, a digit, ``-`` or ``_`` is written as ``=`` and two hexadecimal digits for each byte of its UTF-8.
"""

from __future__ import annotations

import re

from openalgo_ws.bus.records import topic_for
from openalgo_ws.bus.topics import parse_market_topic
from openalgo_ws.tick import Mode

__all__ = [
    "AGAIN",
    "DEMAND",
    "GATEWAYS",
    "INBOXES",
    "LEADER",
    "MEMBERS",
    "MESSAGES",
    "NUMBERS",
    "OTHERS",
    "SNAPSHOTS",
    "STATE",
    "STATES",
    "TICKS",
    "BadSubject",
    "foreign_interest",
    "interest",
    "number_of",
    "of_message",
    "of_term",
    "of_ticks",
    "term_of",
    "token",
    "topic_of",
    "untoken",
]

SNAPSHOTS = "oa.s"
TERMS = "oa.l."
MESSAGES = "oa.x."
OTHERS = MESSAGES + ">"
#: What a subscriber to all ticks takes.
TICKS = ("oa.t.>", "oa.f.>")

#: What is no market data is numbered (`openalgo_ws.bus.nats_updates`): questions to publishers, which
#: messages they have, and what follows a subscriber's inbox.
NUMBERS = "oa.n"
STATES = "oa.h"
INBOXES = "oa.i."
STATE = ".h"
AGAIN = ".a."

#: The demand protocol: to the feed process that leads, to gateways (each channel a token), and that a
#: feed process has begun to lead.
DEMAND = "oa.d.feeds"
GATEWAYS = "oa.d.g."
LEADER = "oa.d.here"
#: Feed processes to each other.
MEMBERS = "oa.m"

_SPECIAL = re.compile(rb"[^A-Za-z0-9_-]")
_WRITTEN = re.compile(rb"=([0-9a-f]{2})")
_TOKEN = re.compile(r"(?:[A-Za-z0-9_-]|=[0-9a-f]{2})+")
_TERM = re.compile(r"oa\.l\.([0-9]{1,19})")
_NUMBERED = re.compile(r"oa\.n\.([0-9a-f]{16})\.([0-9]{1,18})")
#: How an empty text is written: no other is written so, because a byte has two digits.
_EMPTY = "="


class BadSubject(ValueError):
    """The subject is none of ours."""


def token(text: bytes) -> str:
    """A text as one token of a subject."""
    return _SPECIAL.sub(lambda found: b"=%02x" % found[0][0], text).decode("ascii") or _EMPTY


def untoken(text: str) -> bytes:
    """What `token` was given; BadSubject if this comes from elsewhere."""
    if text == _EMPTY:
        return b""
    if _TOKEN.fullmatch(text) is None:
        raise BadSubject(text)
    return _WRITTEN.sub(lambda found: bytes((int(found[1], 16),)), text.encode("ascii"))


def of_ticks(feed: str, exchange: str, symbol: str, mode: Mode) -> str:
    """Where a feed's ticks of an instrument go."""
    return f"oa.t.{token(feed.encode())}.{token(exchange.encode())}.{token(symbol.encode())}.{mode.name}"


def of_message(topic: bytes) -> str:
    """Where a message of the platform goes."""
    market = parse_market_topic(topic)
    if market is None:
        return MESSAGES + token(topic)
    return f"oa.f.{token(market.exchange.encode())}.{token(market.symbol.encode())}.{market.mode.name}"


def interest(feed: str, exchange: str, symbol: str) -> str:
    """Everything that a feed says about an instrument."""
    return f"oa.t.{token(feed.encode())}.{token(exchange.encode())}.{token(symbol.encode())}.*"


def foreign_interest(exchange: str, symbol: str) -> str:
    """Everything that untagged publishers say about an instrument."""
    return f"oa.f.{token(exchange.encode())}.{token(symbol.encode())}.*"


def topic_of(subject: str) -> bytes:
    """The topic under which the message would travel on ZeroMQ; BadSubject if there is none."""
    parts = subject.split(".")
    try:
        match parts:
            case ["oa", "t", feed, _, _, mode] if mode in Mode.__members__ and untoken(feed):
                return topic_for(untoken(feed).decode())
            case ["oa", "f", exchange, symbol, mode] if mode in Mode.__members__:
                return b"%b_%b_%b" % (untoken(exchange), untoken(symbol), mode.encode())
            case ["oa", "x", topic]:
                return untoken(topic)
    except UnicodeDecodeError:
        pass
    raise BadSubject(subject)


def of_term(term: int) -> str:
    """What a tick says of the term in which it was published."""
    return f"{TERMS}{term}"


def term_of(reply: str) -> int | None:
    """The term that a tick's subject for replies names; None if it names none. BadSubject if it is not as our
    publishers make it."""
    if not reply:
        return None
    found = _TERM.fullmatch(reply)
    if found is None:
        raise BadSubject(reply)
    return int(found[1])


def number_of(reply: str) -> tuple[str, int] | None:
    """The publisher and the number that a message's subject for replies names; None if it is none of ours.
    BadSubject if it is not as our publishers make it."""
    if not reply.startswith(NUMBERS + "."):
        return None
    found = _NUMBERED.fullmatch(reply)
    if found is None:
        raise BadSubject(reply)
    return found[1], int(found[2])
