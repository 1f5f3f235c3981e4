"""Sky's server: its names, and the instrument file."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from io import BytesIO, StringIO

from msgspec.structs import replace

from openalgo_adapters._hdfc.simulator import HdfcServer
from openalgo_ws.adapter import MasterRow

__all__ = ["SkyServer"]

_HEADER = (
    "exchange_token,trading_symbol,company_name,close_price,expiry,strike,tick_size,lot_size,"
    "instrument_name,option_type,segment,exchange,fin_instrm_pdct_tp_cd,asset_code,settlement_type,isin\n"
)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class SkyServer(HdfcServer):
    """developer.hdfcsky.com, and the file at hdfcsky.com."""

    instruments = 300
    master_path = "/api/v1/contract/Compact"

    @classmethod
    def localise(cls, row: MasterRow) -> MasterRow:
        brsymbol = row.brsymbol
        if row.exchange == "NSE":
            brsymbol = f"{row.symbol}-EQ"
        elif row.exchange == "BSE":
            brsymbol = f"{row.symbol}-A"
        elif row.expiry:
            day, month, year = row.expiry.split("-")
            if row.instrumenttype == "FUT":
                brsymbol = f"{row.name}{year}{month}FUT"
            else:
                letter = "123456789OND"[_MONTHS.index(month)]
                brsymbol = f"{row.name}{year}{letter}{day}{row.strike:g}{row.instrumenttype}"
        return replace(row, token=str(int(row.token) >> 8), brsymbol=brsymbol)

    def master(self) -> bytes:
        text = StringIO()
        text.write(_HEADER)
        csv.writer(text, lineterminator="\n").writerows(map(_row, self.market.rows()))
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("CompactScrip.csv", text.getvalue())
        return packed.getvalue()


def _row(row: MasterRow) -> Sequence[object]:
    expiry, right, segment = "01-Jan-0001", "", "FO"
    if row.exchange.endswith("_INDEX"):
        segment = "INDICES" if row.exchange == "NSE_INDEX" else "IDX"
    elif row.expiry:
        day, month, year = row.expiry.split("-")
        expiry = f"{day}-{month.title()}-20{year}"
        right = "XX" if row.instrumenttype == "FUT" else row.instrumenttype
    else:
        segment = row.brsymbol.rpartition("-")[2]
    head = (row.token, row.brsymbol, row.name, 0, expiry, row.strike, row.tick_size, row.lotsize)
    return (*head, "", right, segment, row.brexchange, "", "", "", "")
