"""The gateway's end of the demand protocol: `openalgo_ws.bus.demand.Demand` by another process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from openalgo_ws.bus.demand import DemandListener, Denied, FeedState, Granted, Hold, Status, Want
from openalgo_ws.scale import messages as m

__all__ = ["RemoteDemand"]

#: Seconds between signs of life; so many without an answer end the channel.
BEAT = 5.0
_MISSED = 3

#: No instrument has a longer name (characters); so a portion of wants always fits a message.
_LONGEST = 128

_AWAY = "The feed process can't be reached, try again"
_UNKNOWN = Denied("SYMBOL_NOT_FOUND", "There is no instrument with so long a name")

Answer = Granted | Denied


class _Held:
    __slots__ = ("asked", "count", "granted", "user")

    def __init__(self, user: str, granted: Granted) -> None:
        self.user = user
        self.granted = granted
        self.count = 0
        #: The wants that it answered.
        self.asked: set[tuple[str, Want]] = set()


class RemoteDemand:
    """See the module. ``gateway`` is this gateway's name, which no other of the feed process' has;
    ``generation`` another one at each start.

    While there is no channel, what is held already is granted again as pending; for everything else
    BROKER_CONNECTION_ERROR is answered. When it comes back, all that is held is asked for anew.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, *, gateway: str, generation: str, beat: float = BEAT) -> None:
        self._clock = clock
        self._gateway = gateway
        self._generation = generation
        self._beat = beat
        self._send: Callable[[bytes], None] | None = None
        self._close: Callable[[], None] = lambda: None
        self._up = False
        self._heard = 0.0
        self._next_id = 0
        self._subscribing: dict[int, tuple[str, list[Want], Deferred[list[Answer]]]] = {}
        self._asking: dict[int, tuple[str, Deferred[Status]]] = {}
        self._held: dict[Hold, _Held] = {}
        #: (user, want) → what it was granted as.
        self._granted: dict[tuple[str, Want], Hold] = {}
        #: User → the broker last heard of.
        self._users: dict[str, str | None] = {}
        self._watching: set[str] = set()
        self._brokers: list[str] = []
        self._listeners: list[DemandListener] = []
        self._waiting: list[Deferred[None]] = []
        self._beating = LoopingCall(self._live)
        self._beating.clock = clock

    @property
    def up(self) -> bool:
        """Whether the feed process answers."""
        return self._up

    def when_up(self) -> Deferred[None]:
        """Fires as soon as the feed process answers."""
        return succeed(None) if self._up else self.when_up_again()

    def when_up_again(self) -> Deferred[None]:
        """Fires when the feed process answers on the next channel."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    # The channel.

    def connected(self, send: Callable[[bytes], None], close: Callable[[], None]) -> None:
        """A channel has come up: ``send`` takes a message, ``close`` ends it (`lost` may be called in
        it)."""
        self._send, self._close = send, close
        self._heard = self._clock.seconds()
        self._beating.start(self._beat, now=False)
        self._tell(m.Hello(m.VERSION, self._gateway, self._generation))

    def leave(self) -> None:
        """End the channel, because the gateway stops."""
        self._up = False
        self._end()

    def lost(self) -> None:
        """The channel has ended. Harmless if there is none."""
        if self._send is None:
            return
        self._send = None
        self._beating.stop()
        was_up, self._up = self._up, False
        subscribing, self._subscribing = self._subscribing, {}
        asking, self._asking = self._asking, {}
        for user, wants, subscribed in subscribing.values():
            subscribed.callback([self._without(user, want) for want in wants])
        for user, asked in asking.values():
            asked.callback(self._unreachable(user))
        if was_up:
            self.log.warn("the feed process can't be reached")
            for user in list(self._users):
                self._changed([user], self._unreachable(user))

    def received(self, data: bytes) -> None:
        """A message has come. What is no message ends the channel."""
        if self._send is None:
            return
        self._heard = self._clock.seconds()
        try:
            message = m.decode_from_feed(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            self.log.error("what the feed process sent can't be read")
            self._end()
            return
        match message:
            case m.Answers():
                self._answered(message)
            case m.StatusAnswer():
                self._status_answered(message)
            case m.StatusChanged():
                self._changed(message.users, message.status)
            case m.Refused():
                for listener in self._listeners:
                    listener.refused(message.feed, message.symbol, message.exchange, message.denied)
            case m.Welcome():
                self._welcome(message)

    def _welcome(self, welcome: m.Welcome) -> None:
        if welcome.version != m.VERSION:
            self.log.error(
                "the feed process speaks version {theirs}, not {ours}",
                theirs=welcome.version,
                ours=m.VERSION,
            )
            self._end()
            return
        self._brokers = welcome.brokers
        for user in self._watching:
            self._tell(m.WatchOrders(user, True))
        by_user: dict[str, list[tuple[Hold, int]]] = {}
        for hold, held in self._held.items():
            by_user.setdefault(held.user, []).append((hold, held.count))
        for user, holds in by_user.items():
            for part in m.portions(holds):
                self._tell(m.Restore(user, part))
        self._tell(m.Restored())
        for users in m.portions(list(self._users)):
            self._tell(m.Know(users))
        self._up = True
        self.log.info("connected to the feed process")
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def _live(self) -> None:
        if self._clock.seconds() - self._heard > _MISSED * self._beat:
            self.log.warn("the feed process does not answer")
            self._end()
        else:
            self._tell(m.Beat())

    def _end(self) -> None:
        close = self._close
        self.lost()
        close()

    def _tell(self, message: m.FromGateway) -> None:
        if self._send is not None:
            self._send(m.encode(message))

    # Demand.

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        """Hold each want; one answer each, in order. Never fails."""
        if not self._up:
            return succeed([self._without(user, want) for want in wants])
        self._users.setdefault(user)
        possible = [len(want.symbol) <= _LONGEST >= len(want.exchange) for want in wants]
        asked = [want for want, fits in zip(wants, possible, strict=True) if fits]
        parts = [self._subscribe(user, part) for part in m.portions(asked)]

        def joined(results: list[Any]) -> list[Answer]:
            answers = iter([answer for _, part in results for answer in part])
            return [next(answers) if fits else _UNKNOWN for fits in possible]

        return DeferredList(parts).addCallback(joined)

    def _subscribe(self, user: str, wants: list[Want]) -> Deferred[list[Answer]]:
        deferred: Deferred[list[Answer]] = Deferred()
        self._next_id += 1
        self._subscribing[self._next_id] = (user, wants, deferred)
        self._tell(m.Subscribe(self._next_id, user, wants))
        return deferred

    def release(self, holds: Sequence[Hold]) -> None:
        """Give granted wants back."""
        for hold in holds:
            held = self._held.get(hold)
            if held is not None:
                held.count -= 1
                if not held.count:
                    self._forget(hold)
        if self._up:
            for part in m.portions(holds):
                self._tell(m.Release(part))

    def status(self, user: str) -> Deferred[Status]:
        """The state of the feed that serves this user. Never fails."""
        self._users.setdefault(user)
        if not self._up:
            return succeed(self._unreachable(user))
        deferred: Deferred[Status] = Deferred()
        self._next_id += 1
        self._asking[self._next_id] = (user, deferred)
        self._tell(m.AskStatus(self._next_id, user))
        return deferred

    def watch_orders(self, user: str, wanted: bool) -> None:
        """Somebody wants this user's order updates, or nobody does any more. They come by the bus."""
        if wanted:
            self._watching.add(user)
        else:
            self._watching.discard(user)
        if self._up:
            self._tell(m.WatchOrders(user, wanted))

    def feed_of(self, user: str) -> str | None:
        """Not known here; the feed process sends what came before the answer."""
        return None

    def supported_brokers(self) -> list[str]:
        """What the feed process said last; nothing before it has said anything."""
        return self._brokers

    def listen(self, listener: DemandListener) -> None:
        """Report changes to this listener from now on."""
        self._listeners.append(listener)

    # Answers.

    def _answered(self, message: m.Answers) -> None:
        asked = self._subscribing.get(message.id)
        if asked is None or len(asked[1]) != len(message.answers):
            self.log.error("the feed process answered what was not asked")
            self._end()
            return
        del self._subscribing[message.id]
        user, wants, deferred = asked
        for want, answer in zip(wants, message.answers, strict=True):
            if isinstance(answer, Granted):
                self._hold(user, want, answer)
        deferred.callback(message.answers)

    def _hold(self, user: str, want: Want, granted: Granted) -> None:
        hold = Hold(granted.feed, want.symbol, want.exchange, granted.wish)
        held = self._held.get(hold)
        if held is None:
            held = self._held[hold] = _Held(user, granted)
        held.granted = granted
        held.count += 1
        held.asked.add((user, want))
        self._granted[user, want] = hold

    def _forget(self, hold: Hold) -> None:
        for asked in self._held.pop(hold).asked:
            if self._granted.get(asked) == hold:
                del self._granted[asked]

    def _without(self, user: str, want: Want) -> Answer:
        """An answer while the feed process can't be asked."""
        hold = self._granted.get((user, want))
        if hold is None:
            return Denied("BROKER_CONNECTION_ERROR", _AWAY, self._users.get(user))
        held = self._held[hold]
        held.count += 1
        return msgspec.structs.replace(held.granted, pending=True)

    def _status_answered(self, message: m.StatusAnswer) -> None:
        asked = self._asking.pop(message.id, None)
        if asked is not None:
            user, deferred = asked
            self._users[user] = message.status.broker
            deferred.callback(message.status)

    def _changed(self, users: Collection[str], status: Status) -> None:
        for user in users:
            self._users[user] = status.broker
        for listener in self._listeners:
            listener.status_changed(users, status)

    def _unreachable(self, user: str) -> Status:
        return Status(self._users.get(user), FeedState.RECONNECTING, _AWAY)
