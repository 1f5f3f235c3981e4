"""Holdings: what is held of one account, for whom, and what each feed must be asked for it.

Holders are feed tags (`openalgo_ws.feeds.logical`): several may hold one instrument, and each
decides when it listens. The feeds are asked for the richest of what is held.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.internet.interfaces import IReactorTime

from openalgo_ws.adapter import Adapter
from openalgo_ws.bus.demand import Denied
from openalgo_ws.feeds.interfaces import Index, Key
from openalgo_ws.feeds.join import Joiner, Mark, Record
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.feeds.wishes import poorer, richest
from openalgo_ws.tick import Instrument, Wish

__all__ = ["Ask", "Holdings", "Lost"]

#: Asks a feed for changes; answers with the instruments it has no room for.
Ask = Callable[[str, Sequence[tuple[Instrument, Wish | None]]], Iterable[Instrument]]

#: Told of an instrument that can't be held any more: (tag, key, why).
Lost = Callable[[str, Key, Denied], None]


class _Held:
    __slots__ = ("key", "record", "routes", "wishes")

    def __init__(self, key: Key, record: Record) -> None:
        self.key = key
        self.record = record
        self.wishes: dict[str, Wish] = {}
        #: What each feed is asked for.
        self.routes: dict[str, Wish] = {}


class Holdings:
    """See the module. ``overlap``: seconds for which a feed goes on serving what another takes over."""

    def __init__(
        self,
        *,
        adapter: Adapter,
        index: Index,
        joiner: Joiner,
        ask: Ask,
        lost: Lost,
        clock: IReactorTime,
        overlap: float,
    ) -> None:
        self.index = index
        self._adapter = adapter
        self._joiner = joiner
        self._ask_feed = ask
        self._lost = lost
        self._clock = clock
        self._overlap = overlap
        self._held: dict[Key, _Held] = {}
        self._timers = Timers(clock)
        #: Instruments that some feed may give up at that time, another one having taken over.
        self._handovers: OrderedDict[Key, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def stop(self) -> None:
        """End the timer."""
        self._timers.clear()

    def place(self, tag: str, wants: Sequence[tuple[Key, Wish]]) -> list[Denied | None]:
        """Hold each (a key occurs once); None for those that are held from now on.

        What is denied stays as it was. Published under the tag only after `speak`.
        """
        answers: list[Denied | None] = []
        asked: list[tuple[int, _Held, Wish]] = []
        for position, (key, wish) in enumerate(wants):
            held = self._held.get(key) or self._found(key)
            if isinstance(held, Denied):
                answers.append(held)
            else:
                answers.append(None)
                asked.append((position, held, wish))
        no_room = self._ask([(held, {**held.wishes, tag: wish}) for _, held, wish in asked])
        for position, held, wish in asked:
            if held.key in no_room:
                answers[position] = self._no_room(held.key)
                continue
            held.wishes[tag] = wish
            self._held[held.key] = held
        return answers

    def drop(self, tag: str, keys: Iterable[Key]) -> None:
        """Hold these no more under the tag, nor publish them."""
        changed = []
        for key in keys:
            held = self._held.get(key)
            if held is None or held.wishes.pop(tag, None) is None:
                continue
            _mute(held.record, tag)
            if not held.wishes:
                del self._held[key]
            changed.append((held, held.wishes))
        self._ask(changed)

    def speak(self, tag: str, key: Key, after: Mark) -> None:
        """Publish a held instrument under the tag from now on, but nothing older than ``after``."""
        record = self._held[key].record
        record.waiting -= {tag}
        record.floors[tag] = after
        if tag not in record.tags:
            record.tags = (*record.tags, tag)

    def mute(self, tag: str, key: Key) -> None:
        """Publish a held instrument under the tag no more."""
        _mute(self._held[key].record, tag)

    def expect(self, tag: str, keys: Iterable[Key]) -> None:
        """Let the joiner tell when the next tick of each comes."""
        for key in keys:
            self._held[key].record.waiting |= {tag}

    def mark(self, key: Key) -> Mark:
        """How far a held instrument has got."""
        return self._held[key].record.mark

    def instrument(self, key: Key) -> Instrument:
        """A held instrument."""
        return self._held[key].record.instrument

    def feeds(self, key: Key) -> Iterable[str]:
        """The feeds that serve a held instrument."""
        return self._held[key].routes

    def rejected(self, instruments: Iterable[Instrument], message: str) -> None:
        """The broker refused these."""
        for instrument in instruments:
            held = self._held.get((instrument.symbol, instrument.exchange))
            if held is not None and held.record.instrument == instrument:
                self._lose(held, "BROKER_ERROR", message)

    def remap(self, index: Index) -> None:
        """There is a new instrument master: follow changed tokens, lose the symbols that are gone."""
        self.index = index
        gone: list[_Held] = []
        moved: list[tuple[_Held, Instrument]] = []
        for key, held in self._held.items():
            old, new = held.record.instrument, index.lookup(*key)
            if new is None:
                gone.append(held)
            elif (new.token, new.brsymbol, new.brexchange) != (old.token, old.brsymbol, old.brexchange):
                moved.append((held, new))
        for held in gone:
            self._lose(held, "SYMBOL_NOT_FOUND", "is not in the new instrument master")
        # All are given up before any is asked for anew: tokens may have changed places.
        self._ask([(held, {}) for held, _ in moved])
        for held, new in moved:
            held.record.instrument = new
        no_room = self._ask([(held, held.wishes) for held, _ in moved])
        for key in no_room:
            self._lose(self._held[key], "CAPACITY_EXCEEDED", "finds no room under its new token")

    def _found(self, key: Key) -> _Held | Denied:
        symbol, exchange = key
        title, broker = self._adapter.title, self._adapter.name
        if exchange not in self._adapter.exchanges:
            return Denied("SYMBOL_NOT_FOUND", f"{title} does not stream {exchange}", broker)
        instrument = self.index.lookup(symbol, exchange)
        if instrument is None:
            message = f"{symbol} on {exchange} is not in the instrument master of {title}"
            return Denied("SYMBOL_NOT_FOUND", message, broker)
        bookless = instrument.is_index or not self._adapter.levels(exchange)
        return _Held(key, Record(instrument, bookless))

    def _no_room(self, key: Key) -> Denied:
        title = self._adapter.title
        message = f"No room for {key[0]} on {key[1]}: all connections that {title} allows are full"
        return Denied("CAPACITY_EXCEEDED", message, self._adapter.name)

    def _lose(self, held: _Held, code: str, what: str) -> None:
        symbol, exchange = held.key
        denied = Denied(code, f"{symbol} on {exchange}: {what}", self._adapter.name)
        tags = list(held.wishes)
        for tag in tags:
            self.drop(tag, [held.key])
        for tag in tags:
            self._lost(tag, held.key, denied)

    def _ask(self, changes: Sequence[tuple[_Held, Mapping[str, Wish]]]) -> list[Key]:
        """Ask the feeds for what these wishes by tag need.

        Returns the keys there was no room for; those are left as they were.
        """
        per_feed: dict[str, list[tuple[Instrument, Wish | None]]] = {}
        planned: list[tuple[_Held, Wish | None, dict[str, Wish], bool]] = []
        for held, wishes in changes:
            wish = richest(wishes.values())
            routes, handover = self._routes(held, wish)
            planned.append((held, wish, routes, handover))
            for feed, asked in _differences(held.routes, routes).items():
                per_feed.setdefault(feed, []).append((held.record.instrument, asked))
        refused: set[Instrument] = set()
        for feed, wants in per_feed.items():
            refused.update(self._ask_feed(feed, wants))
        no_room = []
        for held, wish, routes, handover in planned:
            instrument = held.record.instrument
            if instrument in refused:
                no_room.append(held.key)
                for feed, asked in _differences(routes, held.routes).items():
                    self._ask_feed(feed, [(instrument, asked)])
                continue
            self._note_handover(held.key, handover)
            held.routes = routes
            if wish is not None:
                held.record.wish = wish
            self._joiner.route(held.record, list(routes.items()))
        return no_room

    def _routes(self, held: _Held, wish: Wish | None) -> tuple[dict[str, Wish], bool]:
        """What each feed is to be asked for, and whether some of it is only for the moment: while a
        feed begins to serve more of an instrument, the others go on, so that nobody sees a gap."""
        if wish is None:
            return {}, False
        instrument = held.record.instrument
        source = self._adapter.source_depth(instrument.exchange, wish)
        routes = dict(self._adapter.routes(instrument, source))
        if any(poorer(held.routes.get(feed), new) for feed, new in routes.items()):
            kept = {feed: old for feed, old in held.routes.items() if poorer(routes.get(feed), old)}
            return routes | kept, bool(kept)
        return routes, False

    def _note_handover(self, key: Key, handover: bool) -> None:
        self._handovers.pop(key, None)
        if handover:
            self._handovers[key] = self._clock.seconds() + self._overlap
            if not self._timers.running("handover"):
                self._timers.set("handover", self._overlap, self._end_handovers)

    def _end_handovers(self) -> None:
        now = self._clock.seconds()
        due = [key for key, at in self._handovers.items() if at <= now]
        for key in due:
            del self._handovers[key]
        ended = [self._held[key] for key in due if key in self._held]
        self._ask([(held, held.wishes) for held in ended])
        if self._handovers:
            self._timers.set("handover", next(iter(self._handovers.values())) - now, self._end_handovers)


def _mute(record: Record, tag: str) -> None:
    record.tags = tuple(other for other in record.tags if other != tag)
    record.waiting -= {tag}
    record.floors.pop(tag, None)


def _differences(old: Mapping[str, Wish], new: Mapping[str, Wish]) -> dict[str, Wish | None]:
    """What changes from one set of routes to another, by feed."""
    changes: dict[str, Wish | None] = {feed: None for feed in old if feed not in new}
    changes.update({feed: wish for feed, wish in new.items() if old.get(feed) != wish})
    return changes
