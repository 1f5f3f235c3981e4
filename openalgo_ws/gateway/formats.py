"""The formats in which clients take market data: ``openalgo`` (the default), ``flat``, ``binary``.

The default splices the tick's ready ``data`` text into the message. ``flat`` has to look inside,
because its times are ISO 8601 in IST, and ``binary`` makes a record of it. Records become messages
when they leave: those that go to a client in one turn share as few messages as may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from openalgo_ws.encoding.binary import BinaryMarketDataBatch
from openalgo_ws.encoding.exact import record_of
from openalgo_ws.gateway.channel import Encoder, Form
from openalgo_ws.gateway.frames import binary_frame, deflated_text_frame, text_frame
from openalgo_ws.gateway.line import Line
from openalgo_ws.gateway.ticks import RoutedTick

__all__ = ["BINARY", "ENCODERS", "FLAT", "FORMATS", "OPENALGO", "Binary", "Flat", "OpenAlgo", "iso_ist"]

OPENALGO = "openalgo"
FLAT = "flat"
BINARY = "binary"

_IST = timezone(timedelta(hours=5, minutes=30))
_json = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, Any]).decode


class _Text:
    """A message is a text frame; many are sent one after the other."""

    join = staticmethod(b"".join)

    def packer(self, deflate: bool) -> Callable[[bytes], bytes]:
        """What makes of a payload a frame."""
        return deflated_text_frame if deflate else text_frame


class OpenAlgo(_Text):
    """``{"type":"market_data","symbol":…,"data":{…}}`` (client protocol 1.3)."""

    def head(self, line: Line, form: Form) -> bytes:
        """Everything before the data object."""
        envelope = {
            "type": "market_data",
            "symbol": line.symbol,
            "exchange": line.exchange,
            "mode": int(form.mode),
            "broker": form.broker,
        }
        return _json(envelope)[:-1] + b',"data":'

    def whole(self, line: Line, form: Form, tick: RoutedTick, snapshot: bool) -> bytes:
        """The message."""
        end = b',"snapshot":true}' if snapshot else b"}"
        return self.head(line, form) + tick.data(form.mode, form.levels) + end


class Flat(_Text):
    """``{"symbol":…,"exchange":…,"ltp":…,"timestamp":"…+05:30",…}`` (client protocol 1.4)."""

    def head(self, line: Line, form: Form) -> None:
        """The data object itself is rewritten: there is nothing to splice."""

    def whole(self, line: Line, form: Form, tick: RoutedTick, snapshot: bool) -> bytes:
        """The message."""
        data = _object(tick.data(form.mode, form.levels))
        stamp = data.get("timestamp")
        message = {"symbol": line.symbol, "exchange": line.exchange, **data}
        # A foreign payload may name its instrument in its own way; the topic's word counts.
        message["symbol"], message["exchange"] = line.symbol, line.exchange
        message["mode"] = int(form.mode)
        if isinstance(stamp, int | float) and not isinstance(stamp, bool):
            message["timestamp"] = iso_ist(stamp)
        if snapshot:
            message["snapshot"] = True
        return _json(message)


class Binary:
    """Records of fixed size (client protocol 1.5).

    They are never compressed: the extension leaves that open for each message, and it would have to be
    done for each outbox instead of once.
    """

    def head(self, line: Line, form: Form) -> None:
        """There is nothing to splice."""

    def whole(self, line: Line, form: Form, tick: RoutedTick, snapshot: bool) -> bytes:
        """The record."""
        record = record_of(
            tick.data(form.mode, form.levels),
            line.id,
            form.mode,
            price_scale=form.price_scale,
            qty_scale=form.qty_scale,
            snapshot=snapshot,
        )
        return record.pack()

    def packer(self, deflate: bool) -> Callable[[bytes], bytes]:
        """A record stays one until it leaves."""
        return bytes

    def join(self, frames: Sequence[bytes]) -> bytes:
        """A message for each run of records of one size."""
        return b"".join(map(binary_frame, BinaryMarketDataBatch.split(frames)))


def iso_ist(epoch_ms: float) -> str | float:
    """Epoch milliseconds as ISO 8601 in IST; whole seconds without a fraction.

    A number that is no date (a foreign publisher's nonsense) is returned as it is.
    """
    try:
        moment = datetime.fromtimestamp(epoch_ms / 1000, _IST)
    except (ValueError, OverflowError, OSError):
        return epoch_ms
    return moment.isoformat(timespec="milliseconds" if epoch_ms % 1000 else "seconds")


ENCODERS: Mapping[str, Encoder] = {OPENALGO: OpenAlgo(), FLAT: Flat(), BINARY: Binary()}

#: Formats a client may ask for.
FORMATS = tuple(ENCODERS)
