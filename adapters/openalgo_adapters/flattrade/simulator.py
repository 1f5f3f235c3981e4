"""Flattrade's server: the family's, under another path and with other instrument files."""

from __future__ import annotations

import csv
from io import StringIO
from urllib.parse import urlsplit

from openalgo_adapters._noren.simulator import NorenServer
from openalgo_ws.adapter import HttpRequest, HttpResponse, MasterRow

__all__ = ["FlattradeServer"]

_HEADER = "Exchange,Token,Lotsize,Symbol,Tradingsymbol,Instrument,Expiry,Strike,Optiontype\n"
_SEGMENT = {
    "NSE_Equity.csv": "NSE",
    "BSE_Equity.csv": "BSE",
    "Nfo_Equity_Derivatives.csv": "NFO",
    "Nfo_Index_Derivatives.csv": "NFO",
    "Bfo_Equity_Derivatives.csv": "BFO",
    "Bfo_Index_Derivatives.csv": "BFO",
    "Currency_Derivatives.csv": "CDS",
    "Commodity.csv": "MCX",
}
#: Underlyings that are indices.
_INDICES = frozenset(
    {"NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "SENSEX", "BANKEX", "SENSEX50"}
)


class FlattradeServer(NorenServer):
    """piconnect.flattrade.in for one user."""

    path = "/PiConnectWSAPI/"

    def http(self, request: HttpRequest) -> HttpResponse:
        file = urlsplit(request.url).path.removeprefix("/scripmaster/")
        segment = _SEGMENT.get(file)
        rows = [row for row in self.market.rows() if row.brexchange == segment]
        if file.endswith("_Derivatives.csv") and segment in ("NFO", "BFO"):
            rows = _share_of(rows, file)
        if request.method != "GET" or not rows:
            return HttpResponse(404)
        text = StringIO()
        text.write(_HEADER)
        csv.writer(text, lineterminator="\n").writerows(_line(row) for row in rows)
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


def _share_of(rows: list[MasterRow], file: str) -> list[MasterRow]:
    """The contracts on shares, or those on indices; where one kind is missing, its file gets the last
    contract of the other, as the broker has no empty file."""
    of_indices = [row for row in rows if row.name in _INDICES]
    of_shares = [row for row in rows if row.name not in _INDICES]
    if not of_shares:
        of_indices, of_shares = of_indices[:-1], of_indices[-1:]
    elif not of_indices:
        of_shares, of_indices = of_shares[:-1], of_shares[-1:]
    return of_shares if "_Equity_" in file else of_indices


def _line(row: MasterRow) -> tuple[object, ...]:
    start = (row.brexchange, row.token, row.lotsize, row.name, row.brsymbol)
    if not row.expiry:
        index = "INDEX" if row.brexchange == "NSE" else "UNDIND"
        return (*start, index if row.exchange.endswith("_INDEX") else "EQ", "", "", "")
    day, month, year = row.expiry.split("-")
    expiry = f"{day}-{month}-20{year}"
    kind = "STK" if row.exchange in ("NFO", "BFO") and row.name not in _INDICES else "IDX"
    if row.instrumenttype == "FUT":
        return (*start, f"FUT{kind}", expiry, "0.00", "XX")
    return (*start, f"OPT{kind}", expiry, f"{row.strike:.2f}", row.instrumenttype)
