"""The instrument master: one call a segment, whose result is a text of rows, and a list of indices.

Columns are separated by ``|`` and have no header. How many there are says what a row is.
(conflict: the peer tells futures from options by two of the columns, which fails where a price has a
denominator, and takes spreads for futures.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, squeeze
from openalgo_adapters._common.rows import Row
from openalgo_adapters._common.values import BadValue, json_object
from openalgo_adapters._xts.codec import Host
from openalgo_adapters._xts.segments import EXCHANGE_OF, INDEX_SEGMENTS, SEGMENTS
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_HEAD = (
    "ExchangeSegment",
    "ExchangeInstrumentID",
    "InstrumentType",
    "Name",
    "Description",
    "Series",
    "NameWithSeries",
    "InstrumentID",
    "PriceBand.High",
    "PriceBand.Low",
    "FreezeQty",
    "TickSize",
    "LotSize",
    "Multiplier",
)
_CONTRACT = (*_HEAD, "UnderlyingInstrumentId", "UnderlyingIndexName", "ContractExpiration")
_TAIL = ("DisplayName", "PriceNumerator", "PriceDenominator", "DetailedDescription")
_CASH, _FUTURES, _OPTIONS = 22, 21, 23
_COLUMNS = {
    _CASH: (*_HEAD, "DisplayName"),
    _FUTURES: (*_CONTRACT, *_TAIL),
    _OPTIONS: (*_CONTRACT, "StrikePrice", "OptionType", *_TAIL),
}
_SPREAD = 4
_RIGHTS = {"3": "CE", "4": "PE"}
#: What the platform's table has where there is no strike.
_NO_STRIKE = 1.0

_LIST = "indexlist?exchangeSegment="
_LIST_SEGMENT = re.compile(r"exchangeSegment=(\d{1,3})", re.ASCII)


def _joined(name: str) -> str:
    return " ".join(name.upper().split())


_NAMES = IndexNames.load("openalgo_adapters._xts", key=_joined, otherwise=squeeze)


def master_files(
    host: Host, exchanges: Collection[str]
) -> Callable[[Mapping[str, str]], Mapping[str, HttpRequest]]:
    """The calls for the segments of these exchanges, and for their lists of indices."""

    def files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
        # (conflict: the peer calls without the token, the broker's sample with it.)
        token = credentials.get("market_token")
        headers = {"Authorization": token} if token else {}
        segments = dict.fromkeys(SEGMENTS[exchange] for exchange in exchanges)
        found = {
            segment: HttpRequest(
                method="POST",
                url=host.call("instruments/master"),
                headers=headers,
                json={"exchangeSegmentList": [segment]},
            )
            for segment in segments
        }
        for code, exchange in INDEX_SEGMENTS.items():
            if exchange in exchanges:
                name = f"{_LIST}{code}"
                found[name] = HttpRequest(method="GET", url=host.call(f"instruments/{name}"), headers=headers)
        return found

    return files


def parse_master(exchanges: Collection[str]) -> Callable[[str, bytes], Iterable[MasterRow | BadRow]]:
    """A reader of either kind of answer, and of the bare text of rows; other exchanges are left out."""

    def parse(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
        if not data.lstrip().startswith(b"{"):
            yield from _rows(data.decode("utf-8", "replace"), exchanges)
            return
        try:
            result = json_object(data).get("result")
            if isinstance(result, str):
                yield from _rows(result, exchanges)
            elif isinstance(result, dict) and isinstance(result.get("indexList"), list):
                yield from _indices(_list_exchange(file, result), result["indexList"])
            else:
                raise BadValue("an answer without rows")
        except BadValue as problem:
            yield BadRow(1, str(problem))

    return parse


def _rows(text: str, exchanges: Collection[str]) -> Iterator[MasterRow | BadRow]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            fields = line.rstrip("\r").split("|")
            columns = _COLUMNS.get(len(fields))
            if columns is None:
                raise BadValue(f"{len(fields)} columns")
            row = _row(Row(zip(columns, fields, strict=False)), len(fields))
        except BadValue as problem:
            yield BadRow(number, str(problem))
            continue
        if row is not None and row.exchange in exchanges:
            yield row


def _row(row: Row, kind: int) -> MasterRow | None:
    segment = row.text("ExchangeSegment")
    exchange = EXCHANGE_OF.get(segment)
    if exchange is None:
        return None
    if kind == _CASH:
        return _share(row, exchange)
    if row.integer("InstrumentType") == _SPREAD:
        return None
    name, expiry = _needed(row, "Name"), row.date("ContractExpiration")
    if kind == _FUTURES:
        return _made(
            row,
            exchange,
            future_symbol(name, expiry),
            _needed(row, "Description"),
            name,
            "FUT",
            expiry_text(expiry),
            _NO_STRIKE,
        )
    right = _RIGHTS.get(row.text("OptionType"))
    if right is None:
        raise BadValue("OptionType: neither call nor put")
    strike = row.number("StrikePrice")
    return _made(
        row,
        exchange,
        option_symbol(name, expiry, strike, right),
        _needed(row, "Description"),
        name,
        right,
        expiry_text(expiry),
        strike,
    )


def _share(row: Row, exchange: str) -> MasterRow | None:
    series, name = row.text("Series"), _needed(row, "Name")
    if exchange == "NSE" and series != "EQ":
        return None
    if exchange == "BSE" and series == "SPOT":
        exchange, name = "BSE_INDEX", _NAMES.symbol("BSE_INDEX", name)
    return _made(row, exchange, name, _needed(row, "DisplayName"), name, series, "", _NO_STRIKE)


def _needed(row: Row, column: str) -> str:
    text = row.text(column)
    if not text:
        raise BadValue(f"{column}: empty")
    return text


def _made(
    row: Row, exchange: str, symbol: str, brsymbol: str, name: str, kind: str, expiry: str, strike: float
) -> MasterRow:
    if not symbol:
        raise BadValue("no symbol")
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=row.text("ExchangeSegment"),
        token=_token(row.text("ExchangeInstrumentID")),
        expiry=expiry,
        strike=strike,
        lotsize=row.integer("LotSize"),
        instrumenttype=kind,
        tick_size=row.number("TickSize"),
    )


def _token(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise BadValue("ExchangeInstrumentID: not a number")
    return text


def _list_exchange(file: str, result: Mapping[str, object]) -> str:
    """The answer says which segment it is of, else the call did."""
    found = _LIST_SEGMENT.search(file)
    said = str(result.get("exchangeSegment", found[1] if found else ""))
    for code, exchange in INDEX_SEGMENTS.items():
        if said in (str(code), SEGMENTS[exchange]):
            return exchange
    raise BadValue("indices of an unknown segment")


def _indices(exchange: str, names: Iterable[object]) -> Iterator[MasterRow | BadRow]:
    """``NAME_ID`` each; a name may have the mark in it."""
    for number, item in enumerate(names, 1):
        name, mark, token = item.rpartition("_") if isinstance(item, str) else ("", "", "")
        symbol = _NAMES.symbol(exchange, name)
        if not mark or not symbol or not (token.isascii() and token.isdigit()):
            yield BadRow(number, "not a name and a number")
            continue
        yield MasterRow(
            symbol=symbol,
            brsymbol=str(item),
            name=symbol,
            exchange=exchange,
            brexchange=exchange,
            token=token,
            strike=_NO_STRIKE,
            instrumenttype="INDEX",
            tick_size=0.05,
        )
