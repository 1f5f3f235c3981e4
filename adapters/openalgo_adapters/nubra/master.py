"""Nubra's instruments: one JSON file per exchange and day, with the login; a CSV file of indices without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol
from openalgo_adapters._common.rows import Row, read_csv, read_objects
from openalgo_adapters._common.values import BadValue, json_object
from openalgo_adapters.nubra.login import headers_of
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

_INDICES = IndexNames.load("openalgo_adapters.nubra")
_SHARES = frozenset({"NSE", "BSE"})
_CONTRACTS = {"NSE": "NFO", "BSE": "BFO", "MCX": "MCX"}


def master_files(today: Callable[[], date]) -> Callable[[Mapping[str, str]], Mapping[str, HttpRequest]]:
    """Makes an adapter's `master_files`: the files of the day that ``today`` tells, which has to be by the
    calendar of India, and the list of the indices."""

    def files(credentials: Mapping[str, str]) -> Mapping[str, HttpRequest]:
        day = today().isoformat()
        requests = {
            f"refdata-{word}.json": HttpRequest(
                method="GET",
                url=f"https://api.nubra.io/refdata/refdata/{day}?exchange={word}",
                headers=headers_of(credentials),
            )
            for word in _CONTRACTS
        }
        requests["indexes.csv"] = HttpRequest(
            method="GET", url="https://api.nubra.io/public/indexes?format=csv"
        )
        return requests

    return files


def parse_master(file: str, data: bytes) -> Iterable[MasterRow | BadRow]:
    """One file's rows."""
    if "indexes" in file:
        return read_csv(data, _index)
    try:
        rows = json_object(data).get("refdata")
        if not isinstance(rows, list):
            raise BadValue("no list of instruments")
    except BadValue as problem:
        return [BadRow(1, str(problem))]
    return read_objects(rows, _parse)


def _parse(row: Row) -> MasterRow:
    token, brsymbol, word = row.text("ref_id"), row.text("stock_name"), row.text("exchange")
    if not token or not brsymbol:
        raise BadValue("no ref_id or no stock_name")
    name, derivative = row.text("asset", ""), row.text("derivative_type")
    expiry, strike = "", 0.0
    if derivative == "STOCK":
        exchange, kind, symbol = word if word in _SHARES else "", "EQ", brsymbol
    else:
        day = _day(row.integer("expiry"))
        exchange, expiry = _CONTRACTS.get(word, ""), expiry_text(day)
        if not name:
            raise BadValue("asset: empty")
        if derivative == "FUT":
            kind, symbol = "FUT", future_symbol(name, day)
        elif derivative == "OPT" and row.text("option_type") in ("CE", "PE"):
            kind = row.text("option_type")
            # (unconfirmed: paise on MCX as well.)
            strike = row.number("strike_price", 0.0) / 100
            symbol = option_symbol(name, day, strike, kind)
        else:
            raise BadValue("derivative_type: none of ours")
    if not exchange:
        raise BadValue("exchange: none of ours")
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=word,
        token=token,
        expiry=expiry,
        strike=strike,
        lotsize=row.integer("lot_size", 1),
        instrumenttype=kind,
        tick_size=row.number("tick_size", 0.0) / 100,
    )


def _day(number: int) -> date:
    try:
        return date(number // 10_000, number // 100 % 100, number % 100)
    except ValueError:
        raise BadValue("expiry: not a date") from None


def _index(row: Row) -> MasterRow | None:
    word, symbol, token = row.text("EXCHANGE"), row.text("INDEX_SYMBOL"), row.text("ZANSKAR_INDEX_SYMBOL")
    if word not in _SHARES:
        return None
    if not symbol or not token:
        raise BadValue("no symbol")
    exchange = f"{word}_INDEX"
    return MasterRow(
        symbol=_INDICES.symbol(exchange, symbol),
        brsymbol=token,
        name=row.text("INDEX_NAME"),
        exchange=exchange,
        brexchange=word,
        token=token,
        lotsize=0,
        instrumenttype="INDEX",
        tick_size=0.05,
    )
