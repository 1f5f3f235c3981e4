"""An adapter's codec and its simulator side, joined in memory: the whole protocol without a socket."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

from openalgo_ws.adapter import (
    Accepted,
    Adapter,
    Change,
    Close,
    Event,
    Feed,
    FeedCodec,
    HttpRequest,
    HttpResponse,
    Order,
    Refused,
    Reply,
    Send,
    SimulatorConnection,
    SimulatorSide,
    Upgrade,
)
from openalgo_ws.adapter.wire import Dial
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket, authorise
from openalgo_ws.tick import Instrument, Tick, Wish

__all__ = ["ConnectionRefused", "Loopback", "as_received", "upgrade_for"]


class ConnectionRefused(Exception):
    """The simulator did not take the connection."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"refused with HTTP {refused.status}")
        self.refused = refused


class Loopback:
    """One connection: authorised, dialled, opened, and ready for `change`.

    ``side`` may be given to have several connections at one simulator; ``credentials`` to present
    others than the simulator's own. Raises `ConnectionRefused`, and ValueError for an adapter
    without a simulator side.
    """

    def __init__(
        self,
        adapter: Adapter,
        feed: Feed,
        market: StillMarket,
        *,
        side: SimulatorSide | None = None,
        credentials: Mapping[str, str] | None = None,
    ) -> None:
        if adapter.simulator is None:
            raise ValueError(f"{adapter.name} has no simulator side")
        environment = FixedEnvironment()
        if side is None:
            side = adapter.simulator(market, dict(adapter.simulator.demo_credentials), environment)
        self.side = side
        self.market = market
        given: Mapping[str, str] = dict(side.credentials if credentials is None else credentials)
        if feed.authorise is not None:
            given = authorise(feed.authorise, given, environment, self._answer)
        self.codec: FeedCodec = feed.codec(given, environment)
        answer = side.accept(upgrade_for(self.codec.dial()))
        if isinstance(answer, Refused):
            raise ConnectionRefused(answer)
        self._accepted: Accepted = answer
        #: Every frame that the server has sent, in order.
        self.frames: list[str | bytes] = []
        #: Whether the server has closed the connection.
        self.closed: Close | None = None
        self.login = self._exchange(self.codec.opened(), self.connection.opened())

    @property
    def connection(self) -> SimulatorConnection:
        """The server's end."""
        return self._accepted.connection

    def change(self, changes: Sequence[Change]) -> list[Event]:
        """Send what the codec wants sent for these changes; returns what comes of it."""
        return self._exchange(self.codec.change(changes), ())

    def subscribe(self, wishes: Iterable[tuple[Instrument, Wish]]) -> list[Event]:
        """Ask for instruments that are not held yet."""
        return self.change([Change(instrument, None, wish) for instrument, wish in wishes])

    def tick(self, ticks: Sequence[Tick]) -> list[Event]:
        """The market moves: the server tells, the codec decodes."""
        for tick in ticks:
            self.market.show(tick)
        return self._exchange((), self.connection.ticks(ticks))

    def order(self, order: Order, token: str) -> list[Event]:
        """An order changes."""
        return self._exchange((), self.connection.order(order, token))

    def heartbeats(self) -> list[Event]:
        """One heartbeat of each side that has one."""
        beat = self.codec.heartbeat()
        answer = self.connection.heartbeat()
        return self._exchange(() if beat is None else (beat,), () if answer is None else (answer,))

    def _exchange(self, sends: Iterable[Send], frames: Iterable[str | bytes | Close]) -> list[Event]:
        """Carry things to and fro until neither side has more to say."""
        outgoing, incoming = deque(sends), deque(frames)
        events: list[Event] = []
        while outgoing or incoming:
            if incoming:
                frame = incoming.popleft()
                if isinstance(frame, Close):
                    self.closed = frame
                    return events
                self.frames.append(frame)
                new = self.codec.received(frame)
            else:
                send = outgoing.popleft()
                new = []
                if isinstance(send, HttpRequest):
                    new = self.codec.answered(send, self._answer(send))
                    for connection, pushed in self.side.push():
                        if connection is self.connection:
                            incoming += pushed
                elif isinstance(send, (str, bytes)):
                    incoming += self.connection.received(send)
            events += new
            outgoing += [event.send for event in new if isinstance(event, Reply)]
        return events

    def _answer(self, request: HttpRequest) -> HttpResponse:
        return self.side.http(as_received(request))


def upgrade_for(dial: Dial) -> Upgrade:
    """What a server sees of a client that connects."""
    parts = urlsplit(dial.url)
    return Upgrade(
        host=parts.hostname or "",
        path=parts.path,
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers=dial.headers,
        subprotocols=dial.subprotocols,
    )


def as_received(request: HttpRequest) -> HttpRequest:
    """An HTTP request as a server sees it: the body is text, and its type is in the headers."""
    headers = dict(request.headers)
    text = request.text
    if request.json is not None:
        text = json.dumps(request.json)
        headers.setdefault("Content-Type", "application/json")
    elif request.form is not None:
        text = urlencode(request.form)
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    return HttpRequest(method=request.method, url=request.url, headers=headers, text=text)
