"""What the drivers share. Runs in an SDK's own environment: the standard library only."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

#: Given by the test: ``broker``, ``url`` and ``http`` of the simulator, ``credentials``, and
#: ``instruments``, each with name, mode ("ltp", "quote", or "depth5" for a book of five levels), exchange,
#: token and brsymbol.
TASK: dict[str, Any] = json.loads(sys.argv[1])
CREDENTIALS: dict[str, str] = TASK["credentials"]
INSTRUMENTS: list[dict[str, str]] = TASK["instruments"]

_printing = threading.Lock()


def tell(name: str, **decoded: Any) -> None:
    """Print one decoded tick. Fields are named as in `openalgo_ws.tick.Tick`; ``buy`` and ``sell``
    are lists of [price, quantity, orders]."""
    line = json.dumps({"name": name, **decoded})
    with _printing:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def in_mode(mode: str) -> list[dict[str, str]]:
    """The instruments that are to be subscribed in a mode."""
    return [one for one in INSTRUMENTS if one["mode"] == mode]


def _end_with_stdin() -> None:
    sys.stdin.read()
    # SDKs leave threads behind that would keep the process.
    os._exit(0)


threading.Thread(target=_end_with_stdin, daemon=True).start()
