"""Definedge's server: the family's, with its own login and instrument file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from io import StringIO
from typing import ClassVar
from urllib.parse import urlsplit

from openalgo_adapters._noren.simulator import NorenServer
from openalgo_ws.adapter import HttpRequest, HttpResponse, MasterRow

__all__ = ["DefinedgeServer"]


class DefinedgeServer(NorenServer):
    """trade.definedgesecurities.com for one user."""

    path = "/NorenWSTRTP/"
    login_answer = "ck"
    demo_credentials: ClassVar[Mapping[str, str]] = {
        "user_id": "1270000",
        "actid": "1270000",
        "susertoken": "demo0000demo0000demo0000demo0000",
    }

    def expected_login(self) -> dict[str, str]:
        user = self.credentials.get("user_id", "")
        return {
            "t": "c",
            "uid": user,
            "actid": self.credentials.get("actid") or user,
            "source": "TRTP",
            "susertoken": self.credentials.get("susertoken", ""),
        }

    def http(self, request: HttpRequest) -> HttpResponse:
        """``allmaster.csv``, unpacked: whoever reads a zip knows it by its content."""
        if request.method != "GET" or urlsplit(request.url).path != "/public/allmaster.zip":
            return HttpResponse(404)
        text = StringIO()
        csv.writer(text, lineterminator="\n").writerows(_line(row) for row in self.market.rows())
        return HttpResponse(200, text.getvalue().encode())


def _line(row: MasterRow) -> tuple[object, ...]:
    decimals = 4 if row.brexchange == "CDS" else 2
    instrument, expiry, option, strike = "EQ", "", "", 0
    if row.exchange.endswith("_INDEX"):
        instrument = "IDX"
    elif row.expiry:
        months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
        day, month, year = row.expiry.split("-")
        expiry = f"{day}{months.index(month) + 1:02d}20{year}"
        future = row.instrumenttype == "FUT"
        instrument, option = ("FUTIDX", "XX") if future else ("OPTIDX", row.instrumenttype)
        strike = -1 if future else round(row.strike * 10**decimals)
    size = round(row.tick_size * 10**decimals)
    head = (row.brexchange, row.token, row.name, row.brsymbol, instrument, expiry, size, row.lotsize)
    return (*head, option, strike, decimals, 1, "", "1.000000", "")
