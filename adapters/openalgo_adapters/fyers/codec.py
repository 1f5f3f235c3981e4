"""Fyers' data socket: HSM with 16-bit topic numbers, every topic on one channel, in full mode.

Source: fyers_apiv3 3.2.0 (Python) and fyers-api-v3 1.9.0 (JavaScript). After the values of a snapshot
come ``u16`` of nothing, ``u16`` multiplier, ``u8`` precision, and three strings after their ``u8``
lengths; they hold for the topic's updates as well. Times are true UTC.
"""

from __future__ import annotations

import csv
import struct
from collections.abc import Mapping
from importlib.resources import files
from struct import Struct
from typing import ClassVar

from openalgo_adapters._common.values import BadValue
from openalgo_adapters._hsm.codec import Book, Bound, HsmCodec, Quote, topics_of
from openalgo_adapters._hsm.wire import control, fields
from openalgo_adapters.fyers.login import claims, split_token
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Dial,
    Event,
    LoginFailed,
    Malformed,
    Rejected,
    Send,
    Verdict,
)
from openalgo_ws.tick import Instrument, Wish

__all__ = ["FyersCodec"]

_CHANNEL = 11
_MODE, _PING = 12, 11
#: (single source: the peer's "master data" after a connection.)
_MASTER = 13
#: (single source: the Python SDK.)
_MESSAGE = 51
_FULL = b"F"

_SEGMENTS = {
    "1010": "nse_cm",
    "1011": "nse_fo",
    "1012": "cde_fo",
    "1020": "nse_com",
    "1120": "mcx_fo",
    "1210": "bse_cm",
    "1211": "bse_fo",
    "1212": "bcs_fo",
}
#: For a token that is a bare exchange token.
_SEGMENT_OF = {
    "NSE": "nse_cm",
    "NSE_INDEX": "nse_cm",
    "NFO": "nse_fo",
    "CDS": "cde_fo",
    "NCO": "nse_com",
    "MCX": "mcx_fo",
    "BSE": "bse_cm",
    "BSE_INDEX": "bse_cm",
    "BFO": "bse_fo",
    "BCD": "bcs_fo",
}
#: Digits of a fyToken before the exchange token: exchange, segment, expiry.
_BEFORE_TOKEN = 10

_SCALE = Struct(">2xHB")


def _index_names() -> dict[str, str]:
    text = files("openalgo_adapters.fyers").joinpath("indices.csv").read_text(encoding="utf-8")
    return {
        f"{row['prefix']}:{row['ticker']}-INDEX": row["name"] for row in csv.DictReader(text.splitlines())
    }


_INDEX_NAMES = _index_names()


class FyersCodec(HsmCodec):
    """One connection to the data socket."""

    layouts: ClassVar = {
        b"sf|": Quote(
            21,
            prices={
                "ltp": 0,
                "open": 19,
                "high": 14,
                "low": 13,
                "close": 20,
                "avg_trade_price": 11,
                # (conflict: the Python SDK zeroes the limits, the other drops them, the peer scales them.)
                "upper_circuit": 18,
                "lower_circuit": 17,
            },
            counts={
                "volume": 1,
                "last_trade_quantity": 8,
                "total_buy_quantity": 9,
                "total_sell_quantity": 10,
                # (conflict: the Python SDK drops it from its output, the peer has it.)
                "oi": 12,
            },
            times={"ltt": 2, "exchange_timestamp": 3},
        ),
        b"if|": Quote(
            6,
            prices={"ltp": 0, "open": 5, "high": 3, "low": 4, "close": 1},
            counts={},
            times={"exchange_timestamp": 2},
        ),
        b"dp|": Book(),
    }
    head = Struct(">BHB")
    per_frame = 1500
    channels = (_CHANNEL,)
    per_channel = 5000
    mixed = True
    # (conflict: the JavaScript SDK reads the number only where acknowledgements are wanted, as on the
    # real servers, where both agree.)
    always_numbered = True
    answers: ClassVar = {
        4: "a subscription",
        5: "an unsubscription",
        7: "a pause",
        8: "a resumption",
        _MODE: "the mode",
    }

    def dial(self) -> Dial:
        return Dial(url="wss://socket.fyers.in/hsm/v1-5/prod")

    def opened(self) -> list[Send]:
        key = claims(split_token(self.credentials)[1]).get("hsm_key", "")
        source = self.credentials.get("source") or "PythonSDK-3.2.0"
        # (conflict: the Python SDK writes other lengths into some frames; the server looks at none.)
        return [
            control(
                1,
                (1, key.encode() if isinstance(key, str) else b""),
                (2, b"P"),
                (3, b"\1"),
                (4, source.encode()),
            ),
            control(_MODE, (1, (1 << _CHANNEL).to_bytes(8, "big")), (2, _FULL)),
        ]

    def heartbeat(self) -> Send:
        return b"\0\1\x0b"

    def wanted(self, instrument: Instrument, wish: Wish) -> tuple[bytes, ...]:
        token = instrument.token
        segment = _SEGMENTS.get(token[:4]) if len(token) > _BEFORE_TOKEN else None
        if segment is None:
            segment = _SEGMENT_OF.get(instrument.exchange)
        else:
            token = token[_BEFORE_TOKEN:]
        ticker = instrument.brsymbol
        index = instrument.is_index or ticker.endswith("-INDEX")
        if index:
            token = _INDEX_NAMES.get(ticker) or ticker.partition(":")[2].partition("-")[0]
        elif not token.isdigit():
            return ()
        return () if segment is None else topics_of(segment, token, wish, index=index)

    def trailer(self, data: bytes, offset: int, topic: Bound) -> int:
        # (conflict: the peer takes 100 for every divisor; both SDKs take the packet's numbers.)
        multiplier, precision = _SCALE.unpack_from(data, offset)
        offset += _SCALE.size
        for _ in range(3):
            offset += 1 + data[offset]
        if offset > len(data):
            raise BadValue("a truncated data frame")
        topic.scale(multiplier, precision)
        return offset

    def other(self, kind: int, data: bytes) -> list[Event]:
        # (unconfirmed: a ping may be answered by its own type.)
        if kind in (_PING, _MASTER):
            return [Alive()]
        if kind == _MESSAGE:
            return [_message(data)]
        return super().other(kind, data)

    def _lite(self, data: bytes, offset: int, number: int, events: list[Event]) -> int:
        """The first value of a quote or an index, without a count."""
        (value,) = struct.unpack_from(">i", data, offset)
        topic = self._topics.get(number)
        if topic is None:
            events.append(Malformed("an update of an unknown topic"))
        elif isinstance(topic.layout, Quote):
            self._updated(topic, (value,), events)
        return offset + 4


def _message(data: bytes) -> Event:
    try:
        said: Mapping[int, bytes] = fields(data, strict=True)
    except BadValue as problem:
        return Malformed(str(problem))
    code = int.from_bytes(said.get(1, b""), "big", signed=True)
    text = f"{said.get(2, b'').decode('utf-8', 'replace')[:200]} (code {code})".strip()
    if said.get(3) == b"\1":
        return LoginFailed(Verdict(Cause.TOKEN, text))
    return Rejected(text)
