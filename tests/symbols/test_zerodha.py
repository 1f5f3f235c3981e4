"""Kite's dump through the real adapter: file → database → index, on real threads."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor

from openalgo_ws.accounts.database import Database
from openalgo_ws.registry import Registry
from openalgo_ws.symbols import store
from openalgo_ws.symbols.loader import parse
from openalgo_ws.symbols.service import SymbolService

DUMP = b"""\
instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange
779521,3045,SBIN,STATE BANK OF INDIA,0,,0,0.05,1,EQ,NSE,NSE
128083204,500325,RELIANCE,"RELIANCE INDUSTRIES, LTD",0,,0,0.05,1,EQ,BSE,BSE
broken
13622530,53213,NIFTY25DECFUT,NIFTY,0,2025-12-30,0,0.1,75,FUT,NFO-FUT,NFO
30267650,118233,ITC25DEC402.5PE,ITC,0,2025-12-30,402.5,0.05,1600,PE,NFO-OPT,NFO
256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE
779521,3045,SBIN,STATE BANK OF INDIA,0,,0,0.05,1,EQ,NSE,NSE
"""


@pytest_twisted.ensureDeferred
async def test_kites_dump_reaches_the_index(tmp_path: Path) -> None:
    registry = Registry()
    master = parse(registry.load("zerodha"), [("instruments.csv.gz", gzip.compress(DUMP))])
    assert master.report.files == {"instruments.csv": 5}
    assert [fault.line for fault in master.report.faults] == [4]
    assert master.report.repeated == 1

    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    database.prepare()
    database.start()
    service = SymbolService(reactor, database, registry.load)
    service.startService()
    try:
        await database.run(reactor, lambda connection: store.replace(connection, "zerodha", master.rows))
        index = await service.index("zerodha")
        assert dict(index.exchanges) == {"BSE": 1, "NFO": 2, "NSE": 1, "NSE_INDEX": 1}
        future = index.lookup("NIFTY30DEC25FUT", "NFO")
        assert future is not None
        assert (future.token, future.brsymbol, future.lotsize) == ("13622530", "NIFTY25DECFUT", 75)
        assert index.by_token("13622530", "NFO") == future
        nifty = index.lookup("NIFTY", "NSE_INDEX")
        assert nifty is not None
        assert index.by_token("256265", "NSE") == nifty
        assert [one.symbol for one in index.search("itc 402.5")] == ["ITC30DEC25402.5PE"]

        moved = DUMP.replace(b"779521", b"779777")
        changed = parse(registry.load("zerodha"), [("instruments.csv", moved)])
        await database.run(reactor, lambda connection: store.replace(connection, "zerodha", changed.rows))
        await service.refresh("zerodha")
        sbin = (await service.index("zerodha")).lookup("SBIN", "NSE")
        assert sbin is not None
        assert sbin.token == "779777"
    finally:
        await service.stopService()
        database.stop()
