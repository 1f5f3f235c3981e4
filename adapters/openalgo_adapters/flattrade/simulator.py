"""Flattrade's server: the family's, under another path and with other instrument files."""

from __future__ import annotations

import csv
from io import StringIO
from urllib.parse import urlsplit

from openalgo_adapters._noren.simulator import NorenServer
from openalgo_ws.adapter import HttpRequest, HttpResponse, MasterRow

__all__ = ["FlattradeServer"]

_HEADER = "Exchange,Token,Lotsize,Symbol,Tradingsymbol,Instrument,Expiry,Strike,Optiontype\n"
#: Where all contracts of a segment are told; the real broker tells those of shares apart.
_SEGMENT = {
    "NSE_Equity.csv": "NSE",
    "BSE_Equity.csv": "BSE",
    "Nfo_Index_Derivatives.csv": "NFO",
    "Bfo_Index_Derivatives.csv": "BFO",
    "Currency_Derivatives.csv": "CDS",
    "Commodity.csv": "MCX",
}


class FlattradeServer(NorenServer):
    """piconnect.flattrade.in for one user."""

    path = "/PiConnectWSAPI/"

    def http(self, request: HttpRequest) -> HttpResponse:
        segment = _SEGMENT.get(urlsplit(request.url).path.removeprefix("/scripmaster/"))
        rows = [row for row in self.market.rows() if row.brexchange == segment]
        if request.method != "GET" or not rows:
            return HttpResponse(404)
        text = StringIO()
        text.write(_HEADER)
        csv.writer(text, lineterminator="\n").writerows(_line(row) for row in rows)
        return HttpResponse(200, text.getvalue().encode(), {"Content-Type": "text/csv"})


def _line(row: MasterRow) -> tuple[object, ...]:
    start = (row.brexchange, row.token, row.lotsize, row.name, row.brsymbol)
    if not row.expiry:
        index = "INDEX" if row.brexchange == "NSE" else "UNDIND"
        return (*start, index if row.exchange.endswith("_INDEX") else "EQ", "", "", "")
    day, month, year = row.expiry.split("-")
    expiry = f"{day}-{month}-20{year}"
    if row.instrumenttype == "FUT":
        return (*start, "FUTIDX", expiry, "0.00", "XX")
    return (*start, "OPTIDX", expiry, f"{row.strike:.2f}", row.instrumenttype)
