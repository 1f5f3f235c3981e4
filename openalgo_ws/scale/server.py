"""The feed process' end of the demand protocol: serves gateways from one local `Demand`.

What a gateway holds is held of the local demand once, however many of its clients want it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from openalgo_ws.bus.demand import Demand, Denied, Granted, Hold, Status, Want
from openalgo_ws.scale import messages as m
from openalgo_ws.scale.peer import Peer

__all__ = ["Bounds", "DemandServer", "HoldObserver", "ServerChannel"]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What gateways may do. Times in seconds."""

    #: Channels at a time.
    channels: int = 256
    #: Instruments that one gateway holds, and users that it asks about.
    holds: int = 500_000
    users: int = 200_000
    #: Requests of one gateway that are under way.
    requests: int = 10_000
    #: For how long a gateway that has gone keeps what it held.
    linger: float = 10.0
    #: A channel on which nothing came for so long is given up.
    silence: float = 20.0


class HoldObserver(Protocol):
    """Told what gateways begin and cease to hold, and what they are about to.

    `asked` and `refused` are called where ticks may come before the answer (`Demand.feed_of`).
    """

    def asked(self, feed: str, symbol: str, exchange: str) -> None:
        """Somebody asks for something that would be granted under this tag."""

    def refused(self, feed: str, symbol: str, exchange: str) -> None:
        """What was asked for was denied."""

    def held(self, gateway: str, hold: Hold) -> None:
        """A gateway holds something that it did not hold before."""

    def given_back(self, gateway: str, hold: Hold) -> None:
        """A gateway holds something no more."""


class _Nobody:
    def asked(self, feed: str, symbol: str, exchange: str) -> None: ...

    def refused(self, feed: str, symbol: str, exchange: str) -> None: ...

    def held(self, gateway: str, hold: Hold) -> None: ...

    def given_back(self, gateway: str, hold: Hold) -> None: ...


