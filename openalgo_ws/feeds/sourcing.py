"""Sourcing: which session serves each instrument of a logical feed, and how that changes.

Exactly one session at a time publishes an instrument under the feed's tag. It goes from one to
another in one turn of the reactor; when it goes back to the preferred one, with that one's first
tick, so that nobody sees a gap.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from openalgo_ws.bus.demand import Denied
from openalgo_ws.feeds.failover import Failover
from openalgo_ws.feeds.interfaces import FeedSettings, Key
from openalgo_ws.feeds.join import Mark
from openalgo_ws.feeds.session import Session
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.feeds.wishes import richest
from openalgo_ws.tick import Wish

__all__ = ["Entry", "Sourcing"]


#: Instruments that are moved in one turn of the reactor: a few milliseconds' work.
_AT_ONCE = 100


class Entry:
    """One instrument: who wants what of it, and where it comes from."""

    __slots__ = ("at", "coming", "count", "mark", "placed", "refused")

    def __init__(self) -> None:
        #: How many clients hold which wish.
        self.count: Counter[Wish] = Counter()
        #: The session that serves it, and what that is asked for; both None = nobody can.
        self.at: Session | None = None
        self.placed: Wish | None = None
        #: The session that is about to serve it.
        self.coming: Session | None = None
        #: How far it had got when no session served it any more.
        self.mark = Mark()
        #: Sessions that have given it up since somebody last asked for it.
        self.refused: set[Session] = set()


class Sourcing:
    """See the module. ``sessions`` gives the sessions there are, the preferred one first;
    ``refused(key, denied)`` is told of instruments no session can serve any more, ``moved()`` of
    another session that serves."""

    _log = Logger()

    def __init__(
        self,
        tag: str,
        *,
        clock: IReactorTime,
        settings: FeedSettings,
        sessions: Callable[[], list[Session]],
        refused: Callable[[Key, Denied], None],
        moved: Callable[[], None],
    ) -> None:
        self.tag = tag
        self.entries: dict[Key, Entry] = {}
        self._sessions = sessions
        self._refused = refused
        self._moved = moved
        #: Instruments that are on their way back to the preferred session.
        self._returning: set[Key] = set()
        #: Instruments that the session which has just taken over is still to be asked for.
        self._behind: deque[Key] = deque()
        #: What sessions hold, mute, and are to drop in the next turn.
        self._dropping: dict[Session, set[Key]] = {}
        self._timers = Timers(clock)
        self._failover = Failover(clock, settings, sessions, self)

    @property
    def active(self) -> Session | None:
        """The session that is asked first."""
        return self._failover.active

    def look(self) -> None:
        """A session is in another state."""
        self._failover.look()

    def stop(self) -> None:
        """Give everything up, and end every timer."""
        self._failover.stop()
        self._timers.clear()
        self._drop_mute()
        self.leave(list(self.entries))
        self.entries.clear()

    # Asking

    def place(self, more: Mapping[Key, Iterable[Wish]]) -> dict[Key, Denied]:
        """Ask for what is held of these entries, and these wishes besides.

        Those that can't be had are as before; the reason is the preferred session's.
        """
        for key in more:
            self.entries[key].refused.clear()
        return self._place(more)

    def _place(self, more: Mapping[Key, Iterable[Wish]]) -> dict[Key, Denied]:
        wishes: dict[Key, Wish] = {}
        at: dict[Session, list[Key]] = {}
        nowhere: list[Key] = []
        for key, extra in more.items():
            entry = self.entries[key]
            wish = richest([*entry.count, *extra, *([entry.placed] if entry.placed else [])])
            if wish is None or (entry.at is not None and wish == entry.placed):
                continue
            wishes[key] = wish
            if entry.at is None:
                nowhere.append(key)
            else:
                at.setdefault(entry.at, []).append(key)
        denied: dict[Key, Denied] = {}
        for session, keys in at.items():
            denied |= self._ask(session, keys, wishes)
        reasons: dict[Key, Denied] = {}
        for session in sorted(self._sessions(), key=lambda session: session is not self.active):
            open_to = [key for key in nowhere if session not in self.entries[key].refused]
            if open_to:
                reasons = self._ask(session, open_to, wishes) | reasons
                nowhere = [key for key in nowhere if self.entries[key].at is None]
        return denied | {key: reasons[key] for key in nowhere if key in reasons}

    def _ask(self, session: Session, keys: Sequence[Key], wishes: Mapping[Key, Wish]) -> dict[Key, Denied]:
        """Place these with a session that serves them, or shall; those that it denies."""
        wants = [(key, session.adapter.grant(key[1], wishes[key])) for key in keys]
        denied = {}
        for (key, wish), answer in zip(wants, session.place(self.tag, wants), strict=True):
            if answer is not None:
                denied[key] = answer
                continue
            entry = self.entries[key]
            entry.placed = wish
            if entry.at is None:
                entry.at = session
                session.speak(self.tag, key, entry.mark)
            if entry.coming is not None:
                entry.coming.place(self.tag, [(key, entry.coming.adapter.grant(key[1], wish))])
        return denied

    def reduce(self, wishes: Mapping[Key, Wish]) -> None:
        """Ask for less of these from now on."""
        less: dict[Session, list[tuple[Key, Wish]]] = {}
        for key, wish in wishes.items():
            entry = self.entries[key]
            entry.placed = wish
            for session in filter(None, (entry.at, entry.coming)):
                less.setdefault(session, []).append((key, session.adapter.grant(key[1], wish)))
        for session, wants in less.items():
            # Less of what is held is never denied.
            session.place(self.tag, wants)

    def leave(self, keys: Iterable[Key]) -> None:
        """Give these up wherever they are held."""
        left: dict[Session, list[Key]] = {}
        for key in keys:
            entry = self.entries[key]
            if entry.at is not None:
                entry.mark = entry.at.mark(key)
            for session in filter(None, (entry.at, entry.coming)):
                left.setdefault(session, []).append(key)
            entry.at = entry.coming = entry.placed = None
            self._returning.discard(key)
        for session, gone in left.items():
            session.drop(self.tag, gone)

    def retry(self) -> dict[Key, Denied]:
        """Ask again for what nobody could serve: there are other credentials, or another master."""
        return self.place({key: () for key, entry in self.entries.items() if entry.at is None})

    def lost(self, session: Session, key: Key, denied: Denied) -> None:
        """A session does not hold an instrument any more."""
        entry = self.entries.get(key)
        if entry is None or not self._draws_on(key, session):
            return
        if entry.coming is session:
            entry.coming = None
            self._came(key)
        elif entry.coming is not None:
            entry.at = None
            self._switch(key, entry.coming)
            self._came(key)
        else:
            entry.at = entry.placed = None
            entry.refused.add(session)
            if entry.count:
                self._place({key: ()})
                # Even if somebody took it again meanwhile, there is nobody to serve it.
                if entry.at is None:
                    self._refused(key, denied)

    # Moving

    def replace(self, old: Session, new: Session) -> None:
        """An account has another session: what the old one serves goes to the new one."""
        self.call_off_return(old)
        self._move([key for key, entry in self.entries.items() if entry.at is old], new)
        left = [key for key, entry in self.entries.items() if entry.at is old]
        self.leave(left)
        self._failover.forget(old)
        self._failover.look()
        for key, denied in self.retry().items():
            if key in left:
                self._refused(key, denied)

    def _move(self, keys: Iterable[Key], session: Session) -> None:
        """Let a session serve these from now on, as far as it can."""
        wants = []
        for key in keys:
            placed = self.entries[key].placed
            if placed is not None:
                wants.append((key, session.adapter.grant(key[1], placed)))
        left: dict[Session, list[Key]] = {}
        for (key, _), denied in zip(wants, session.place(self.tag, wants), strict=True):
            if denied is None:
                old = self._switch(key, session)
                if old is not None:
                    left.setdefault(old, []).append(key)
        for old, gone in left.items():
            old.drop(self.tag, gone)

    def _switch(self, key: Key, session: Session) -> Session | None:
        """Let a session speak that holds the instrument. Returns the one that must drop it now."""
        entry = self.entries[key]
        old, mark = entry.at, entry.mark
        if old is not None:
            mark = old.mark(key)
        entry.at, entry.coming = session, None
        session.speak(self.tag, key, mark)
        return old if old is not session else None

    # `openalgo_ws.feeds.failover.Served`

    def take_over(self, session: Session) -> None:
        """Let the session serve everything now."""
        self._log.warn("{tag}: the feed of {account} serves now", tag=self.tag, account=session.account)
        self._returning.clear()
        self._behind = deque(key for key, entry in self.entries.items() if entry.at is not session)
        self._catch_up(session)
        self._moved()

    def _catch_up(self, session: Session) -> None:
        """Move the next of those that the session does not serve yet."""
        some = [self._behind.popleft() for _ in range(min(_AT_ONCE, len(self._behind)))]
        self._move(
            [key for key in some if key in self.entries and self.entries[key].at is not session], session
        )
        if self._behind:
            self._timers.set("move", 0, partial(self._catch_up, session))

    def begin_return(self, session: Session) -> None:
        """Ask the session for everything, and let it serve each instrument from its first tick on."""
        wants = [
            (key, session.adapter.grant(key[1], entry.placed))
            for key, entry in self.entries.items()
            if entry.at is not session and entry.placed is not None
        ]
        answers = session.place(self.tag, wants)
        self._returning = {key for (key, _), denied in zip(wants, answers, strict=True) if denied is None}
        for key in self._returning:
            self.entries[key].coming = session
        session.expect(self.tag, self._returning)
        if not self._returning:
            self._failover.all_returned()

    def has_returned(self, session: Session) -> bool:
        """Whether any instrument has arrived at the session."""
        return any(entry.at is session for entry in self.entries.values())

    def call_off_return(self, session: Session) -> None:
        """Let the session that served before serve everything again."""
        coming = [key for key, entry in self.entries.items() if entry.coming is session]
        for key in coming:
            self.entries[key].coming = None
        self._returning.clear()
        session.drop(self.tag, coming)
        if self.active is not None and self.active is not session:
            self._move([key for key, entry in self.entries.items() if entry.at is session], self.active)

    def arrived(self, session: Session, key: Key) -> None:
        """The first tick of an instrument came from the session that takes back."""
        entry = self.entries.get(key)
        if entry is None or entry.coming is not session:
            return
        old = self._switch(key, session)
        if old is not None:
            # Many arrive with one frame: the old session is told of all of them together.
            old.mute(self.tag, key)
            self._dropping.setdefault(old, set()).add(key)
            if not self._timers.running("drop"):
                self._timers.set("drop", 0, self._drop_mute)
        self._came(key)

    def _drop_mute(self) -> None:
        dropping, self._dropping = self._dropping, {}
        for session, keys in dropping.items():
            # Some may have come back meanwhile.
            session.drop(self.tag, [key for key in keys if not self._draws_on(key, session)])

    def _draws_on(self, key: Key, session: Session) -> bool:
        entry = self.entries.get(key)
        return entry is not None and session in (entry.at, entry.coming)

    def _came(self, key: Key) -> None:
        """An instrument is not on its way back any more."""
        if key in self._returning:
            self._returning.discard(key)
            if not self._returning:
                self._failover.all_returned()
