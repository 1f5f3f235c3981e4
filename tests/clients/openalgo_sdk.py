"""Runs the `openalgo` SDK against a server and prints what it saw as one line of JSON.

    python openalgo_sdk.py URL API_KEY

Run in a process of its own: the SDK has threads of its own.
"""

from __future__ import annotations

import json
import sys
import threading

from openalgo import api

RELIANCE = {"exchange": "NSE", "symbol": "RELIANCE"}
WAIT = 20


def main(url: str, key: str) -> None:
    client = api(api_key=key, host="http://127.0.0.1:5000", ws_url=url)
    seen: dict[str, object] = {"connected": client.connect()}
    for mode in ("ltp", "quote", "depth"):
        arrived = threading.Event()
        first: list[object] = []

        def tick(data: object, arrived: threading.Event = arrived, first: list[object] = first) -> None:
            first.append(data)
            arrived.set()

        getattr(client, f"subscribe_{mode}")([RELIANCE], on_data_received=tick)
        seen[f"{mode} came"] = arrived.wait(WAIT)
        seen[mode] = first[0] if first else None
        getter = {"ltp": "get_ltp", "quote": "get_quotes", "depth": "get_depth"}[mode]
        seen[getter] = getattr(client, getter)()
        getattr(client, f"unsubscribe_{mode}")([RELIANCE])
    print(json.dumps(seen), flush=True)

    # The line on standard input says that the server was killed and is back. This version of the SDK
    # may reconnect by itself; if it doesn't, its user calls connect() again.
    sys.stdin.readline()
    arrived = threading.Event()
    connected = client.connect()
    client.subscribe_ltp([RELIANCE], on_data_received=lambda data: arrived.set())
    print(json.dumps({"connected": connected, "came": arrived.wait(WAIT)}), flush=True)
    client.disconnect()


main(*sys.argv[1:])
