"""InvestRight's security master (CSV): ``exch_security_id`` is the feed's key, ``security_id`` a name.

It is read twice: a share that has no name at BSE has the one it has at NSE, and of several rows with
one name (bonds and fund units carry their issuer's) the likeliest share stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from openalgo_adapters._common.naming import IndexNames, expiry_text, future_symbol, option_symbol, unspaced
from openalgo_adapters._common.rows import Row, read_csv
from openalgo_adapters._common.values import BadValue
from openalgo_ws.adapter import BadRow, HttpRequest, MasterRow

__all__ = ["master_files", "parse_master"]

#: Derivatives: exchange and segment to OpenAlgo's exchange. What is in neither table is dropped.
_DERIVATIVES = {
    ("NSE", "FUTIDX"): "NFO",
    ("NSE", "OPTIDX"): "NFO",
    ("NSE", "FUTSTK"): "NFO",
    ("NSE", "OPTSTK"): "NFO",
    ("NSE", "FUTCUR"): "CDS",
    ("NSE", "OPTCUR"): "CDS",
    ("BSE", "FUTIDX"): "BFO",
    ("BSE", "OPTIDX"): "BFO",
    ("MCX", "FUTCOM"): "MCX",
    ("MCX", "OPTFUT"): "MCX",
    ("MCX", "FUTIDX"): "MCX",
    ("MCX", "OPTIDX"): "MCX",
}
_CASH = "EQUITY"
#: Tokens of indices; beyond the upper end there are shares again.
_INDEX_TOKENS = {"NSE": range(26_000, 27_000), "BSE": range(1_000)}
#: A lot of so many or more is a placeholder.
_NO_LOT = 100_000_000


_INDICES = IndexNames.load("openalgo_adapters.hdfcsecurities", key=unspaced, otherwise=unspaced)


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    """One file for all exchanges, without a login and for whoever asks."""
    return {
        "ir-security-master.csv": HttpRequest(
            method="GET", url="https://developer.hdfcsec.com/oapi/v1/security-master"
        )
    }


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    """The file's rows in OpenAlgo's words, in its order."""
    names: dict[str, str] = {}

    def collect(row: Row) -> None:
        if row.text("exchange") == "NSE" and row.text("instrument_segment") == _CASH:
            name = row.text("symbol_name")
            if name:
                names.setdefault(row.text("security_id"), name)

    for _ in read_csv(data, collect):
        pass

    rows = list(read_csv(data, lambda row: _parse(row, names)))
    best: dict[tuple[str, str], MasterRow] = {}
    for row in rows:
        if isinstance(row, MasterRow):
            kept = best.setdefault((row.symbol, row.exchange), row)
            if _rank(row) < _rank(kept):
                best[row.symbol, row.exchange] = row
    for row in rows:
        if isinstance(row, BadRow) or best[row.symbol, row.exchange] is row:
            yield row


def _parse(row: Row, names: Mapping[str, str]) -> MasterRow | None:
    brexchange, segment = row.text("exchange"), row.text("instrument_segment")
    token, brsymbol = row.text("exch_security_id"), row.text("security_id")
    if not (token.isascii() and token.isdigit() and len(token) <= 18) or not brsymbol:
        return None
    token = str(int(token))
    name = row.text("symbol_name")
    strike = max(0.0, row.number("strike_price", 0.0))
    expiry = ""
    kind = "EQ"
    if segment == _CASH:
        exchange = brexchange
        if exchange not in ("NSE", "BSE", "MCX"):
            return None
        if int(token) in _INDEX_TOKENS.get(brexchange, ()):
            exchange = f"{brexchange}_INDEX"
            symbol = _INDICES.symbol(exchange, name or brsymbol)
        else:
            symbol = name or names.get(brsymbol) or brsymbol
        name = symbol
    else:
        derivative = _DERIVATIVES.get((brexchange, segment))
        if derivative is None:
            return None
        if not name:
            raise BadValue("symbol_name: empty")
        exchange = derivative
        day = row.date("expiry_date")
        expiry = expiry_text(day)
        kind = row.text("option_type")
        if kind in ("CE", "PE"):
            symbol = option_symbol(name, day, strike, kind)
        else:
            kind, symbol = "FUT", future_symbol(name, day)
    return MasterRow(
        symbol=symbol,
        brsymbol=brsymbol,
        name=name,
        exchange=exchange,
        brexchange=brexchange,
        token=token,
        expiry=expiry,
        strike=strike,
        lotsize=_lot(row),
        instrumenttype=kind,
        tick_size=_tick_size(row),
    )


def _lot(row: Row) -> int:
    try:
        lot = row.integer("lot_size")
    except BadValue:
        return 1
    return lot if 0 < lot < _NO_LOT else 1


def _tick_size(row: Row) -> float:
    """Paise where it is written without a decimal point, rupees where it has one."""
    size = row.number("tick_size", 0.0)
    return size if "." in row.text("tick_size") else round(size / 100, 6)


def _rank(row: MasterRow) -> int:
    """How unlikely it is, by the form of its id, that this is the share itself."""
    security = row.brsymbol
    if row.expiry:
        return 0
    if security.endswith(("EQNR", "EQTT")):
        return 0 if len(security) == 10 else 1
    return 3 if security.endswith(("NR", "TT")) else 2
