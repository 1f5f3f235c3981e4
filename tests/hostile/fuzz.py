"""Random requests and frames: some as they should be, most a little off, some nonsense. Seeded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.hostile.wire import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close,
    fragments,
    frame,
    upgrade,
)

ACTIONS = (
    "authenticate", "auth", "subscribe", "unsubscribe", "unsubscribe_all", "subscriptions",
    "subscribe_orders", "unsubscribe_orders", "get_broker_info", "get_supported_brokers", "server_info",
    "ping", "nonsense",
)  # fmt: skip
FIELDS = (
    "api_key", "apikey", "format", "throttle_ms", "notices", "symbols", "instruments", "symbol", "exchange",
    "mode", "depth", "request_id", "timestamp", "_pingId", "type", "action",
)  # fmt: skip
WORDS = (
    "NSE:SBIN", "SBIN", "NSE", "NSE_INDEX", "LTP", "Quote", "Depth", "flat", "binary", "openalgo", "", " ",
    "null", "\x00", "रिलायंस", "\ud800", "' OR 1=1 --", "../../etc/passwd", "%s%n{0}{key}", "<script>",
    "A" * 300, "1e999",
)  # fmt: skip
#: What is put in the middle of a request.
WEDGES = (b"[" * 500, b"{", b'"', b"\\u", b",", b"\x00", b"1" * 400)
NUMBERS = (0, 1, -1, 2, 3, 4, 5, 20, 2**31, 2**63, -(2**63), 2**64, 10**400, 0.5, -0.0, 1e308, 1e-308)


class Fuzz:
    """A source of nonsense. The same seed makes the same."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def value(self, depth: int = 0) -> Any:
        """Any JSON value."""
        random = self._random
        kind = random.randrange(8 if depth < 4 else 5)
        if kind <= 1:
            return random.choice(WORDS)
        if kind == 2:
            return random.choice(NUMBERS)
        if kind == 3:
            return random.choice((True, False, None))
        if kind == 4:
            return "".join(chr(random.randrange(32, 0x3000)) for _ in range(random.randrange(20)))
        if kind == 5:
            return {str(random.choice(FIELDS)): self.value(depth + 1) for _ in range(random.randrange(5))}
        return [self.value(depth + 1) for _ in range(random.randrange(5))]

    def request(self) -> bytes:
        """The text of a request, or of something like it."""
        random = self._random
        if random.random() < 0.1:
            return json.dumps(self.value()).encode("utf-8", "replace")
        request: dict[str, Any] = {random.choice(("action", "type")): random.choice(ACTIONS)}
        for _ in range(random.randrange(4)):
            request[random.choice(FIELDS)] = self.value()
        if random.random() < 0.3:
            request["symbols"] = [{"symbol": "SBIN", "exchange": "NSE", "mode": random.choice(NUMBERS[:6])}]
        text = json.dumps(request, ensure_ascii=random.random() < 0.5).encode("utf-8", "replace")
        if random.random() < 0.1:
            text = text[: random.randrange(len(text))]
        if random.random() < 0.1:
            at = random.randrange(len(text) + 1)
            text = text[:at] + random.choice(WEDGES) + text[at:]
        return text

    def message(self) -> bytes:
        """Frames after which the connection is still open."""
        random = self._random
        kind = random.randrange(20)
        if kind == 0:
            return frame(PING, random.randbytes(random.randrange(126)))
        if kind == 1:
            return frame(PONG, random.randbytes(random.randrange(126)))
        if kind == 2:
            text = self.request()
            parts = [text[at : at + 40] for at in range(0, len(text), 40)] or [b""]
            return fragments(parts)
        return frame(TEXT, self.request())

    def last(self) -> bytes:
        """What mostly ends a connection: broken frames, garbage, and sometimes a proper close."""
        random = self._random
        kind = random.randrange(8)
        if kind == 0:
            return close(random.randrange(65536), random.randbytes(random.randrange(100)))
        if kind == 1:
            return random.randbytes(random.randrange(1, 2000))
        if kind == 2:
            return frame(BINARY, random.randbytes(random.randrange(2000)))
        if kind == 3:
            return frame(TEXT, b'{"x":"' + b"x" * 70_000 + b'"}')
        if kind == 4:
            return frame(TEXT, random.randbytes(random.randrange(1, 200)))
        if kind == 5:
            return frame(CONTINUATION, self.request())
        return frame(
            random.randrange(16),
            random.randbytes(random.randrange(200)),
            fin=random.random() < 0.5,
            rsv=random.choice((0, 0, 1, 4, 7)),
            mask=random.random() < 0.5,
        )

    def connection(self, most: int) -> Iterator[bytes]:
        """All that one connection sends: its upgrade, then at most so many messages, each by itself."""
        random = self._random
        if random.random() < 0.05:
            yield self._bad_upgrade()
            return
        yield upgrade(path=random.choice(("/", "/ws", "/?a=%00", "//x", "/" + "a" * 2000)))
        for _ in range(random.randrange(1, most)):
            yield self.message()
        yield self.last()

    def _bad_upgrade(self) -> bytes:
        random = self._random
        request = bytearray(upgrade())
        for _ in range(random.randrange(1, 20)):
            request[random.randrange(len(request))] = random.randrange(256)
        return bytes(request) if random.random() < 0.8 else random.randbytes(random.randrange(1, 20_000))
