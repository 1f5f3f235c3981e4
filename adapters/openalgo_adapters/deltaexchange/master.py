"""Delta's products: JSON in pages, public. The stream's key is the symbol, not the product's id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from openalgo_adapters._common.naming import expiry_text
from openalgo_adapters._common.rows import Row, read_objects
from openalgo_adapters._common.values import BadValue, json_object
from openalgo_adapters.deltaexchange.values import whole
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "next_page", "parse_master"]

_URL = "https://api.india.delta.exchange/v2/products?page_size=500&states=live"

_KINDS = {
    "perpetual_futures": "PERPFUT",
    "futures": "FUT",
    "call_options": "CE",
    "put_options": "PE",
    "spot": "SPOT",
    "move_options": "MOVE",
    "interest_rate_swaps": "IRS",
    "spreads": "SPREAD",
    "options_combos": "COMBO",
    "turbo_call_options": "TCE",
    "turbo_put_options": "TPE",
    "synth_call_options": "SYNCE",
    "synth_put_options": "SYNPE",
}
_OPTIONS = frozenset({"CE", "PE", "TCE", "TPE", "SYNCE", "SYNPE"})
_TAIL = re.compile(r"[0-9]{2}[A-Z]{3}[0-9]{4}$")
_QUOTES = ("USDT", "USD", "BTC", "ETH")


def master_files(credentials: Mapping[str, str]) -> Mapping[str, HttpRequest]:
    """The first page."""
    return {"products.json": HttpRequest(method="GET", url=_URL)}


def next_page(file: str, data: bytes) -> Mapping[str, HttpRequest]:
    """The page after this one; {} for the last."""
    try:
        meta = json_object(data).get("meta")
    except BadValue:
        return {}
    after = meta.get("after") if isinstance(meta, dict) else None
    if not isinstance(after, str) or not after:
        return {}
    return {f"products-{after}.json": HttpRequest(method="GET", url=f"{_URL}&after={quote(after, safe='')}")}


def parse_master(file: str, data: bytes) -> Iterable[MasterRow | BadRow]:
    """One page's products."""
    try:
        products = json_object(data).get("result")
        if not isinstance(products, list):
            raise BadValue("no array of products")
    except BadValue as problem:
        return [BadRow(1, str(problem))]
    return read_objects(products, _parse)


def _parse(row: Row) -> MasterRow | None:
    specs = _object(row, "product_specs")
    tradable = row.text("state") == "live" and row.text("trading_status") == "operational"
    if not tradable or specs.get("only_reduce_only_orders_allowed"):
        return None
    brsymbol, token = row.text("symbol"), row.text("id")
    if not brsymbol or not token:
        raise BadValue("no symbol or no id")
    contract = row.text("contract_type")
    kind = _KINDS.get(contract, contract.upper())
    expiry = expiry_text(row.date("settlement_time")) if row.get("settlement_time") else ""
    return MasterRow(
        symbol=_symbol(brsymbol, kind, expiry),
        brsymbol=brsymbol,
        name=_object(row, "underlying_asset").text("symbol", "") or row.text("description", ""),
        exchange="CRYPTO",
        brexchange="DELTAIN",
        token=token,
        expiry=expiry,
        strike=_strike(row, brsymbol) if kind in _OPTIONS else 0.0,
        lotsize=whole(specs.number("min_order_size", 1.0)),
        instrumenttype=kind,
        tick_size=row.number("tick_size", 0.0),
    )


def _object(row: Row, column: str) -> Row:
    value: Any = row.get(column)
    return Row(value if isinstance(value, dict) else {})


def _symbol(brsymbol: str, kind: str, expiry: str) -> str:
    day = expiry.replace("-", "")
    parts = brsymbol.split("-")
    if kind == "PERPFUT":
        return f"{brsymbol}FUT"
    if kind == "SPOT":
        return brsymbol.replace("_", "")
    if kind in ("CE", "PE") and len(parts) == 4 and expiry:
        return f"{parts[1]}{day}{parts[2]}{kind}"
    if kind == "FUT" and expiry:
        return f"{_base(brsymbol)}{day}FUT"
    return brsymbol


def _base(brsymbol: str) -> str:
    """``BTC`` of ``BTCUSD25Dec2026``."""
    pair = _TAIL.sub("", brsymbol.upper())
    for currency in _QUOTES:
        if pair.endswith(currency):
            return pair.removesuffix(currency) or pair
    return pair


def _strike(row: Row, brsymbol: str) -> float:
    parts = brsymbol.split("-")
    third = Row(strike=parts[2] if len(parts) > 2 else None)
    return row.number("strike_price", third.number("strike", 0.0))
