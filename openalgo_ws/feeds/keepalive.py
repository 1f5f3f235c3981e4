"""Signs of life on one open socket: pings and their pongs, heartbeats, silence."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from openalgo_ws.adapter import Keepalive, Pace
from openalgo_ws.feeds.timers import Timers

__all__ = ["Heart"]


class Heart:
    """Sends pings and heartbeats as the feed's `Keepalive` says, and tells when the peer is dead.

    A pong must come within ``pong_timeout`` of its ping and before the next one, data or not: a peer
    that has stopped answering is noticed within two ping intervals. ``dead`` is called once.
    """

    def __init__(
        self,
        clock: IReactorTime,
        keepalive: Keepalive,
        *,
        ping: Callable[[bytes], None],
        beat: Callable[[], None],
        dead: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._timers = Timers(clock)
        self._ping = ping
        self._beat = beat
        self._dead = dead
        self._ping_interval = keepalive.ping_interval
        self._pong_timeout = keepalive.pong_timeout
        self._heartbeat_interval = keepalive.heartbeat_interval
        self._dead_after = keepalive.dead_after
        self._count = 0
        self._awaited = b""
        self._beating = False
        self._heard_at = 0.0

    def start(self) -> None:
        """The connection is live: begin."""
        self._beating = True
        self._heard_at = self._clock.seconds()
        if self._ping_interval is not None:
            self._timers.set("ping", self._ping_interval, self._send_ping)
        self._arm()

    def stop(self) -> None:
        """End every timer."""
        self._beating = False
        self._timers.clear()

    def heard(self) -> None:
        """Bytes came."""
        self._heard_at = self._clock.seconds()

    def ponged(self, payload: bytes) -> None:
        """A pong came; one that was not asked for is no answer."""
        if payload == self._awaited:
            self._timers.cancel("pong")

    def pace(self, pace: Pace) -> None:
        """The server told its own times; they replace the declared ones.

        ``dead_after`` may be given as the whole silence allowed, or (shorter than the interval) as
        the time a heartbeat's answer may take.
        """
        self._heartbeat_interval = pace.heartbeat_interval
        whole = pace.dead_after > pace.heartbeat_interval
        self._dead_after = pace.dead_after if whole else pace.heartbeat_interval + pace.dead_after
        if self._beating:
            self._arm()

    def _arm(self) -> None:
        if self._heartbeat_interval is not None:
            self._timers.set("beat", self._heartbeat_interval, self._send_beat)
        if self._dead_after is not None:
            self._timers.set("silence", self._dead_after, self._check_silence)

    def _send_ping(self) -> None:
        assert self._ping_interval is not None
        if self._timers.running("pong"):
            self._no_pong()
            return
        self._count = (self._count + 1) & 0xFFFFFFFF
        self._awaited = self._count.to_bytes(4, "big")
        self._timers.set("pong", min(self._pong_timeout, self._ping_interval), self._no_pong)
        self._timers.set("ping", self._ping_interval, self._send_ping)
        self._ping(self._awaited)

    def _no_pong(self) -> None:
        self._die("no answer to a ping")

    def _send_beat(self) -> None:
        assert self._heartbeat_interval is not None
        self._timers.set("beat", self._heartbeat_interval, self._send_beat)
        self._beat()

    def _check_silence(self) -> None:
        assert self._dead_after is not None
        quiet = self._clock.seconds() - self._heard_at
        if quiet >= self._dead_after:
            self._die(f"not a byte for {quiet:.0f} s")
        else:
            self._timers.set("silence", self._dead_after - quiet, self._check_silence)

    def _die(self, reason: str) -> None:
        self.stop()
        self._dead(reason)
