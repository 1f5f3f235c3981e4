"""InvestRight's server: its names, and the security master."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import datetime
from io import StringIO

from msgspec.structs import replace

from openalgo_adapters._hdfc.simulator import HdfcServer
from openalgo_ws.adapter import MasterRow

__all__ = ["InvestRightServer"]

_HEADER = (
    "exchange,security_id,instrument_segment,expiry_date,strike_price,option_type,lot_size,tick_size,"
    "close_price,exch_security_id,symbol_name,underline_symbol,open_price\n"
)
_INDICES = ("NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "SENSEX", "BANKEX")


class InvestRightServer(HdfcServer):
    """developer.hdfcsec.com."""

    instruments = 1500
    master_path = "/oapi/v1/security-master"

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        number = int(row.token) >> 8
        brsymbol = str(number)
        name = row.name
        if row.exchange.endswith("_INDEX"):
            # Indices have numbers of their own: a thousand from 26000 at NSE, those below 1000 at BSE.
            number = number % 1000 + (26_000 if row.exchange == "NSE_INDEX" else 0)
            brsymbol = name = row.symbol
        elif not row.expiry:
            brsymbol, name = f"{row.symbol:.6}EQNR", row.symbol
        elif row.exchange == "BFO":
            brsymbol = f"B{number}"
        return replace(row, token=str(number), brsymbol=brsymbol, name=name)

    def master(self) -> bytes:
        text = StringIO()
        text.write(_HEADER)
        csv.writer(text, lineterminator="\n").writerows(map(_row, self.market.rows()))
        return text.getvalue().encode()


def _row(row: MasterRow) -> Sequence[object]:
    segment, expiry, right = "EQUITY", "", ""
    if row.expiry:
        expiry = datetime.strptime(row.expiry, "%d-%b-%y").date().isoformat()
        right = "" if row.instrumenttype == "FUT" else row.instrumenttype
        segment = ("OPT" if right else "FUT") + _of(row)
        if segment == "OPTCOM":
            segment = "OPTFUT"
    paise = row.tick_size * 100
    # Whole paise are written as such, anything finer in rupees.
    size = f"{paise:.0f}" if abs(paise - round(paise)) < 1e-6 else f"{row.tick_size:.6f}"
    head = (row.brexchange, row.brsymbol, segment, expiry, row.strike, right, row.lotsize, size)
    return (*head, 0, row.token, row.name, row.name if expiry else "", 0)


def _of(row: MasterRow) -> str:
    if row.exchange in ("CDS", "MCX"):
        return "CUR" if row.exchange == "CDS" else "COM"
    return "IDX" if row.exchange == "BFO" or row.name in _INDICES else "STK"
