"""A codec on the bench: fixed time and chance, credentials, and the way to a subscription.

The same steps that a feed session takes, without its connection. Used by the runner of vectors,
by the tests that every adapter goes through, and by the benchmarks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from openalgo_ws.adapter import (
    Adapter,
    Authorise,
    Change,
    Environment,
    Event,
    Feed,
    FeedCodec,
    HttpRequest,
    HttpResponse,
    MasterRow,
    Send,
    SimulatorSide,
)
from openalgo_ws.tick import Depth, Instrument, Mode, Tick, Wish

__all__ = [
    "FixedEnvironment",
    "StillMarket",
    "asked",
    "authorise",
    "make_codec",
    "pick_feed",
    "receive",
    "sample_instrument",
    "simulator_for",
    "subscribe",
    "wishes_on",
]

Answer = Callable[[HttpRequest], HttpResponse | None]


class FixedEnvironment:
    """Monday 2026-11-23, 09:20 in India, for ever; "random" bytes that differ and repeat."""

    def __init__(self) -> None:
        self._calls = 0

    def now(self) -> float:
        return 1_795_405_800.0

    def random(self, n: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(self._calls.to_bytes(8, "big")).digest(n)


class StillMarket:
    """A market of given instruments. The last tick of each is what `show` was told, or all zero.

    ``rows`` is the instrument master behind them; without it, one is made up from the instruments.
    """

    def __init__(self, instruments: Iterable[Instrument] = (), rows: Iterable[MasterRow] = ()) -> None:
        self._instruments = list(instruments)
        self._rows = list(rows) or [_row(instrument) for instrument in self._instruments]
        self._last: dict[tuple[str, str], Tick] = {}

    def instruments(self) -> Iterable[Instrument]:
        return iter(self._instruments)

    def rows(self) -> Iterable[MasterRow]:
        return iter(self._rows)

    def find(self, token: str, exchange: str | None = None) -> Instrument | None:
        for instrument in self._instruments:
            if instrument.token == token and exchange in (None, instrument.exchange):
                return instrument
        return None

    def show(self, tick: Tick) -> None:
        """Make this the present state of its instrument."""
        self._last[tick.instrument.exchange, tick.instrument.token] = tick

    def last(self, instrument: Instrument) -> Tick:
        known = self._last.get((instrument.exchange, instrument.token))
        return _nothing(instrument) if known is None else known


def _row(instrument: Instrument) -> MasterRow:
    return MasterRow(
        symbol=instrument.symbol,
        brsymbol=instrument.brsymbol,
        name=instrument.symbol,
        exchange=instrument.exchange,
        brexchange=instrument.brexchange,
        token=instrument.token,
        lotsize=instrument.lotsize,
        tick_size=instrument.tick_size,
        instrumenttype="EQ",
    )


def _nothing(instrument: Instrument) -> Tick:
    tick = Tick(instrument, Mode.QUOTE, ltp=0.0, open=0.0, high=0.0, low=0.0, close=0.0)
    if not instrument.is_index:
        tick.kind = Mode.DEPTH
        tick.volume = tick.last_trade_quantity = tick.total_buy_quantity = tick.total_sell_quantity = 0
        tick.oi = 0
        tick.avg_trade_price = 0.0
        tick.depth = Depth([], [])
    return tick


def simulator_for(adapter: Adapter, market: StillMarket, environment: Environment) -> SimulatorSide | None:
    """The adapter's simulator side with its own demo credentials, if it has one."""
    if adapter.simulator is None:
        return None
    return adapter.simulator(market, dict(adapter.simulator.demo_credentials), environment)


def authorise(
    step: Authorise, credentials: Mapping[str, str], environment: Environment, answer: Answer
) -> Mapping[str, str]:
    """Run an authorise step, its requests answered by ``answer``; raises what the step raises."""
    steps = step(credentials, environment)
    try:
        request = next(steps)
        while True:
            request = steps.send(answer(request))
    except StopIteration as end:
        result: Mapping[str, str] = end.value
        return result


def make_codec(adapter: Adapter, feed: Feed, environment: Environment) -> FeedCodec:
    """A codec with invented credentials: the simulator's own, authorised by the simulator."""
    simulator = simulator_for(adapter, StillMarket(), environment)
    if simulator is None:
        names = (*adapter.credential_fields, *adapter.optional_fields)
        return feed.codec({name: f"fake-{name}" for name in names}, environment)
    credentials: Mapping[str, str] = dict(simulator.credentials)
    if feed.authorise is not None:
        credentials = authorise(feed.authorise, credentials, environment, simulator.http)
    return feed.codec(credentials, environment)


def asked(adapter: Adapter, instrument: Instrument, mode: Mode, depth: int) -> Wish:
    """A client's wish as the broker is asked for it."""
    wish = Wish(mode, depth) if mode is Mode.DEPTH else Wish(mode)
    return adapter.source_depth(instrument.exchange, adapter.grant(instrument.exchange, wish))


def sample_instrument(adapter: Adapter, mode: Mode, depth: int) -> Instrument:
    """An instrument that nobody trades, on the first exchange where the depth can be had."""
    preferred = [name for name in ("NSE", "NFO") if name in adapter.exchanges]
    exchanges = [*preferred, *(name for name in adapter.exchanges if name not in preferred)]
    for exchange in exchanges:
        if mode is not Mode.DEPTH or depth in adapter.levels(exchange):
            break
    else:
        exchange = exchanges[0]
    return Instrument("SAMPLE", exchange, "1", "SAMPLE", adapter.exchanges[exchange])


def pick_feed(adapter: Adapter, instrument: Instrument, mode: Mode, depth: int) -> Feed:
    """The feed that serves a wish by the adapter's rule; of two, that with the richer share."""
    routes = adapter.routes(instrument, asked(adapter, instrument, mode, depth))
    name, _ = max(routes, key=lambda route: (route[1].mode, route[1].depth))
    return adapter.feed(name)


def wishes_on(
    adapter: Adapter, feed: Feed, instruments: Sequence[Instrument], mode: Mode, depth: int, *, forced: bool
) -> list[tuple[Instrument, Wish]]:
    """What a feed is asked for; ``forced``: also where the rule would have chosen another.

    A vector that names its feed speaks of one stream: the quote that a session takes beside a book
    without prices is not in it.
    """
    result = []
    for instrument in instruments:
        wish = asked(adapter, instrument, mode, depth)
        share = dict(adapter.routes(instrument, wish)).get(feed.name)
        if share is not None:
            result.append((instrument, replace(share, with_quote=False) if forced else share))
        elif forced:
            result.append((instrument, wish))
    return result


def subscribe(codec: FeedCodec, wishes: Sequence[tuple[Instrument, Wish]]) -> list[Send]:
    """Ask for instruments that are not held yet."""
    return codec.change([Change(instrument, None, wish) for instrument, wish in wishes]) if wishes else []


def receive(codec: FeedCodec, frames: Iterable[str | bytes]) -> list[Event]:
    """Feed frames in order."""
    return [event for frame in frames for event in codec.received(frame)]
