"""IIFL Capital's Bridge: MQTT 3.1.1 on a TLS stream, structures of fixed size in its publishes.

Source: the official Bridge libraries (BridgePy 0.1.1, BridgeNode, bridgeGo) and the broker's
documentation. `topics` says what is subscribed, `structures` what is in a payload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from openalgo_adapters._common.keys import keyed
from openalgo_adapters._common.values import BadValue
from openalgo_adapters._mqtt.packets import (
    PINGREQ,
    BadPacket,
    Kind,
    Packet,
    Reader,
    StreamLost,
    connect,
    puback,
    publish,
    subscribe,
    unsubscribe,
)
from openalgo_adapters.iiflcapital.login import user_name
from openalgo_adapters.iiflcapital.orders import order_update
from openalgo_adapters.iiflcapital.structures import CIRCUIT, LENGTHS, BadStructure, Record, scale
from openalgo_adapters.iiflcapital.topics import key_of, order_topic, topics_of
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Change,
    Dial,
    Disconnect,
    Environment,
    Event,
    FeedCodec,
    LoggedIn,
    LoginFailed,
    Malformed,
    Rejected,
    Reply,
    Send,
    Transport,
    Verdict,
)
from openalgo_ws.tick import Instrument, Mode, Tick

__all__ = ["MarketBridge", "OrderBridge"]

_KEEP_ALIVE = 20
#: Topics of one SUBSCRIBE, by the SDK's own check.
_PER_PACKET = 1024
#: Requests whose answer is awaited, so that a refusal can name its instruments.
_MAX_AWAITED = 256

_REFUSED = 0x80
_MARKET = b"prod/marketfeed/"
_ORDERS = b"prod/updates/order/"

#: By the return code of a CONNACK. What isn't here is for another try.
_REFUSALS = {
    1: Verdict(Cause.FATAL, "the broker does not speak this version of MQTT"),
    # A codec is made for every connection, and with it an identifier.
    2: Verdict(Cause.TRANSIENT, "the broker refused the client's identifier"),
    4: Verdict(Cause.TOKEN, "the broker refused the login"),
    5: Verdict(Cause.TOKEN, "the broker refused the login"),
}

_Take = Callable[[bytes], Tick | None]


class Bridge(FeedCodec):
    """One connection to the Bridge: login, heartbeat, and what comes in."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        # Two connections of one identifier throw each other out.
        self._client = credentials.get("mqtt_client_id") or f"openalgo{environment.random(7).hex()}"
        self._reader = Reader()
        self._lost = False
        self._identifier = 0
        self._awaited: dict[int, tuple[Instrument, ...]] = {}
        self._records: dict[str, Record] = {}
        #: By topic: what takes its payload.
        self._takers: dict[bytes, _Take] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        # (conflict: the SDK's samples have port 9906.)
        return Dial(url="tls://bridge.iiflcapital.com:8883", transport=Transport.STREAM)

    def opened(self) -> list[Send]:
        session = self._credentials.get("user_session", "")
        password = f"OPENID~~{session}~"
        # (single source: version 3.1.1 alone is taken.)
        return [connect(self._client, user_name(session), password, keep_alive=_KEEP_ALIVE)]

    def heartbeat(self) -> Send:
        return PINGREQ

    def closed(self, code: int | None, reason: str) -> Verdict:
        return Verdict(Cause.TRANSIENT, "closed by the broker")

    def received(self, data: str | bytes) -> list[Event]:
        events, self._refused = self._refused, []
        if self._lost:
            return events
        self._reader.feed(data.encode("utf-8", "replace") if isinstance(data, str) else data)
        try:
            while (packet := self._reader.next()) is not None:
                self._packet(packet, events)
        except StreamLost as problem:
            self._lost = True
            self._reader = Reader()
            events.append(Disconnect(Verdict(Cause.TRANSIENT, f"the stream is lost: {problem}")))
        return events

    def _packet(self, packet: Packet, events: list[Event]) -> None:
        try:
            if packet.kind is Kind.PUBLISH:
                self._published(packet, events)
            elif packet.kind is Kind.CONNACK:
                events += self._answer(packet.body)
            elif packet.kind is Kind.SUBACK:
                events += self._granted(packet.body)
            elif packet.kind in (Kind.PINGRESP, Kind.UNSUBACK):
                events.append(Alive())
            else:
                events.append(Malformed(f"a server does not send {packet.kind.name}"))
        except (BadPacket, BadStructure) as problem:
            events.append(Malformed(str(problem)))
        except BadValue as problem:
            events.append(Malformed(f"order update: {problem}"))

    def _answer(self, body: bytes) -> list[Event]:
        if len(body) != 2:
            raise BadPacket("a CONNACK of another length")
        code = body[1]
        if code == 0:
            return [LoggedIn(), *self._admitted()]
        other = Verdict(Cause.TRANSIENT, f"the broker refused the connection (code {code})")
        return [LoginFailed(_REFUSALS.get(code, other))]

    def _admitted(self) -> list[Event]:
        """What to do as soon as the login is through."""
        return []

    def _granted(self, body: bytes) -> list[Event]:
        if len(body) < 3:
            raise BadPacket("a SUBACK without an answer")
        instruments = self._awaited.pop(int.from_bytes(body[:2], "big"), ())
        answers = body[2:]
        if _REFUSED not in answers:
            return [Alive()]
        # One answer a topic, in the order asked.
        refused = dict.fromkeys(
            instrument for instrument, answer in zip(instruments, answers, strict=False) if answer == _REFUSED
        )
        return [Rejected("the broker refused a subscription", tuple(refused))]

    def _published(self, packet: Packet, events: list[Event]) -> None:
        message = publish(packet)
        if message.qos == 1:
            events.append(Reply(puback(message.identifier)))
        take = self._takers.get(message.topic)
        if take is not None:
            tick = take(message.payload)
            if tick is not None:
                events.append(tick)
        elif message.topic.startswith(_MARKET):
            self._of_segment(message.topic, message.payload, events)
        elif message.topic.startswith(_ORDERS):
            events.append(order_update(message.payload))

    def _of_segment(self, topic: bytes, payload: bytes, events: list[Event]) -> None:
        """What no instrument's own topic tells: circuit limits, of which ours are noted."""
        _, _, what, _, where, *_ = [*topic.split(b"/"), b"", b"", b""]
        least = LENGTHS.get(what)
        if least is None:
            return
        if len(payload) < least:
            raise BadStructure("a packet of a segment is cut short")
        if what not in (b"uppercircuit", b"lowercircuit"):
            return
        number, raw, divisor = CIRCUIT.unpack_from(payload)
        record = self._records.get(f"{where.decode('ascii', 'replace')}/{number}")
        if record is None:
            return
        d, decimals = scale(divisor)
        price = raw / d if decimals is None else round(raw / d, decimals)
        if what == b"uppercircuit":
            record.upper = price or None
        else:
            record.lower = price or None
        tick = record.again()
        if tick is not None:
            events.append(tick)

    def _next_identifier(self) -> int:
        self._identifier = self._identifier % 0xFFFF + 1
        return self._identifier

    def _subscribe(self, topics: Sequence[str], instruments: Sequence[Instrument] = ()) -> bytes:
        identifier = self._next_identifier()
        while len(self._awaited) >= _MAX_AWAITED:
            del self._awaited[next(iter(self._awaited))]
        self._awaited[identifier] = tuple(instruments)
        return subscribe(identifier, topics)


