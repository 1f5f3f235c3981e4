"""The ticks that the benchmarks publish, and a publisher's side of the ZeroMQ bus."""

from __future__ import annotations

import ctypes
import json
import random
import socket
import time
from collections.abc import Sequence
from typing import Any

from loadgen import library

MODES = {"ltp": 1, "quote": 2, "depth": 3}

#: Symbols of ticks are drawn from a table of so many, again and again.
ORDER = 1 << 16

_KNOWN = ("RELIANCE", "SBIN", "INFY", "TCS", "HDFCBANK", "ICICIBANK", "ITC", "LT", "AXISBANK", "MARUTI")

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB\x08Identity\x00\x00\x00\x00"

#: Seconds until the server has taken the publisher's connection.
PATIENCE = 10.0


def symbols(count: int) -> list[tuple[str, str]]:
    """Symbols and exchanges of a market of so many instruments."""
    found = []
    for index in range(count):
        if index < len(_KNOWN):
            found.append((_KNOWN[index], "NSE"))
        elif index % 3 == 0:
            found.append((f"NIFTY29DEC26{20000 + 50 * index}CE", "NFO"))
        else:
            found.append((f"SCRIP{index:04d}", "NSE" if index % 3 == 1 else "BSE"))
    return found


def head(symbol: str, exchange: str, mode: str, index: int) -> str:
    """A payload as the platform's adapters write it, up to the fields that the publisher adds."""
    base = 1000 + index % 3000
    fields: dict[str, Any] = {"symbol": symbol, "exchange": exchange, "mode": MODES[mode]}
    if mode != "ltp":
        fields |= {
            "open": base + 1.5,
            "high": base + 12.35,
            "low": base - 8.2,
            "close": base - 0.75,
            "last_trade_quantity": 25,
            "avg_trade_price": base + 2.41,
            "total_buy_quantity": 1284310 + index,
            "total_sell_quantity": 998120 + index,
        }
    if mode == "depth":
        fields |= {"oi": 184500, "upper_circuit": base * 1.1, "lower_circuit": base * 0.9}
        fields["depth"] = {
            side: [
                {"price": round(base + sign * level * 0.05, 2), "quantity": 1250 - 75 * level, "orders": 9}
                for level in range(5)
            ]
            for side, sign in (("buy", -1), ("sell", 1))
        }
    return json.dumps(fields)[:-1] + ", "


def tick_order(universe: int, seed: int = 7) -> list[int]:
    """Which symbol each tick is of."""
    draw = random.Random(seed)
    return [draw.randrange(universe) for _ in range(ORDER)]


def expected(order: Sequence[int], subscribers: Sequence[int], first: int, count: int) -> int:
    """Deliveries that ``count`` ticks from number ``first`` on make if none is left out."""
    rounds, rest = divmod(count, len(order))
    due = rounds * sum(subscribers[symbol] for symbol in order) if rounds else 0
    return due + sum(subscribers[order[(first + index) % len(order)]] for index in range(rest))


class Publisher:
    """A PUB socket that has connected to the bus: ZMTP 3.0, no security, and deaf to what the other side
    subscribes, since a gateway takes everything."""

    def __init__(self, port: int, listed: Sequence[tuple[str, str]], mode: str, order: Sequence[int]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._greet()
        self._socket.settimeout(None)
        topics = [f"{exchange}_{symbol}_{mode.upper()}".encode() for symbol, exchange in listed]
        heads = [head(*name, mode, index).encode() for index, name in enumerate(listed)]
        # The library keeps pointers to these.
        self._held = (
            (ctypes.c_char_p * len(listed))(*topics),
            (ctypes.c_char_p * len(listed))(*heads),
            (ctypes.c_uint32 * len(order))(*order),
        )
        self.library = library()
        self.handle = self.library.publisher_new(
            self._socket.fileno(), len(listed), *self._held, len(order) - 1
        )
        self.next = 1

    def _greet(self) -> None:
        self._socket.sendall(_GREETING)
        if self._read(64)[0] != 0xFF:
            raise RuntimeError("this is not a ZeroMQ socket")
        self._socket.sendall(bytes([4, len(_READY)]) + _READY)
        flags, size = self._read(2)
        if flags != 4 or not self._read(size).startswith(b"\x05READY"):
            raise RuntimeError("the bus does not take the publisher")

    def _read(self, size: int) -> bytes:
        read = b""
        while len(read) < size:
            part = self._socket.recv(size - len(read))
            if not part:
                raise RuntimeError("the bus has closed the publisher's connection")
            read += part
        return read

    def one(self, number: int) -> None:
        """Publish the tick with this number, now."""
        if self.library.publisher_one(self.handle, number, int(time.time() * 1000)):
            raise RuntimeError("the bus has closed the publisher's connection")

    def run(self, receiver: Any, rate: float, window: int, seconds: float) -> tuple[int, int]:
        """Publish for a while; the number of the first tick, and how many there were."""
        first = self.next
        sent = self.library.publisher_run(self.handle, receiver, rate, window, first, int(seconds * 1e9))
        self.next += sent
        return first, sent

    def close(self) -> None:
        self._socket.close()
        self.library.publisher_free(self.handle)
