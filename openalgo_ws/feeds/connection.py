"""One connection to a broker: dials, logs in, keeps alive, notices silence, dials again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from openalgo_ws.adapter import (
    Adapter,
    AuthoriseFailed,
    Cause,
    Change,
    Environment,
    Feed,
    OrderUpdate,
    Rejected,
    Verdict,
)
from openalgo_ws.feeds.address import BadAddress
from openalgo_ws.feeds.authentication import Authentication, Objection
from openalgo_ws.feeds.authoriser import Authorised, Authoriser
from openalgo_ws.feeds.counters import ConnectionCounters
from openalgo_ws.feeds.credential_watch import CredentialWatch
from openalgo_ws.feeds.credentials import CredentialDesk, ReadCredentials, Unreadable
from openalgo_ws.feeds.life import ConnectionState, Signal, next_state
from openalgo_ws.feeds.line import Line
from openalgo_ws.feeds.link import FeedReactor
from openalgo_ws.feeds.listener import ConnectionListener
from openalgo_ws.feeds.options import ConnectionOptions, Network
from openalgo_ws.feeds.reasons import place_of
from openalgo_ws.feeds.retry import Life, Retry
from openalgo_ws.feeds.state_log import StateLog
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.feeds.watchdog import Calendar, Watchdog
from openalgo_ws.log import CorrelatedLogger
from openalgo_ws.tick import Instrument, Tick, Wish

__all__ = [
    "Calendar",
    "Connection",
    "ConnectionListener",
    "ConnectionOptions",
    "ConnectionState",
    "ReadCredentials",
]

_State = ConnectionState
#: States that last until the credentials change.
_HELD_BACK = frozenset({_State.AUTH_FAILED, _State.FAILED})


class Connection:
    """One socket of a feed and everything that keeps it up. Single use: `start`, then `stop`.

    ``user`` names the account in logs, ``number`` this connection. ``authoriser`` is shared by all
    connections of an account, and so should ``network`` be (without it, the connection makes one of its
    own from ``options``).

    A way through the states is in `openalgo_ws.feeds.life`; pauses are decided in
    `openalgo_ws.feeds.retry`. There is no other layer that reconnects.
    """

    def __init__(
        self,
        *,
        reactor: FeedReactor,
        adapter: Adapter,
        feed: Feed,
        user: str,
        credentials: ReadCredentials,
        authoriser: Authoriser,
        environment: Environment,
        listener: ConnectionListener,
        sessions: Calendar,
        options: ConnectionOptions,
        network: Network | None = None,
        number: int | None = None,
    ) -> None:
        self.adapter = adapter
        self.feed = feed
        self.user = user
        self.counters = ConnectionCounters()
        #: What the last change of state said.
        self.message = ""
        self._reactor = reactor
        self._environment = environment
        self._listener = listener
        self._options = options
        self._network = network or Network.of(reactor, environment, options)
        self._log = CorrelatedLogger(
            f"openalgo_ws.feeds.{adapter.name}.{feed.name}.{user}",
            broker=adapter.name,
            feed=feed.name,
            account=user,
            connection=number,
        )
        self._state_log = StateLog(reactor, self._log)
        self._desk = CredentialDesk(reactor, adapter, credentials, options.read_timeout, self._log)
        self._authentication = Authentication(feed, self._desk, authoriser)
        self._credential_watch = CredentialWatch(
            reactor, self._desk, interval=options.recheck_interval, renewed=self._renew, log=self._log
        )
        self._timers = Timers(reactor)
        self._retry = Retry(
            environment,
            first=options.backoff_first,
            most=options.backoff_most,
            settled_after=options.settled_after,
            per_minute=options.attempts_per_minute,
            too_many_wait=options.too_many_wait,
        )
        self._watchdog = Watchdog(reactor, environment, sessions, feed.keepalive.stall_after, self._stalled)
        self._state = _State.IDLE
        self._wanted: dict[Instrument, Wish] = {}
        self._line: Line | None = None
        #: Sockets that are not quite gone yet, the present one included.
        self._lines: set[Line] = set()
        self._awaiting_gone: list[Deferred[None]] = []
        #: The steps before a dial.
        self._flow: Deferred[None] | None = None
        self._live_since: float | None = None

    @property
    def state(self) -> ConnectionState:
        """Where the connection is in its life."""
        return self._state

    @property
    def wanted(self) -> Mapping[Instrument, Wish]:
        """The target: everything that shall be held on this connection (read only, live)."""
        return MappingProxyType(self._wanted)

    @property
    def asked(self) -> int:
        """How many of `wanted` the broker has been asked for on the present socket; 0 without one."""
        return 0 if self._line is None else self._line.asked

    @property
    def credentials(self) -> Mapping[str, str] | None:
        """The credentials that the present (or last) dial was made with, before authorisation."""
        return self._desk.used

    # What the owner wants.

    def start(self) -> None:
        """Begin to dial. Once only."""
        self._move(Signal.START, "started")
        self._begin()

    def stop(self) -> Deferred[None]:
        """Unsubscribe, close the socket, end every timer; fires when the socket is gone (at most a
        second or three later). May be called again, and before `start`."""
        self._halt()
        self._credential_watch.stop()
        line, self._line = self._line, None
        self._move(Signal.STOP, "stopped")
        if line is not None:
            line.retire()
        return self._all_gone()

    def want(self, changes: Sequence[Change]) -> None:
        """Change the target; only ``instrument`` and ``new`` of each change count.

        Sent when LIVE, in batches of the feed's ``per_change`` and ``change_interval`` apart; what
        changed back before it was sent is not sent. After each login everything wanted is sent.
        """
        for instrument, _, new in changes:
            held = instrument in self._wanted
            if new is not None:
                self._wanted[instrument] = new
            elif held:
                del self._wanted[instrument]
            if held != (new is not None):
                self._watchdog.want(instrument.exchange, -1 if held else 1)
        if self._line is not None:
            self._line.changed(change.instrument for change in changes)

    def credentials_changed(self) -> None:
        """The account's credentials may have changed: read them.

        Where they differ from those last used: dial at once (out of BACKING_OFF, AUTH_FAILED,
        FAILED) or drop the socket and dial anew (LIVE and on the way there). Where they are the
        same, nothing is disturbed; out of AUTH_FAILED they are tried once more, at most every 30 s.
        """
        if self._state not in (_State.IDLE, _State.STOPPED):
            self._credential_watch.look()

    # Before a dial.

    def _begin(self, credentials: dict[str, str] | None = None) -> None:
        """In AUTHORISING: take the steps to a dial, with credentials that were just read if given."""
        if self._state is not _State.AUTHORISING:
            return
        flow = Deferred.fromCoroutine(self._prepare(credentials)).addErrback(self._flow_broke)
        # One that was refused at once has begun again already, and what it began is under way now.
        if not flow.called:
            self._flow = flow

    async def _prepare(self, given: dict[str, str] | None) -> None:
        try:
            credentials = await self._authentication.choose(given)
        except Objection as objection:
            self._move(Signal.REFUSED, str(objection))
            return
        if isinstance(credentials, Unreadable):
            self._lost(Verdict(Cause.TRANSIENT, "the credentials could not be read"), Life())
            return
        self._retry.attempted(self._reactor.seconds())
        try:
            authorised = await self._authentication.authorise(credentials)
        except AuthoriseFailed as failed:
            self._over(failed.verdict, Life())
            return
        await self._all_gone()
        self._dial(authorised)

    def _dial(self, authorised: Authorised) -> None:
        if not self._options.verify_tls:
            self._log.critical(
                "THE BROKER'S CERTIFICATE IS NOT VERIFIED: anybody between here and {broker} can read"
                " and change what passes (verification is switched off in the configuration)",
                broker=self.adapter.title,
            )
        codec = self.feed.codec(authorised.credentials, self._environment)
        line = Line(
            clock=self._reactor,
            feed=self.feed,
            codec=codec,
            dialler=self._network.dialler,
            http=self._network.http,
            counters=self.counters,
            owner=self,
            target=self._wanted,
            log=self._log,
        )
        if not self._move(Signal.AUTHORISED, "dialling"):
            return
        self.counters.dials += 1
        self._line = line
        try:
            line.dial()
        except BadAddress as bad:
            self._line = None
            self._over(Verdict(Cause.FATAL, str(bad)), Life())
            return
        self._lines.add(line)

    # What the line says.

    def line_opened(self, line: Line) -> None:
        """The socket is open."""
        self._move(Signal.OPENED, "logging in")

    def line_logged_in(self, line: Line) -> None:
        """Subscriptions may be sent."""
        self._live_since = self.counters.last_login = self._reactor.seconds()
        self.counters.logins += 1
        self._watchdog.start()
        self._move(Signal.LOGGED_IN, "live")

    def line_ticked(self, ticks: Sequence[Tick]) -> None:
        """Ticks came."""
        self.counters.last_tick = self._watchdog.tick()
        self._listener.ticked(self, ticks)

    def line_ordered(self, update: OrderUpdate) -> None:
        """An order update came."""
        self._listener.ordered(self, update)

    def line_rejected(self, rejected: Rejected) -> None:
        """The broker refused something."""
        self._listener.rejected(self, rejected)

    def line_over(self, line: Line, verdict: Verdict) -> None:
        """The line has ended by itself."""
        self._line = None
        self._over(verdict, self._life())

    def line_gone(self, line: Line) -> None:
        """Nothing is left of a socket."""
        self._lines.discard(line)
        if not self._lines:
            waiting, self._awaiting_gone = self._awaiting_gone, []
            for deferred in waiting:
                deferred.callback(None)

    # How things end.

    def _life(self) -> Life:
        if self._live_since is None:
            return Life()
        return Life(self._reactor.seconds() - self._live_since, self._watchdog.ticked)

    def _end_line(self, *, politely: bool = True) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.end(politely=politely)

    def _stalled(self, message: str) -> None:
        if self._move(Signal.STALLED, message):
            life = self._life()
            self._end_line(politely=False)
            self._over(Verdict(Cause.TRANSIENT, message), life, "stalled")

    def _over(self, verdict: Verdict, life: Life, label: str = "") -> None:
        """An attempt or a connection has ended: decide what follows."""
        self._conclude(label or verdict.cause.value, life)
        if verdict.cause in (Cause.TOKEN, Cause.PLAN):
            self._authentication.refused(verdict, served=life.live_for > 0)
            if self._move(Signal.DOUBTED, verdict.message):
                self._begin()
        elif verdict.cause is Cause.FATAL:
            self._desk.refuse(verdict.message)
            self._move(Signal.BROKEN, verdict.message)
        else:
            self._lost(verdict, life)

    def _conclude(self, label: str, life: Life) -> None:
        self._watchdog.stop()
        self._live_since = None
        self.counters.ended[label] += 1
        if life.live_for >= self._options.settled_after:
            self._authentication.settled()

    def _lost(self, verdict: Verdict, life: Life) -> None:
        pause = self._retry.pause(verdict, life, self._reactor.seconds())
        if self._move(Signal.LOST, f"{verdict.message}; again in {pause:.1f} s"):
            self._timers.set("wake", pause, self._wake)

    def _wake(self) -> None:
        if self._move(Signal.WAKE, "trying again"):
            self._begin()

    def _renew(self, credentials: dict[str, str] | None, message: str) -> None:
        """There is something new to dial with."""
        life, had_line = self._life(), self._line is not None
        self._halt()
        self._end_line()
        if had_line:
            self._conclude("renewed", life)
        if self._move(Signal.RENEWED, message):
            self._begin(credentials)

    def _halt(self) -> None:
        """End whatever is under way except the socket and a look at the credentials."""
        self._timers.clear()
        self._watchdog.stop()
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.cancel()

    def _all_gone(self) -> Deferred[None]:
        """Fires when no socket is left."""
        if not self._lines:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._awaiting_gone.append(gone)
        return gone

    # Mistakes of ours, and the moves themselves.

    def _flow_broke(self, failure: Failure) -> None:
        if isinstance(failure.value, CancelledError):
            return
        self._log.error("a step failed: {place}", place=place_of(failure))
        if self._state in (_State.AUTHORISING, _State.DIALLING):
            self._end_line(politely=False)
            self._over(Verdict(Cause.TRANSIENT, "an internal error (see the log)"), Life())

    def _move(self, signal: Signal, message: str) -> bool:
        """Go to the next state and say so. False if a listener has since moved the connection on."""
        before, state = self._state, next_state(self._state, signal)
        self._state, self.message = state, message
        if state is not before:
            if state in _HELD_BACK:
                self._credential_watch.hold()
            else:
                self._credential_watch.release()
            self._state_log.changed(state, message)
            self._listener.state_changed(self, state, message)
        return self._state is state
