"""A worker process: ``python -m`` this module, started by `openalgo_ws.scale.workers` alone."""

from __future__ import annotations

import sys

from twisted.scripts.twistd import run

if __name__ == "__main__":
    sys.argv = ["twistd", "-n", "--pidfile=", "--logfile=-", "openalgo-ws", *sys.argv[1:]]
    run()
