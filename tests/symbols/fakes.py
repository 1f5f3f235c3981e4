"""A broker of our own: a CSV master with the columns of `MasterRow`, no socket."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from openalgo_ws.adapter import Adapter, BadRow, HttpRequest, MasterRow
from openalgo_ws.tick import Instrument

HEADER = "symbol,brsymbol,exchange,brexchange,token,name,strike,lotsize,tick_size"
SBIN = "SBIN,SBIN-EQ,NSE,nse_cm,3045,STATE BANK OF INDIA,0,1,0.05"
NIFTY = "NIFTY,NIFTY 50,NSE_INDEX,nse_cm,26000,NIFTY 50,0,0,0"
CALL = "NIFTY24NOV2626000CE,NIFTY26NOV26000CE,NFO,nse_fo,41870,NIFTY,26000,75,0.05"


def parse_master(file: str, data: bytes) -> Iterator[MasterRow | BadRow]:
    if file == "wrecked.csv":
        yield MasterRow(symbol="A", brsymbol="A", name="", exchange="NSE", brexchange="", token="1")
        raise KeyError("a parser that did not expect this")
    reader = csv.DictReader(io.StringIO(data.decode("utf-8", "replace")))
    for fields in reader:
        try:
            yield MasterRow(
                symbol=fields["symbol"],
                brsymbol=fields["brsymbol"],
                name=fields["name"],
                exchange=fields["exchange"],
                brexchange=fields["brexchange"],
                token=fields["token"],
                strike=float(fields["strike"]),
                lotsize=int(fields["lotsize"]),
                tick_size=float(fields["tick_size"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            yield BadRow(reader.line_num, f"unreadable ({type(error).__name__})")


def master_files(credentials: Mapping[str, str]) -> dict[str, HttpRequest]:
    return {
        "instruments.csv": HttpRequest(method="GET", url="https://broker.example/instruments.csv"),
        "complete.csv.gz": HttpRequest(method="GET", url="https://broker.example/complete.csv.gz"),
    }


def from_symtoken(row: MasterRow) -> Instrument:
    return Instrument(
        row.symbol,
        row.exchange,
        row.token.partition("::::")[0],
        row.brsymbol,
        row.brexchange,
        row.tick_size,
        row.lotsize,
    )


ADAPTER = Adapter(
    name="fake",
    title="Fake & Sons",
    credential_fields=("token",),
    feeds=(),
    exchanges={"NSE": "nse_cm"},
    from_row=lambda row, env: {"token": row.auth},
    from_symtoken=from_symtoken,
    master_files=master_files,
    parse_master=parse_master,
)


def lines(*rows: str) -> bytes:
    """A file of the fake broker."""
    return "\n".join([HEADER, *rows, ""]).encode()


def row(symbol: str, token: str, exchange: str = "NSE", **more: object) -> MasterRow:
    """A master row with little to say."""
    fields: dict[str, object] = {"brsymbol": f"{symbol}-EQ", "name": symbol, "brexchange": "nse_cm"}
    return MasterRow(symbol=symbol, token=token, exchange=exchange, **(fields | more))  # type: ignore[arg-type]
