"""Kotak's older feed: HSM with 32-bit topic numbers, topics of one kind a frame, 200 a channel.

Source: kotak-neo-api-v2 (HSWebSocketLib). Every record follows a ``u16`` that is skipped; multiplier
and precision are ordinary values; a snapshot ends with tagged strings. Data frames are numbered only
where the login's answer asks for acknowledgements.
"""

from __future__ import annotations

from struct import Struct
from typing import ClassVar

from openalgo_adapters._common.values import BadValue
from openalgo_adapters._hsm.codec import Book, Bound, HsmCodec, Quote, topics_of
from openalgo_adapters._hsm.wire import control
from openalgo_adapters.kotak.segments import SEGMENTS
from openalgo_ws.adapter import Alive, Dial, Event, Send
from openalgo_ws.tick import Instrument, Wish

__all__ = ["KotakHsmCodec"]

_OPTION_CHAIN = 10
#: The first two values of every topic mean nothing: places below begin behind them.
_SKIP = 2


class KotakHsmCodec(HsmCodec):
    """One connection to the older feed."""

    layouts: ClassVar = {
        b"sf|": Quote(
            23,
            prices={
                "ltp": 3,
                "open": 18,
                "high": 13,
                "low": 12,
                "close": 19,
                "avg_trade_price": 11,
                "upper_circuit": 15,
                "lower_circuit": 14,
            },
            counts={
                "volume": 2,
                "last_trade_quantity": 4,
                "total_buy_quantity": 5,
                "total_sell_quantity": 6,
                "oi": 20,
            },
            # (single source: the SDK shows them in local time, so they are taken for UTC.)
            times={"ltt": 1, "exchange_timestamp": 0},
            skip=_SKIP,
            scale_at=21,
        ),
        b"if|": Quote(
            8,
            prices={"ltp": 0, "open": 5, "high": 3, "low": 4, "close": 1},
            counts={},
            times={"exchange_timestamp": 2},
            skip=_SKIP,
            scale_at=6,
        ),
        b"dp|": Book(skip=_SKIP, scale_at=30),
    }
    # The first two bytes are the length of the record. (unconfirmed: the SDK passes over them.)
    head = Struct(">2xBIB")
    per_frame = 100
    # Channel 1 is for quotes on request.
    channels = tuple(range(2, 17))
    per_channel = 200
    mixed = False
    always_numbered = False
    answers: ClassVar = {
        4: "a subscription",
        5: "an unsubscription",
        7: "a pause",
        8: "a resumption",
        9: "a snapshot",
    }

    def dial(self) -> Dial:
        return Dial(url="wss://mlhsm.kotaksecurities.com")

    def opened(self) -> list[Send]:
        return [
            control(
                1,
                (1, self.credentials.get("auth_token", "").encode()),
                (2, self.credentials.get("sid", "").encode()),
                (3, b"JS_API"),
            )
        ]

    def wanted(self, instrument: Instrument, wish: Wish) -> tuple[bytes, ...]:
        # (conflict: bse_cd in the newer feed.)
        segment = "bcs-fo" if instrument.exchange == "BCD" else SEGMENTS.get(instrument.exchange)
        if segment is None or not (instrument.is_index or instrument.token.isdigit()):
            return ()
        return topics_of(segment, instrument.token, wish, index=instrument.is_index)

    def trailer(self, data: bytes, offset: int, topic: Bound) -> int:
        count = data[offset]
        offset += 1
        for _ in range(count):
            offset += 2 + data[offset + 1]
        if offset > len(data):
            raise BadValue("a truncated data frame")
        return offset

    def other(self, kind: int, data: bytes) -> list[Event]:
        return [Alive()] if kind == _OPTION_CHAIN else super().other(kind, data)
