"""What the simulated exchange trades: real names, plausible prices, contracts that lie ahead.

Cash symbols, indices and the underlyings of contracts are data (``data/*.csv``); futures and
option chains are made from them for a given day. The order is fixed: well-known symbols first,
then a few of each kind, then everything, options from the money outwards. So a small universe is a
varied one, and a larger one begins with the smaller.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from datetime import date
from enum import Enum
from importlib.resources import files
from itertools import chain, count, islice
from math import exp, sqrt
from typing import NamedTuple

import msgspec

from openalgo_ws.adapter import Adapter, MasterRow
from openalgo_ws.simulator.expiries import expiry_text, monthly, weekly
from openalgo_ws.tick import INDEX_EXCHANGES, Instrument

__all__ = ["LARGEST", "Kind", "Listing", "localise", "universe"]

#: The most instruments that `universe` is asked for.
LARGEST = 100_000

#: The low byte of a Kite token: the segment.
_SEGMENT = {"NSE": 1, "NFO": 2, "CDS": 3, "BSE": 4, "BFO": 5, "BCD": 6, "MCX": 7, "NCO": 12, "CRYPTO": 20}
_INDEX_SEGMENT = 9
#: Where the exchange tokens of contracts begin; each further one is the next number.
_FIRST_TOKEN = {"NFO": 35_000, "BFO": 820_000, "MCX": 436_000, "CDS": 1_300, "BCD": 10_400, "NCO": 120_000}

_FAMOUS = (
    ("NSE", "RELIANCE"),
    ("NSE", "SBIN"),
    ("NSE", "INFY"),
    ("NSE", "TCS"),
    ("NSE_INDEX", "NIFTY"),
    ("NSE_INDEX", "BANKNIFTY"),
    ("BSE_INDEX", "SENSEX"),
    ("NSE_INDEX", "INDIAVIX"),
    ("NSE", "HDFCBANK"),
    ("NSE", "ICICIBANK"),
)
#: Contracts whose nearest month comes right after the famous ones.
_FRONT = ("NFO:NIFTY", "NFO:BANKNIFTY", "BFO:SENSEX", "MCX:CRUDEOIL", "MCX:GOLD", "CDS:USDINR")


class Kind(Enum):
    """What sort of thing is traded; it decides how lively the price is and how far it may go."""

    CASH = "cash"
    INDEX = "index"
    FUTURE = "future"
    OPTION = "option"
    CRYPTO = "crypto"


class Listing(msgspec.Struct, frozen=True, gc=False):
    """An instrument, its row of the instrument master, and where its price starts."""

    instrument: Instrument
    row: MasterRow
    kind: Kind
    #: Previous close in rupees; the walk rounds it to the tick size.
    price: float
    #: A cash symbol that has contracts: its band is 10 %, not 20 %.
    has_contracts: bool = False


class _Underlying(NamedTuple):
    exchange: str
    name: str
    price: float
    lot: int
    tick: float
    rule: str
    weeklies: int
    futures: int
    options: int
    step: float


def universe(size: int, today: date, exchanges: Collection[str] | None = None) -> list[Listing]:
    """The first ``size`` instruments, in the fixed order, as of ``today``.

    ``exchanges`` keeps those alone (OpenAlgo's names; None = all but CRYPTO). Tokens follow
    Kite's scheme, ``exchange_token * 256 + segment``, with the real number where it is known.
    Fewer come if there are no more. ValueError if ``size`` is not in 1 … `LARGEST`.
    """
    if not 1 <= size <= LARGEST:
        raise ValueError(f"a universe has 1 to {LARGEST} instruments, not {size}")
    wanted = set(_SEGMENT) - {"CRYPTO"} | INDEX_EXCHANGES if exchanges is None else set(exchanges)
    fitting = (one for one in _everything(today) if one.instrument.exchange in wanted)
    return list(islice(_once(fitting), size))


def localise(listings: list[Listing], adapter: Adapter) -> list[Listing]:
    """The same listings under a broker's own names and tokens; those it doesn't stream are left out."""
    if adapter.simulator is None:
        raise ValueError(f"{adapter.name} has no simulator side")
    local = []
    for listing in listings:
        segment = adapter.exchanges.get(listing.row.exchange)
        if segment is None:
            continue
        row = adapter.simulator.localise(msgspec.structs.replace(listing.row, brexchange=segment))
        local.append(msgspec.structs.replace(listing, row=row, instrument=adapter.instrument(row)))
    return local


def _once(listings: Iterator[Listing]) -> Iterator[Listing]:
    seen = set()
    for listing in listings:
        name = (listing.instrument.exchange, listing.instrument.symbol)
        if name not in seen:
            seen.add(name)
            yield listing


def _everything(today: date) -> Iterator[Listing]:
    nse, bse, indices, crypto = list(_nse()), list(_bse()), list(_indices()), list(_crypto())
    spot = {(one.instrument.exchange, one.instrument.symbol): one for one in chain(nse, indices)}
    underlyings = list(_underlyings())
    contracts = _Contracts(today)
    futures = {f"{one.exchange}:{one.name}": list(contracts.futures(one)) for one in underlyings}
    listed = [futures[name] for name in _FRONT]

    yield from (spot[name] for name in _FAMOUS)
    yield from crypto
    yield from (months[0] for months in listed)
    yield from islice(contracts.options(underlyings[:1]), 4)
    yield from nse[:60]
    yield from bse[:10]
    yield from chain.from_iterable(futures.values())
    yield from islice(contracts.options([one for one in underlyings if one.options]), 400)
    yield from nse
    yield from indices
    yield from bse
    yield from contracts.options([one for one in underlyings if one.options])


def _table(name: str) -> Iterator[dict[str, str]]:
    text = files("openalgo_ws.simulator").joinpath("data", f"{name}.csv").read_text("utf-8")
    return csv.DictReader(text.splitlines())


def _nse() -> Iterator[Listing]:
    for row in _table("nse"):
        price = float(row["price"])
        yield _listing(
            Kind.CASH,
            price,
            has_contracts=row["lot"] != "0",
            symbol=row["symbol"],
            brsymbol=row["symbol"],
            name=row["name"],
            exchange="NSE",
            token=int(row["token"]),
            tick_size=_cash_tick(price),
            instrumenttype="EQ",
        )


def _bse() -> Iterator[Listing]:
    for row in _table("bse"):
        price = float(row["price"])
        yield _listing(
            Kind.CASH,
            price,
            has_contracts=True,
            symbol=row["symbol"],
            brsymbol=row["symbol"],
            name=row["name"],
            exchange="BSE",
            token=int(row["token"]),
            tick_size=_cash_tick(price),
            instrumenttype="EQ",
        )


def _indices() -> Iterator[Listing]:
    for row in _table("indices"):
        yield _listing(
            Kind.INDEX,
            float(row["price"]),
            symbol=row["symbol"],
            brsymbol=row["brsymbol"],
            name=row["brsymbol"],
            exchange=row["exchange"],
            token=int(row["token"]),
            tick_size=0.05 if row["exchange"] != "MCX_INDEX" else 1.0,
            instrumenttype="EQ",
        )


def _crypto() -> Iterator[Listing]:
    for row in _table("crypto"):
        yield _listing(
            Kind.CRYPTO,
            float(row["price"]),
            symbol=row["symbol"],
            brsymbol=row["symbol"].removesuffix("FUT"),
            name=row["name"],
            exchange="CRYPTO",
            token=int(row["token"]),
            tick_size=float(row["tick"]),
            instrumenttype="PERPFUT",
        )


def _underlyings() -> Iterator[_Underlying]:
    """Indices, commodities and currencies first, then the stocks that have contracts."""
    for row in _table("contracts"):
        yield _Underlying(
            row["exchange"],
            row["underlying"],
            float(row["price"]),
            int(row["lot"]),
            float(row["tick"]),
            row["expiry"],
            int(row["weekly"]),
            int(row["futures"]),
            int(row["options"]),
            float(row["step"]),
        )
    for row in _table("nse"):
        price, lot = float(row["price"]), int(row["lot"])
        if lot:
            tick = max(0.05, _cash_tick(price))
            yield _Underlying("NFO", row["symbol"], price, lot, tick, "tuesday", 0, 3, 3, _stock_step(price))


class _Contracts:
    """Futures and options as of one day, with tokens handed out in the order they are asked for."""

    def __init__(self, today: date) -> None:
        self._today = today
        self._tokens = {exchange: count(first) for exchange, first in _FIRST_TOKEN.items()}
        self._known: dict[tuple[str, str], Listing] = {}

    def futures(self, of: _Underlying) -> Iterator[Listing]:
        for expiry in monthly(of.rule, self._today, of.futures):
            # A future costs its underlying and the interest until then.
            price = of.price * (1 + 0.065 * (expiry - self._today).days / 365)
            yield self._contract(of, expiry, "FUT", 0.0, price, of.tick)

    def options(self, underlyings: list[_Underlying]) -> Iterator[Listing]:
        """Every chain, one step further from the money at a time."""
        chains = [(of, expiry) for of in underlyings for expiry in self._option_expiries(of)]
        for distance in count():
            alive = [one for one in chains if one[0].price - distance * one[0].step > one[0].step]
            if not alive:
                return
            for of, expiry in alive:
                centre = round(of.price / of.step) * of.step
                for side in (1, -1) if distance else (1,):
                    strike = centre + side * distance * of.step
                    if 0.6 * of.price < strike < 1.4 * of.price:
                        yield from self._pair(of, expiry, strike)

    def _pair(self, of: _Underlying, expiry: date, strike: float) -> Iterator[Listing]:
        tick = min(0.05, of.tick)
        width = of.price * 0.18 * sqrt(max(1, (expiry - self._today).days) / 365)
        time_value = 0.4 * width * exp(-(((strike - of.price) / width) ** 2) / 2)
        for right, worth in (("CE", of.price - strike), ("PE", strike - of.price)):
            yield self._contract(of, expiry, right, strike, max(0.0, worth) + time_value, tick)

    def _option_expiries(self, of: _Underlying) -> list[date]:
        near = weekly(of.rule, self._today, of.weeklies) if of.weeklies else []
        return sorted({*near, *monthly(of.rule, self._today, of.options)})

    def _contract(
        self, of: _Underlying, expiry: date, right: str, strike: float, price: float, tick: float
    ) -> Listing:
        text = expiry_text(expiry)
        symbol = f"{of.name}{text.replace('-', '')}{f'{strike:g}' if strike < 1e6 else int(strike)}{right}"
        if right == "FUT":
            symbol = f"{of.name}{text.replace('-', '')}FUT"
        known = self._known.get((of.exchange, symbol))
        if known is None:
            known = self._known[of.exchange, symbol] = _listing(
                Kind.FUTURE if right == "FUT" else Kind.OPTION,
                # At least as much as a whole book of bids needs below it.
                max(price, 40 * tick),
                symbol=symbol,
                brsymbol=symbol,
                name=of.name,
                exchange=of.exchange,
                token=next(self._tokens[of.exchange]),
                expiry=text,
                strike=strike,
                lotsize=of.lot,
                tick_size=tick,
                instrumenttype=right,
            )
        return known


def _listing(
    kind: Kind,
    price: float,
    *,
    symbol: str,
    brsymbol: str,
    name: str,
    exchange: str,
    token: int,
    tick_size: float,
    instrumenttype: str,
    expiry: str = "",
    strike: float = 0.0,
    lotsize: int = 1,
    has_contracts: bool = False,
) -> Listing:
    segment = _INDEX_SEGMENT if kind is Kind.INDEX else _SEGMENT[exchange]
    row = MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=exchange,
        token=str(token << 8 | segment),
        expiry=expiry,
        strike=strike,
        lotsize=lotsize,
        instrumenttype=instrumenttype,
        tick_size=tick_size,
    )
    instrument = Instrument(symbol, exchange, row.token, brsymbol, exchange, tick_size, lotsize)
    return Listing(instrument, row, kind, price, has_contracts)


def _cash_tick(price: float) -> float:
    """NSE's tick sizes by price (since April 2025)."""
    for below, tick in ((250, 0.01), (1000, 0.05), (5000, 0.1), (10_000, 0.5), (20_000, 1.0)):
        if price < below:
            return tick
    return 5.0


def _stock_step(price: float) -> float:
    """About one fiftieth of the price, in the steps that strikes have."""
    for step in (0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 50.0, 100.0, 250.0):
        if price / step <= 75:
            return step
    return 500.0
