"""What a client of an XTS server does before its socket is open, with xts-api-client's calls."""

from __future__ import annotations

from collections.abc import Mapping

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode
from xts_api_client.xts_connect import XTSConnect

SEGMENTS = {
    "NSE": 1,
    "NSE_INDEX": 1,
    "NFO": 2,
    "CDS": 3,
    "BSE": 11,
    "BSE_INDEX": 11,
    "BFO": 12,
    "MCX": 51,
}
#: Where the calls are not under the usual prefix.
REST = {"ibulls": "apibinarymarketdata", "jainamxts": "apibinarymarketdata"}


def key(one: dict[str, str]) -> tuple[int, int]:
    return SEGMENTS[one["exchange"]], int(one["token"])


NAMES = {key(one): one["name"] for one in INSTRUMENTS}


def log_in() -> XTSConnect:
    api = XTSConnect(CREDENTIALS["api_key_market"], CREDENTIALS["api_secret_market"], "WEBAPI", TASK["http"])
    rest = REST.get(TASK["broker"], "apimarketdata")
    api._routes = {call: path.replace("apimarketdata", rest) for call, path in api._routes.items()}
    answer = api.marketdata_login()
    assert answer["type"] == "success", answer
    return api


def subscribe(api: XTSConnect, codes: Mapping[str, int]) -> None:
    """Each mode under its code, and the open interest of what has one."""
    derivatives = [one for one in INSTRUMENTS if one["mode"] != "ltp" and one["exchange"] in ("NFO", "MCX")]
    wanted = [(code, in_mode(mode)) for mode, code in codes.items()]
    for code, asked in [*wanted, (1510, derivatives)]:
        keys = [key(one) for one in asked]
        instruments = [{"exchangeSegment": two, "exchangeInstrumentID": token} for two, token in keys]
        answer = api.send_subscription(instruments, code)
        assert answer["type"] == "success", answer