class ServerChannel:
    """One gateway's channel: give it what comes by `received`, and call `lost` when it has ended.

    ``send`` takes a message, ``close`` ends the channel (`lost` may be called in it).
    """

    def __init__(
        self, server: DemandServer, send: Callable[[bytes], None], close: Callable[[], None]
    ) -> None:
        self._server = server
        self._send = send
        self._close = close
        self.open = True
        self.peer: Peer | None = None
        self.requests = 0
        self.heard = server.clock.seconds()

    def received(self, data: bytes) -> None:
        """A message has come. What is no message ends the channel."""
        if not self.open:
            return
        self.heard = self._server.clock.seconds()
        try:
            message = m.decode_from_gateway(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            self.close("what it sent can't be read")
            return
        self._server.handle(self, message)

    def send(self, message: m.FromFeed) -> None:
        """Send a message, if the channel still is."""
        if self.open:
            self._send(m.encode(message))

    def close(self, why: str) -> None:
        """End the channel for a reason that somebody should know."""
        if self.open:
            name = "a gateway" if self.peer is None else self.peer.name
            self._server.log.warn("the channel of {gateway} is closed: {why}", gateway=name, why=why)
            self.end()

    def end(self) -> None:
        """End the channel without a word."""
        self.lost()
        self._close()

    def lost(self) -> None:
        """The channel has ended."""
        if self.open:
            self.open = False
            self._server.gone(self)


class DemandServer:
    """Serves any number of gateways from ``demand``. Begin with `start`, end with `stop`.

    ``generation`` is another one at each start of the process. ``observer`` is told what is held.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        demand: Demand,
        *,
        generation: str,
        bounds: Bounds | None = None,
        observer: HoldObserver | None = None,
    ) -> None:
        self.clock = clock
        self._demand = demand
        self._generation = generation
        self._bounds = bounds or Bounds()
        self._observer = observer or _Nobody()
        self._channels: set[ServerChannel] = set()
        self._peers: dict[str, Peer] = {}
        #: Users whose orders are watched, with the number of gateways that want that.
        self._watched: Counter[str] = Counter()
        self._look = LoopingCall(self._give_up_silent)
        self._look.clock = clock
        demand.listen(self)

    def start(self) -> None:
        """Begin to look for channels that are silent."""
        self._look.start(self._bounds.silence / 4, now=False)

    def stop(self) -> None:
        """Close every channel, and give back everything."""
        if self._look.running:
            self._look.stop()
        for channel in list(self._channels):
            channel.end()
        for peer in list(self._peers.values()):
            self._end(peer)

    def connected(self, send: Callable[[bytes], None], close: Callable[[], None]) -> ServerChannel | None:
        """A channel has come up; None if there are too many already."""
        if len(self._channels) >= self._bounds.channels:
            return None
        channel = ServerChannel(self, send, close)
        self._channels.add(channel)
        return channel

    def gateways(self) -> dict[str, int]:
        """Gateways that are connected, with the number of instruments that each holds."""
        return {name: len(peer.holds) for name, peer in self._peers.items() if peer.channel is not None}

    # From the channels.

    def handle(self, channel: ServerChannel, message: m.FromGateway) -> None:
        """A message of a gateway."""
        peer = channel.peer
        match message:
            case m.Beat():
                channel.send(message)
            case m.Hello():
                self._hello(channel, message)
            case _ if peer is None:
                channel.close("it did not say who it is")
            case m.Subscribe():
                self._subscribe(channel, peer, message)
            case m.Release():
                self._release(peer, message.holds)
            case m.AskStatus():
                self._ask_status(channel, peer, message)
            case m.WatchOrders():
                self._watch(peer, message.user, message.wanted)
            case m.Restore():
                peer.told.update(dict(message.holds))
                peer.users_of.update({hold: message.user for hold, _ in message.holds})
                if len(peer.told) > self._bounds.holds:
                    channel.close("it holds too much")
            case m.Know():
                for user in message.users:
                    self._ask_status(channel, peer, m.AskStatus(-1, user))
            case m.Restored():
                self._restored(channel, peer)

    def gone(self, channel: ServerChannel) -> None:
        """A channel has ended: what its gateway holds is given back unless it returns soon."""
        self._channels.discard(channel)
        peer, channel.peer = channel.peer, None
        if peer is not None and peer.channel is channel:
            peer.channel = None
            peer.ending = self.clock.callLater(self._bounds.linger, self._end, peer)

    def _hello(self, channel: ServerChannel, hello: m.Hello) -> None:
        if hello.version != m.VERSION or channel.peer is not None:
            channel.close(f"it speaks version {hello.version}, not {m.VERSION}, or says hello twice")
            return
        peer = self._peers.get(hello.gateway)
        if peer is not None and peer.channel is not None:
            peer.channel.close("the gateway has a newer one")
        if peer is not None and peer.generation != hello.generation:
            self._end(peer)
            peer = None
        if peer is None:
            peer = self._peers[hello.gateway] = Peer(hello.gateway, hello.generation)
        peer.connected(channel)
        channel.peer = peer
        channel.send(m.Welcome(m.VERSION, self._generation, self._demand.supported_brokers()))

    def _restored(self, channel: ServerChannel, peer: Peer) -> None:
        """The gateway has told all that it holds: give back what it does not, ask for what is missing."""
        surplus, missing = peer.restore()
        self._give_back(peer, surplus)
        for user in peer.watching - peer.told_watching:
            self._watch(peer, user, False)
        for user, holds in missing.items():
            for part in m.portions(holds):
                wants = [Want(hold.symbol, hold.exchange, hold.wish) for hold in part]
                self._demand.subscribe(user, wants).addCallback(self._recovered, channel, peer, part)

    def _recovered(
        self,
        answers: Sequence[Granted | Denied],
        channel: ServerChannel,
        peer: Peer,
        holds: Sequence[Hold],
    ) -> None:
        for hold, answer in zip(holds, answers, strict=True):
            same = isinstance(answer, Granted) and _hold(answer, hold.symbol, hold.exchange) == hold
            count = peer.restoring.pop(hold, 0) if channel.peer is peer else 0
            if same and count:
                self._count(peer, hold, count)
                continue
            if isinstance(answer, Granted):
                self._demand.release([_hold(answer, hold.symbol, hold.exchange)])
            if count:
                why = answer if isinstance(answer, Denied) else _CHANGED
                channel.send(m.Refused(hold.feed, hold.symbol, hold.exchange, why))

    def _subscribe(self, channel: ServerChannel, peer: Peer, request: m.Subscribe) -> None:
        if channel.requests >= self._bounds.requests or not self._know(peer, request.user):
            channel.send(m.Answers(request.id, [_BUSY for _ in request.wants]))
            return
        channel.requests += 1
        feed = self._demand.feed_of(request.user)
        if feed is not None:
            for want in request.wants:
                self._observer.asked(feed, want.symbol, want.exchange)

        def answered(answers: list[Granted | Denied]) -> None:
            channel.requests -= 1
            if feed is not None:
                for want, answer in zip(request.wants, answers, strict=True):
                    if isinstance(answer, Denied):
                        self._observer.refused(feed, want.symbol, want.exchange)
            counted = [
                self._granted(channel, peer, want, answer)
                for want, answer in zip(request.wants, answers, strict=True)
            ]
            channel.send(m.Answers(request.id, counted))

        self._demand.subscribe(request.user, request.wants).addCallback(answered)

    def _granted(
        self, channel: ServerChannel, peer: Peer, want: Want, answer: Granted | Denied
    ) -> Granted | Denied:
        if isinstance(answer, Denied):
            return answer
        hold = _hold(answer, want.symbol, want.exchange)
        if channel.peer is not peer:
            # The gateway does not wait for it any more.
            self._demand.release([hold])
        elif len(peer.holds) >= self._bounds.holds:
            self._demand.release([hold])
            return Denied("CAPACITY_EXCEEDED", "The gateway holds as much as it may", answer.broker)
        else:
            self._count(peer, hold, 1)
        return answer

    def _count(self, peer: Peer, hold: Hold, count: int) -> None:
        """One grant of the local demand, which stands for ``count`` of the gateway's."""
        if hold in peer.holds:
            self._demand.release([hold])
        else:
            self._observer.held(peer.name, hold)
        peer.holds[hold] += count

    def _release(self, peer: Peer, holds: Sequence[Hold]) -> None:
        self._give_back(peer, [hold for hold in holds if peer.take(hold)])

    def _give_back(self, peer: Peer, holds: Sequence[Hold]) -> None:
        for hold in holds:
            self._observer.given_back(peer.name, hold)
        if holds:
            self._demand.release(holds)

    def _ask_status(self, channel: ServerChannel, peer: Peer, request: m.AskStatus) -> None:
        if not self._know(peer, request.user):
            channel.close("it asks about too many users")
            return

        def answered(status: Status) -> None:
            if request.id < 0:
                channel.send(m.StatusChanged([request.user], status))
            else:
                channel.send(m.StatusAnswer(request.id, status))

        self._demand.status(request.user).addCallback(answered)

    def _know(self, peer: Peer, user: str) -> bool:
        if user not in peer.users and len(peer.users) >= self._bounds.users:
            return False
        peer.users.add(user)
        return True

    def _watch(self, peer: Peer, user: str, wanted: bool) -> None:
        if wanted:
            peer.told_watching.add(user)
        if wanted == (user in peer.watching):
            return
        if wanted:
            peer.watching.add(user)
            self._watched[user] += 1
            if self._watched[user] == 1:
                self._demand.watch_orders(user, True)
        else:
            peer.watching.discard(user)
            peer.told_watching.discard(user)
            self._watched[user] -= 1
            if not self._watched[user]:
                del self._watched[user]
                self._demand.watch_orders(user, False)

    def _end(self, peer: Peer) -> None:
        """The gateway is gone for good."""
        peer.end()
        if self._peers.get(peer.name) is peer:
            del self._peers[peer.name]
        holds = list(peer.holds)
        peer.holds.clear()
        self._give_back(peer, holds)
        for user in list(peer.watching):
            self._watch(peer, user, False)

    def _give_up_silent(self) -> None:
        limit = self.clock.seconds() - self._bounds.silence
        for channel in list(self._channels):
            if channel.heard < limit:
                channel.close("nothing has come from it")

    # From the local demand.

    def status_changed(self, users: Collection[str], status: Status) -> None:
        """Part of `DemandListener`."""
        for channel in list(self._channels):
            if channel.peer is not None:
                for part in m.portions(sorted(channel.peer.users.intersection(users))):
                    channel.send(m.StatusChanged(part, status))

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        """Part of `DemandListener`."""
        for channel in list(self._channels):
            if channel.peer is not None:
                channel.send(m.Refused(feed, symbol, exchange, denied))


_BUSY = Denied("RATE_LIMITED", "Too many requests are waiting")
_CHANGED = Denied("BROKER_CONNECTION_ERROR", "The feed is another one now: subscribe again")


def _hold(granted: Granted, symbol: str, exchange: str) -> Hold:
    return Hold(granted.feed, symbol, exchange, granted.wish)