class MarketBridge(Bridge):
    """One connection for ticks."""

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: list[str] = []
        wanted: list[tuple[str, Instrument]] = []
        # Shares and indices have one segment: if they shared an id too, nothing could tell them apart.
        ours = keyed(
            changes,
            key_of,
            self._records,
            self._refused,
            keyless="the broker does not stream this instrument",
            taken="the token is no key of its own",
        )
        for change, key, _ in ours:
            self._hold(key, change)
            before = topics_of(change.instrument, key, change.old)
            after = topics_of(change.instrument, key, change.new)
            dropped += [topic for topic in before if topic not in after]
            wanted += [(topic, change.instrument) for topic in after if topic not in before]
        sends: list[Send] = [
            unsubscribe(self._next_identifier(), dropped[start : start + _PER_PACKET])
            for start in range(0, len(dropped), _PER_PACKET)
        ]
        for start in range(0, len(wanted), _PER_PACKET):
            topics, instruments = zip(*wanted[start : start + _PER_PACKET], strict=True)
            sends.append(self._subscribe(topics, instruments))
        return sends

    def _hold(self, key: str, change: Change) -> None:
        if change.new is None:
            self._records.pop(key, None)
            for topic in _all_topics(key):
                self._takers.pop(topic, None)
            return
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = Record(change.instrument)
            takers = (record.watch, record.index, record.open_interest, record.protection)
            self._takers.update(zip(_all_topics(key), takers, strict=True))
        if change.new.mode is Mode.LTP:
            # From here on it would grow old.
            record.oi = None


class OrderBridge(Bridge):
    """One connection for order updates, which have topics of the client's own."""

    def change(self, changes: Sequence[Change]) -> list[Send]:
        return []

    def _admitted(self) -> list[Event]:
        return [Reply(self._subscribe([order_topic(self._credentials.get("client_id", ""))]))]


def _all_topics(key: str) -> tuple[bytes, ...]:
    """The topics that tell of an instrument, in the order of those who take their payloads."""
    return tuple(f"prod/marketfeed/{what}/v1/{key}".encode() for what in ("mw", "index", "oi", "lpp"))
