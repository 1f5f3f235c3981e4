"""``openalgo-ws replay``: recorded ticks for a gateway that is fed from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import click
import zmq
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall, react

from openalgo_ws.bus.outside import OutsidePublisher
from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.cli.progress import Bar
from openalgo_ws.cli.setup import Setup, pass_setup
from openalgo_ws.config import Settings
from openalgo_ws.recording import Recorded, Recording
from openalgo_ws.tick import Mode

__all__ = ["Replay", "replay"]

#: Ticks in one turn of the reactor; the terminal and Ctrl-C have theirs in between.
_BATCH = 500


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--speed", type=click.FloatRange(0, min_open=True), default=1.0, help="Times as fast as it was."
)
@click.option("--wait", type=click.FloatRange(0), default=10.0, help="Seconds to wait for the gateway.")
@pass_setup
def replay(setup: Setup, file: Path, speed: float, wait: float) -> None:
    """Publish the ticks of a recorded FILE on the bus, in the time in which they came.

    The gateway must take ticks from outside (WS_FEEDS=external). The exit code is 1 if no gateway
    was found, or if the file is damaged: then it is played up to the damage.
    """
    try:
        recording = Recording(file)
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}") from error
    react(_run, (setup.settings, recording, speed, wait))


async def _run(reactor: Any, settings: Settings, recording: Recording, speed: float, wait: float) -> None:
    """Play it; SystemExit with the exit code."""
    endpoint = _endpoint(settings)
    player = Replay(reactor, recording, speed)
    try:
        publisher = OutsidePublisher(reactor, endpoint, player.go_on)
    except zmq.ZMQError as error:
        recording.close()
        click.echo(f"the bus can't be had at {endpoint.address}: {error.strerror}", err=True)
        raise SystemExit(1) from None
    player.publisher = publisher
    bar = Bar("replay", lambda: (recording.position, recording.size, f"{player.ticks:,} ticks"))
    screen = LoopingCall(bar.refresh)
    screen.clock = reactor
    nobody = reactor.callLater(wait, player.give_up, f"no gateway takes ticks at {endpoint.address}")
    player.started.addCallback(lambda _: nobody.cancel())
    reactor.addSystemEventTrigger("before", "shutdown", player.stop)
    bar.open()
    screen.start(0.2)
    player.go_on()
    try:
        complaint = await player.done
    finally:
        if nobody.active():
            nobody.cancel()
        screen.stop()
        bar.close()
        recording.close()
        publisher.close()
    click.echo(f"{player.ticks:,} ticks", err=True)
    if complaint is not None:
        click.echo(complaint, err=True)
        raise SystemExit(1)


class Publisher(Protocol):
    """Where it publishes: `openalgo_ws.bus.outside.OutsidePublisher`."""

    @property
    def heard(self) -> bool: ...

    def publish(self, exchange: str, symbol: str, mode: Mode, data: Mapping[str, Any]) -> bool: ...


class Replay:
    """Publishes a recording at ``speed`` times the pace in which it came.

    It begins when somebody listens (`started`), and waits while nobody does or there is no room.
    `done` fires with None, or with what is to complain of. `publisher` is set before the reactor turns.
    """

    def __init__(self, reactor: Any, recording: Recording, speed: float) -> None:
        self._reactor = reactor
        self._recording = recording
        self._ticks: Iterator[Recorded] = iter(recording)
        self._next: Recorded | None = None
        self._speed = speed
        self._origin: tuple[float, float] | None = None
        self._timer: IDelayedCall | None = None
        self.publisher: Publisher | None = None
        self.ticks = 0
        self.started: Deferred[None] = Deferred()
        self.done: Deferred[str | None] = Deferred()

    def go_on(self) -> None:
        """A listener has come, or there is room, or it is time for the next tick."""
        publisher = self.publisher
        if publisher is None or self.done.called or not publisher.heard:
            return
        if not self.started.called:
            self.started.callback(None)
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        for _ in range(_BATCH):
            recorded = self._next or next(self._ticks, None)
            self._next = recorded
            if recorded is None:
                damage = self._recording.damage
                self._end(None if damage is None else f"the recording ends early: {damage}")
                return
            delay = self._due(recorded.received) - self._reactor.seconds()
            if delay > 0:
                self._timer = self._reactor.callLater(delay, self.go_on)
                return
            tick = recorded.tick
            if not publisher.publish(tick.exchange, tick.symbol, tick.mode, tick.data):
                # The publisher calls when there is room again.
                return
            self._next = None
            self.ticks += 1
        self._timer = self._reactor.callLater(0, self.go_on)

    def give_up(self, complaint: str) -> None:
        """It can't be played."""
        self._end(complaint)

    def stop(self) -> None:
        """It has been played for long enough."""
        self._end(None)

    def _due(self, received: float) -> float:
        """When a tick is to be published (reactor seconds). A recording's clock may have gone back:
        such a tick is due at once."""
        if self._origin is None:
            self._origin = (self._reactor.seconds(), received)
        began, first = self._origin
        return began + (received - first) / 1000 / self._speed

    def _end(self, complaint: str | None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if not self.done.called:
            self.done.callback(complaint)


def _endpoint(settings: Settings) -> BusEndpoint:
    """Where a publisher outside meets the gateway of this configuration."""
    if settings.zmq_mode == "connect":
        return BusEndpoint(settings.zmq_endpoints[0], bind=True)
    return BusEndpoint(f"tcp://{settings.zmq_host}:{settings.zmq_port}", bind=False)
