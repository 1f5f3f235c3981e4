"""One client's connection at the simulated broker: its frames, its clocks, and what goes wrong on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from openalgo_ws.adapter import Close, Environment, SimulatorConnection
from openalgo_ws.simulator.faults import Faults
from openalgo_ws.simulator.journal import Journal
from openalgo_ws.simulator.view import Inquiry, MarketView
from openalgo_ws.tick import Tick

__all__ = ["Link", "Outflow", "ServedConnection", "Setting"]

#: Seconds that a client has to answer a close, and that a torn packet has to leave the machine.
_CLOSE_PATIENCE = 2.0
_TEAR_PATIENCE = 0.05

_GARBAGE = ('{"type":"', "[" * 3_000, "\x00\x07hello", b"", b"\x00\x01", b"\xff" * 9)


class Link(Protocol):
    """What carries the frames: a WebSocket or a bare stream."""

    def deliver(self, frame: str | bytes) -> None:
        """Send one frame."""

    def finish(self, close: Close) -> None:
        """Close politely, after everything sent before."""

    def ping(self) -> None:
        """Send a WebSocket ping (a stream has none)."""

    def tear(self, noise: bytes) -> None:
        """Send the beginning of a packet that will never be whole."""

    def abort(self) -> None:
        """Reset the connection, whatever is still to be sent."""


@implementer(IPushProducer)
class Outflow:
    """Watches a transport's buffer: ``limit`` bytes more than it likes, and ``burst`` is called."""

    def __init__(self, transport: IConsumer, limit: int, burst: Callable[[], None]) -> None:
        self._limit = limit
        self._burst = burst
        self._is_paused = False
        self._waiting = 0
        transport.registerProducer(self, True)

    def add(self, size: int) -> None:
        """So many bytes have been handed to the transport."""
        if self._is_paused:
            self._waiting += size
            if self._waiting > self._limit:
                self._waiting = 0
                self._burst()

    def pauseProducing(self) -> None:
        """The transport's buffer is full: the client doesn't read."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """The buffer has drained."""
        self._is_paused = False
        self._waiting = 0

    def stopProducing(self) -> None:
        """The transport is gone."""
        self._is_paused = False


class Setting:
    """What all connections of a server share."""

    def __init__(
        self,
        *,
        view: MarketView,
        faults: Faults,
        journal: Journal,
        environment: Environment,
        buffer_limit: int,
        seconds: Callable[[], float],
        deliver_pushed: Callable[[], None],
        forget: Callable[[ServedConnection], None],
    ) -> None:
        self.view = view
        self.faults = faults
        self.journal = journal
        self.environment = environment
        self.buffer_limit = buffer_limit
        self.seconds = seconds
        self.deliver_pushed = deliver_pushed
        self.forget = forget


class ServedConnection:
    """A `SimulatorConnection` on a link. `tend` is called every few milliseconds."""

    def __init__(self, setting: Setting, connection: SimulatorConnection, path: str) -> None:
        self._setting = setting
        self._link: Link | None = None
        self._outflow: Outflow | None = None
        self._inquiry = Inquiry()
        self._last_beat = self._last_ping = self._last_pong = 0.0
        self._aborts_at: float | None = None
        self._is_over = False
        self.connection = connection
        self.path = path
        #: When it opened, on the server's clock.
        self.opened_at = 0.0
        self.frames_received = 0
        self.frames_sent = 0
        self.pings_received = 0

    def __repr__(self) -> str:
        return f"<ServedConnection {self.path!r} holds {self.connection.held()}>"

    def open(self, link: Link, transport: IConsumer) -> None:
        """The link is up: say what the broker says first."""
        now = self._setting.seconds()
        self.opened_at = self._last_beat = self._last_ping = self._last_pong = now
        self._link = link
        self._outflow = Outflow(transport, self._setting.buffer_limit, self._burst)
        self.send(self.connection.opened())
        self._setting.deliver_pushed()

    def received(self, data: str | bytes) -> None:
        """A frame from the client (or a piece of its stream)."""
        setting = self._setting
        self.frames_received += 1
        setting.journal.frames_received += 1
        if self._aborts_at is not None:
            return
        with setting.view.asked_by(self._inquiry, self.connection.held()):
            frames = self.connection.received(data)
        # A silent server still answers a login or a ping, but not with data.
        if not (setting.faults.silent and self._inquiry.has_read):
            self.send(frames)
        setting.deliver_pushed()

    def pinged(self) -> bool:
        """The client sent a WebSocket ping; whether it gets its pong."""
        self.pings_received += 1
        return not self._setting.faults.no_pong

    def ponged(self) -> None:
        """The client answered a ping of ours."""
        self._last_pong = self._setting.seconds()

    def give(self, ticks: Sequence[Tick]) -> None:
        """Something happened at the exchange."""
        if self._setting.faults.silent or self._aborts_at is not None:
            return
        self.send(self.connection.ticks(ticks))

    def send(self, frames: Iterable[str | bytes | Close]) -> None:
        """Send frames, up to the first `Close` among them."""
        for frame in frames:
            if self._link is None or self._outflow is None or self._aborts_at is not None:
                return
            if isinstance(frame, Close):
                self._aborts_at = self._setting.seconds() + _CLOSE_PATIENCE
                self._link.finish(frame)
                return
            self.frames_sent += 1
            self._setting.journal.frames_sent += 1
            self._link.deliver(frame)
            self._outflow.add(len(frame))

    def tend(self, now: float) -> None:
        """Heartbeats, pings, faults that strike by the clock, and a close that nobody answers."""
        if self._link is None:
            return
        if self._aborts_at is not None:
            if now >= self._aborts_at:
                self._link.abort()
            return
        self._strike(now)
        # Asked anew each time: some brokers fix their intervals at the login.
        connection, silent = self.connection, self._setting.faults.silent
        interval = connection.heartbeat_interval
        if interval is not None and now - self._last_beat >= interval:
            self._last_beat = now
            frame = None if silent else connection.heartbeat()
            if frame is not None:
                self.send((frame,))
        interval = connection.ping_interval
        if interval is not None and now - self._last_ping >= interval and not silent:
            self._last_ping = now
            self._link.ping()
        patience = connection.pong_timeout
        if patience is not None and now - self._last_pong >= patience:
            self._link.abort()

    def _strike(self, now: float) -> None:
        faults, age = self._setting.faults, now - self.opened_at
        if faults.login_loop is not None and age >= faults.login_loop:
            self.send((Close(1000),))
        elif faults.drop_every is not None and age >= faults.drop_every:
            self.reset()
        elif faults.tear_every is not None and age >= faults.tear_every:
            self.tear()
        elif faults.garbage:
            chance = self._setting.environment.random(3)
            self.send((_GARBAGE[chance[0] % len(_GARBAGE)], chance * (1 + chance[1] % 40)))

    def tear(self) -> None:
        """Send half a packet, then reset."""
        if self._link is not None and self._aborts_at is None:
            self._aborts_at = self._setting.seconds() + _TEAR_PATIENCE
            self._link.tear(self._setting.environment.random(40))

    def reset(self) -> None:
        """Reset the TCP connection at once."""
        if self._link is not None:
            self._aborts_at = self._setting.seconds()
            self._link.abort()

    def lost(self) -> None:
        """The link is gone."""
        if not self._is_over:
            self._is_over = True
            self._link = None
            self.connection.closed()
            self._setting.forget(self)

    def _burst(self) -> None:
        self._setting.journal.dropped += 1
        self.reset()
