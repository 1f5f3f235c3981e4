"""py5paisa's FivePaisaClient. It hands on messages as they come: a book and its quote are two."""

from __future__ import annotations

import json
from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode, tell
from py5paisa import FivePaisaClient

FIELDS = {
    "ltp": "LastRate",
    "open": "OpenRate",
    "high": "High",
    "low": "Low",
    "close": "PClose",
    "volume": "TotalQty",
    "last_trade_quantity": "LastQty",
    "avg_trade_price": "AvgRate",
    "total_buy_quantity": "TBidQ",
    "total_sell_quantity": "TOffQ",
}
SEGMENTS = {
    "NSE": "NC",
    "NSE_INDEX": "NC",
    "BSE": "BC",
    "BSE_INDEX": "BC",
    "NFO": "ND",
    "BFO": "BD",
    "CDS": "NU",
    "MCX": "MD",
}
SIDES = {"buy": 66, "sell": 83}


def key(one: dict[str, str]) -> str:
    return f"{SEGMENTS[one['exchange']]}{one['token']}"


NAMES = {key(one): one["name"] for one in INSTRUMENTS}


def entries(wanted: list[dict[str, str]]) -> list[dict[str, Any]]:
    segments = [(SEGMENTS[one["exchange"]], one["token"]) for one in wanted]
    return [{"Exch": two[0], "ExchType": two[1], "ScripCode": int(token)} for two, token in segments]


def ticked(ws: Any, text: str) -> None:
    message = json.loads(text)
    for element in message if isinstance(message, list) else [message]:
        found: dict[str, Any] = {ours: element[its] for ours, its in FIELDS.items() if its in element}
        for side, flag in SIDES.items():
            levels = [one for one in element.get("Details", []) if one["BbBuySellFlag"] == flag]
            if levels:
                found[side] = [[one[n] for n in ("Price", "Quantity", "NumberOfOrders")] for one in levels]
        code = element.get("Token", element.get("ScripCode"))
        tell(NAMES[f"{element['Exch']}{element['ExchType']}{code}"], **found)


def opened(ws: Any) -> None:
    for method, wanted in (("mf", INSTRUMENTS), ("md", in_mode("depth5"))):
        if wanted:
            ws.send(json.dumps(client.Request_Feed(method, "s", entries(wanted))))


app = ("APP_SOURCE", "APP_NAME", "USER_ID", "PASSWORD", "USER_KEY", "ENCRYPTION_KEY")
client = FivePaisaClient(dict.fromkeys(app, "none"))
client.set_access_token(CREDENTIALS["access_token"], CREDENTIALS["client_code"])
deep = in_mode("depth20")
if deep:
    # Its calls for old candles put this into the headers that all calls share.
    client.jwt_headers["Authorization"] = f"Bearer {CREDENTIALS['access_token']}"
    client.MARKET_DEPTH_ROUTE_20 = f"{TASK['http']}/marketfeed-token/token"
    client.socket_20_depth(
        {"method": "subscribe", "operation": "20depth", "instruments": [key(one) for one in deep]}
    )
    client.ws.url = client.ws.url.replace("wss://gateway.5paisa.com", TASK["url"])
else:
    client.WEBSOCKET_URL = f"{TASK['url']}/feeds/api/chat?Value1="
    client.connect({})
    client.send_data(opened)
client.receive_data(ticked)
