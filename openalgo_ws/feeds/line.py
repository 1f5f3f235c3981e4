"""One socket's life: a codec on a link, from dialling to its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.adapter import (
    Cause,
    Change,
    Close,
    Disconnect,
    Event,
    Feed,
    FeedCodec,
    HttpRequest,
    HttpResponse,
    LoggedIn,
    Login,
    LoginFailed,
    Malformed,
    OrderUpdate,
    Pace,
    Rejected,
    Reply,
    Send,
    Verdict,
)
from openalgo_ws.feeds.counters import ConnectionCounters
from openalgo_ws.feeds.http import HttpCaller
from openalgo_ws.feeds.keepalive import Heart
from openalgo_ws.feeds.link import Closed, Dialler, Ending, Link, Refused
from openalgo_ws.feeds.outgoing import Outgoing
from openalgo_ws.feeds.reasons import place_of
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.tick import Instrument, Tick, Wish

__all__ = ["Line", "LineOwner"]

#: So many messages in a row without one good word: the peer and we have lost each other.
_MOST_MALFORMED = 20
#: How long a polite farewell may take, seconds.
_FAREWELL = 1.5


class LineOwner(Protocol):
    """Who hears of a line. `line_over` is said at most once, `line_gone` exactly once and last."""

    def line_opened(self, line: Line) -> None: ...
    def line_logged_in(self, line: Line) -> None: ...
    def line_ticked(self, ticks: Sequence[Tick]) -> None: ...
    def line_ordered(self, update: OrderUpdate) -> None: ...
    def line_rejected(self, rejected: Rejected) -> None: ...

    def line_over(self, line: Line, verdict: Verdict) -> None:
        """The line has ended by itself."""

    def line_gone(self, line: Line) -> None:
        """Nothing is left of the socket."""


class Line:
    """Joins what a codec says and wants with a link, HTTP calls and the clock.

    ``target`` is what shall be held, live. Ended by its owner with `end` or `retire`, after which
    nothing but `LineOwner.line_gone` is told.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        feed: Feed,
        codec: FeedCodec,
        dialler: Dialler,
        http: HttpCaller,
        counters: ConnectionCounters,
        owner: LineOwner,
        target: Mapping[Instrument, Wish],
        log: Logger,
    ) -> None:
        self._feed = feed
        self._codec = codec
        self._dialler = dialler
        self._http = http
        self._counters = counters
        self._owner = owner
        self._log = log
        self._timers = Timers(clock)
        self._heart = Heart(
            clock, feed.keepalive, ping=self._ping, beat=self._beat, dead=self._failed_by_force
        )
        self._outgoing = Outgoing(clock, feed.limits, target, self._change, self._caught_up)
        self._link: Link | None = None
        self._queue: deque[Send] = deque()
        self._call: Deferred[HttpResponse | None] | None = None
        self._pumping = False
        self._phase = "dialling"
        self._live = False
        #: Nothing more is handed up, and (settled) nothing more is sent.
        self._over = False
        self._settled = False
        self._malformed = 0

    def dial(self) -> None:
        """Open the socket; `BadAddress` if the codec asks for something that can't be dialled."""
        dial = self._codec.dial()
        self._link = self._dialler.dial(dial, self)
        self._timers.set("login", self._feed.login_timeout, self._login_timed_out)

    @property
    def asked(self) -> int:
        """How many instruments the broker has been asked for on this socket."""
        return len(self._outgoing.held)

    def changed(self, instruments: Iterable[Instrument]) -> None:
        """The target has changed for these."""
        if self._live:
            self._outgoing.changed(instruments)

    def end(self, *, politely: bool = True) -> None:
        """Close (or drop) the socket; nothing more is handed up."""
        self._settle()
        if self._link is None:
            self._owner.line_gone(self)
        elif politely:
            self._link.close()
        else:
            self._link.abort()

    def retire(self) -> None:
        """Give back what is held, then close. Takes a second or two at most."""
        if not self._live or self._over:
            self.end()
            return
        self._over = True
        self._timers.set("farewell", _FAREWELL, self.end)
        self._outgoing.drain(self.end)

    # What the link says.

    def opened(self) -> None:
        """The socket is open: log in."""
        if self._over:
            return
        self._phase = "logging in"
        self._owner.line_opened(self)
        if self._over:
            return
        self._deliver(self._codec.opened())
        if self._feed.login is Login.OPEN:
            self._logged_in()

    def heard(self, size: int) -> None:
        """Bytes came."""
        self._counters.bytes += size
        self._heart.heard()

    def ponged(self, payload: bytes) -> None:
        """A ping was answered."""
        self._heart.ponged(payload)

    def received(self, data: str | bytes) -> None:
        """A message came: decode it, hand up its ticks together, then see to the rest in order."""
        self._counters.frames += 1
        if self._over:
            return
        self._take(self._codec.received(data))

    def ended(self, ending: Ending) -> None:
        """The socket is gone."""
        if not self._over:
            self._fail(self._verdict(ending), politely=None)
        self._settle()
        self._link = None
        self._owner.line_gone(self)

    # What the codec says.

    def _take(self, events: Sequence[Event]) -> None:
        ticks = [event for event in events if type(event) is Tick]
        if ticks:
            self._malformed = 0
            self._counters.ticks += len(ticks)
            self._owner.line_ticked(ticks)
        if len(ticks) != len(events):
            for event in events:
                if self._over:
                    return
                if type(event) is not Tick:
                    self._handle(event)

    def _handle(self, event: Event) -> None:
        if isinstance(event, Malformed):
            self._count_malformed(event)
            return
        self._malformed = 0
        match event:
            case LoggedIn():
                self._logged_in()
            case LoginFailed(verdict) | Disconnect(verdict):
                self._fail(verdict, politely=True)
            case Reply(send):
                self._say(send)
            case Rejected():
                self._counters.rejected += 1
                self._owner.line_rejected(event)
            case OrderUpdate():
                self._counters.orders += 1
                self._owner.line_ordered(event)
            case Pace():
                self._heart.pace(event)

    def _count_malformed(self, event: Malformed) -> None:
        self._counters.malformed += 1
        self._malformed += 1
        if not self._timers.running("malformed"):
            # At most one line a second, however many there are.
            self._timers.set("malformed", 1.0, lambda: None)
            self._log.warn("malformed message: {reason}", reason=event.reason)
        if self._malformed >= _MOST_MALFORMED:
            self._failed_by_force("nothing but malformed messages")

    def _logged_in(self) -> None:
        if self._live or self._over:
            return
        self._live = True
        self._timers.cancel("login")
        self._heart.start()
        self._owner.line_logged_in(self)
        if not self._over:
            self._outgoing.start()

    # What goes out.

    def _change(self, changes: Sequence[Change]) -> bool:
        self._deliver(self._codec.change(changes))
        return self._call is None

    def _caught_up(self, changes: int, seconds: float) -> None:
        self._log.info("{changes} subscriptions sent in {seconds:.1f} s", changes=changes, seconds=seconds)

    def _deliver(self, sends: Sequence[Send]) -> None:
        self._queue.extend(sends)
        self._pump()

    def _pump(self) -> None:
        """Send what is queued, in order; an HTTP call holds up what follows it until it is answered."""
        if self._pumping:
            return
        self._pumping = True
        while self._queue and self._call is None:
            send = self._queue.popleft()
            if isinstance(send, HttpRequest):
                self._ask(send)
            else:
                self._say(send)
        self._pumping = False

    def _say(self, send: Send) -> None:
        if self._link is None:
            return
        if isinstance(send, HttpRequest):
            self._deliver([send])
        elif isinstance(send, Close):
            self._link.close(send.code, send.reason)
        else:
            self._link.send(send)

    def _ask(self, request: HttpRequest) -> None:
        call = self._call = self._http.call(request)

        def answered(response: HttpResponse | None) -> None:
            if self._call is not call:
                return
            self._call = None
            if not self._over:
                self._take(self._codec.answered(request, response))
            if not self._settled:
                self._pump()
                if self._call is None:
                    self._outgoing.ready()

        call.addCallback(answered).addErrback(self._call_broke)

    def _call_broke(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self._log.error("an answer could not be used: {place}", place=place_of(failure))
            self._failed_by_force("an answer could not be used")

    def _ping(self, payload: bytes) -> None:
        if self._link is not None:
            self._link.ping(payload)

    def _beat(self) -> None:
        beat = self._codec.heartbeat()
        if beat is not None:
            self._say(beat)

    # How it ends.

    def _login_timed_out(self) -> None:
        self._failed_by_force(f"no end of {self._phase} in {self._feed.login_timeout:g} s")

    def _failed_by_force(self, message: str) -> None:
        self._fail(Verdict(Cause.TRANSIENT, message), politely=False)

    def _fail(self, verdict: Verdict, *, politely: bool | None) -> None:
        """The line is over. ``politely`` None: there is no socket any more."""
        if self._over:
            return
        self._settle()
        self._owner.line_over(self, verdict)
        if self._link is not None and politely is not None:
            if politely:
                self._link.close()
            else:
                self._link.abort()

    def _settle(self) -> None:
        self._over = self._settled = True
        self._live = False
        self._heart.stop()
        self._outgoing.stop()
        self._timers.clear()
        self._queue.clear()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _verdict(self, ending: Ending) -> Verdict:
        if isinstance(ending, Refused):
            return self._codec.refused(ending.status, ending.headers, ending.body)
        if isinstance(ending, Closed):
            return self._codec.closed(ending.code, ending.reason)
        return Verdict(Cause.TRANSIENT, ending.message)
