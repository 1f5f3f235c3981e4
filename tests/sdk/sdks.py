"""The brokers' SDKs that are connected to our simulators, and what each must tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

__all__ = ["BOOK", "DISTRIBUTIONS", "SDKS", "Sdk", "levels_of"]

LTP = frozenset({"ltp"})
QUOTE = LTP | {"open", "high", "low", "close", "volume", "last_trade_quantity", "avg_trade_price"}
TOTALS = QUOTE | {"total_buy_quantity", "total_sell_quantity"}
BOOK = frozenset({"buy", "sell"})
CRYPTO = LTP | {"open", "high", "low", "oi", "last_trade_quantity", "upper_circuit", "lower_circuit"}
XTS = {"ltp": LTP | {"last_trade_quantity"}, "quote": TOTALS, "depth5": TOTALS | BOOK}
#: Those that have JSON events.
XTS_BROKERS = ("rmoney", "compositedge", "fivepaisaxts", "ibulls", "iifl", "wisdom")
NOREN = {"quote": QUOTE - {"last_trade_quantity"}, "depth5": TOTALS | BOOK}


@dataclass(frozen=True)
class Sdk:
    """What one driver can do: the fields that it must have told in each mode (``depth5`` is a book of
    five levels), and the exchanges it knows. ``most`` is how many instruments of each exchange there
    are in a mode. ``index`` is told of an index. ``shared`` is the broker that the requirements file is
    named after, where several brokers have one SDK."""

    driver: str
    broker: str
    modes: Mapping[str, frozenset[str]]
    exchanges: Collection[str] = ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX")
    most: int = 2
    index: frozenset[str] = frozenset({"ltp", "close"})
    shared: str = ""

    @property
    def packages(self) -> str:
        """The name of the requirements file."""
        return self.shared or self.broker

    @property
    def levels(self) -> int:
        """The deepest book."""
        return max(map(levels_of, self.modes))

    def __str__(self) -> str:
        return f"{self.broker}-{'-'.join(self.modes)}"


def levels_of(mode: str) -> int:
    """How deep the book of a mode is."""
    return int(mode.removeprefix("depth") or 0) if mode.startswith("depth") else 0


SDKS = [
    Sdk("zerodha", "zerodha", {"ltp": LTP, "quote": TOTALS, "depth5": TOTALS | BOOK | {"oi"}}),
    Sdk(
        "angel",
        "angel",
        {
            "ltp": LTP,
            "quote": TOTALS,
            "depth5": TOTALS | BOOK | {"oi", "upper_circuit", "lower_circuit"},
        },
    ),
    Sdk("angel", "angel", {"depth20": BOOK}, exchanges=("NSE",)),
    Sdk("deltaexchange", "deltaexchange", {"quote": CRYPTO, "depth15": CRYPTO | BOOK}, ("CRYPTO",)),
    # It prints prices with two decimals, so that it can't tell those of currencies.
    Sdk(
        "dhan",
        "dhan",
        {"ltp": LTP, "quote": TOTALS, "depth5": TOTALS | BOOK | {"oi"}},
        exchanges=("NSE", "BSE", "NFO", "BFO", "MCX"),
    ),
    Sdk("dhan_depth", "dhan", {"depth20": BOOK}, exchanges=("NSE", "NFO")),
    Sdk("dhan_depth", "dhan", {"depth200": BOOK}, exchanges=("NSE",), most=1),
    Sdk("fivepaisa", "fivepaisa", {"quote": TOTALS, "depth5": TOTALS | BOOK}),
    Sdk("fivepaisa", "fivepaisa", {"depth20": BOOK}, exchanges=("NSE", "NFO")),
    Sdk("fyers", "fyers", {"quote": TOTALS, "depth5": BOOK}),
    Sdk("fyers_tbt", "fyers", {"depth50": BOOK}, exchanges=("NSE", "NFO")),
    Sdk(
        "groww",
        "groww",
        {"quote": QUOTE - {"last_trade_quantity"} | {"upper_circuit", "lower_circuit"}, "depth5": BOOK},
        exchanges=("NSE", "BSE", "NFO", "BFO"),
        index=LTP,
    ),
    Sdk(
        "arrow",
        "arrow",
        {
            "ltp": LTP,
            "quote": TOTALS | {"oi"},
            "depth5": TOTALS | BOOK | {"oi", "upper_circuit", "lower_circuit"},
        },
    ),
    Sdk(
        "firstock_feed",
        "firstock",
        {"depth5": TOTALS | BOOK | {"upper_circuit", "lower_circuit"}},
        exchanges=("NSE", "BSE", "NFO", "BFO"),
    ),
    Sdk(
        "kotak",
        "kotak",
        {
            "ltp": LTP | {"close", "last_trade_quantity"},
            "quote": TOTALS | {"oi", "upper_circuit", "lower_circuit"},
            "depth5": TOTALS | BOOK,
        },
    ),
    Sdk("kotak", "kotak", {"depth20": TOTALS | BOOK}, exchanges=("NSE", "NFO")),
    Sdk(
        "mstock",
        "mstock",
        {
            "ltp": LTP,
            "quote": TOTALS,
            "depth5": TOTALS | BOOK | {"oi", "upper_circuit", "lower_circuit"},
        },
        exchanges=("NSE", "BSE", "NFO", "BFO"),
    ),
    Sdk(
        "pocketful_feed",
        "pocketful",
        {
            "ltp": LTP | {"upper_circuit", "lower_circuit"},
            "quote": TOTALS | {"upper_circuit", "lower_circuit"},
            "depth5": BOOK,
        },
        exchanges=("NSE", "BSE", "NFO", "BFO", "MCX"),
    ),
    Sdk(
        "nubra",
        "nubra",
        {
            "ltp": LTP | {"high", "low", "close", "volume"},
            "quote": LTP | {"open", "high", "low", "close", "volume"},
            "depth20": LTP | BOOK | {"volume", "last_trade_quantity"},
        },
    ),
    *(Sdk("xts", broker, XTS, shared="rmoney") for broker in XTS_BROKERS),
    Sdk("xts_binary", "jainamxts", {"quote": TOTALS, "depth5": TOTALS | BOOK}, shared="rmoney"),
    Sdk("samco", "samco", {"quote": TOTALS, "depth5": TOTALS | BOOK}),
    Sdk("shoonya", "shoonya", NOREN),
    Sdk("shoonya", "flattrade", NOREN, shared="shoonya"),
    Sdk("shoonya", "tradesmart", NOREN, shared="shoonya"),
    Sdk("aliceblue", "aliceblue", NOREN),
    Sdk("zebu", "zebu", NOREN),
    Sdk("definedge", "definedge", NOREN),
    Sdk("tradejini", "tradejini", {"quote": QUOTE, "depth5": TOTALS - QUOTE | BOOK}),
    Sdk(
        "upstox",
        "upstox",
        {"ltp": LTP | {"close"}, "quote": TOTALS | {"oi"}, "depth5": TOTALS | BOOK | {"oi"}},
    ),
    Sdk("upstox", "upstox", {"depth30": TOTALS | BOOK}, exchanges=("NSE", "NFO")),
]

#: What the SDK in each requirements file is called.
DISTRIBUTIONS = {
    "aliceblue": "Ant-A3-tradehub-sdk-production",
    "angel": "smartapi-python",
    "arrow": "pyarrow-client",
    "definedge": "pyintegrate",
    "deltaexchange": "delta-rest-ws",
    "dhan": "dhanhq",
    "firstock": "firstock",
    "fivepaisa": "py5paisa",
    "fyers": "fyers_apiv3",
    "groww": "growwapi",
    "kotak": "kotakneoapi",
    "mstock": "mStock-TradingApi-B",
    "nubra": "nubra-sdk",
    "pocketful": "pocketful",
    "rmoney": "xts-api-client",
    "samco": "StocknoteBridge",
    "shoonya": "NorenRestApiOAuth",
    "tradejini": "tradejini_api",
    "upstox": "upstox-python-sdk",
    "zebu": "myntapi",
    "zerodha": "kiteconnect",
}
