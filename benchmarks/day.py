"""A trading day in minutes: was the feed there whenever something traded?

    python benchmarks/day.py [--instruments 120] [--resets 60]

The whole upper half of the feeds before a simulated Zerodha on real sockets, on a clock that goes as fast
as the machine can follow: from ten on a Monday to ten on Tuesday. Now and then the broker resets the
connection; for an hour at noon next to nothing ticks; the markets close; at 03:00 the token runs out and
the broker hangs up; in the morning there are a new token and a new master without some of the contracts;
the markets open. It is noted for how long the feed is away while something trades. Exit code 1 where it is
there less than 99.9 % of that time, or where an instrument does not tick as it should in the end.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import figures
from twisted.internet import task
from twisted.internet.defer import Deferred

# The simulated scene is the tests'.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from openalgo_ws.bus.demand import FeedState, Status
from openalgo_ws.feeds.sessions import MarketSessions
from openalgo_ws.symbols.index import SymbolIndex
from openalgo_ws.tick import Mode, Wish
from tests.support.clockwork import Clockwork
from tests.support.upper import Scene

#: What has to be reached.
TARGET = 0.999
DAY = 86_400
#: Seconds between two looks, and between two bursts of ticks.
STEP = 5
#: Ticks a second, and at noon.
RATE, NOON = 120.0, 1.0
#: Contracts that the new master does not have.
EXPIRED = 5


class Day:
    """One day of a scene. Events are at minutes after midnight, IST."""

    def __init__(self, scene: Scene, resets: int) -> None:
        self._scene = scene
        self._resets = resets
        self._rate = RATE
        self._sessions = MarketSessions.load()
        self._exchanges = {one.exchange for one in scene.instruments}
        self._events: dict[int, Callable[[], None]] = {
            12 * 60 + 30: lambda: self._set_rate(NOON),
            13 * 60 + 30: lambda: self._set_rate(RATE),
            3 * 60: self._expire,
            8 * 60 + 30: self._log_in,
            8 * 60 + 45: self._renew_master,
        }
        #: Seconds that something traded, and that the feed was away meanwhile.
        self.traded = self.away = 0.0
        self.resets = 0
        #: How long the feed was away each time (seconds), while something traded.
        self.outages: list[float] = []
        self._away_since: float | None = None
        #: When the present step began.
        self._began = scene.seconds()
        self._tell = scene.listener.status_changed
        scene.listener.status_changed = self._told  # type: ignore[method-assign]

    async def run(self) -> None:
        """Let it pass."""
        for step in range(DAY // STEP):
            self._began, traded = self._scene.seconds(), self._trades()
            await self._scene.run(STEP)
            if traded:
                self.traded += STEP
                if self._away_since is not None:
                    self.away += self._scene.seconds() - max(self._began, self._away_since)
            self._tick(self._rate if self._trades() else 0.0)
            if step % (60 // STEP) == 0:
                self._minute()

    def _told(self, users: Any, status: Status) -> None:
        self._tell(users, status)
        now = self._scene.seconds()
        if status.state is FeedState.CONNECTED:
            if self._away_since is not None and self._trades():
                self.outages.append(now - self._away_since)
                self.away += now - max(self._away_since, self._began)
            self._away_since = None
        elif self._away_since is None:
            self._away_since = now

    def _minute(self) -> None:
        now = datetime.fromtimestamp(self._scene.environment.now(), UTC) + timedelta(minutes=330)
        minute = now.hour * 60 + now.minute
        event = self._events.get(minute)
        if event is not None:
            event()
        elif self._trades() and self._resets and minute % self._resets == self._resets // 2:
            self.resets += 1
            self._scene.broker.reset()

    def _trades(self) -> bool:
        now = self._scene.environment.now()
        return any(self._sessions.in_session(exchange, now) for exchange in self._exchanges)

    def _set_rate(self, rate: float) -> None:
        self._rate = rate

    def _tick(self, rate: float) -> None:
        self._scene.broker.rate = rate

    def _expire(self) -> None:
        self._scene.expire()
        self._scene.broker.reset()

    def _log_in(self) -> None:
        self._scene.login()
        self._scene.manager.credentials_changed("ann")

    def _renew_master(self) -> None:
        scene = self._scene
        old, scene.instruments = scene.master, scene.instruments[:-EXPIRED]
        scene.master = SymbolIndex.of(scene.instruments)
        scene.names = {(one.symbol, one.exchange) for one in scene.instruments}
        # With the token, everything was refused.
        scene.listener.denied.clear()
        scene.manager.master_changed("zerodha", old, scene.master)


async def measure(reactor: Any, asked: argparse.Namespace) -> bool:
    """The figures, printed; whether they are good."""
    scene = Scene(Clockwork(reactor), count=asked.instruments, rate=RATE, interval=STEP)
    began = time.monotonic()
    try:
        await scene.subscribe(Wish(Mode.QUOTE))
        await scene.ticking(300)
        day = Day(scene, asked.resets)
        await day.run()
        # Every tick of the exchange is published once, and the last values are the exchange's.
        scene.rate = RATE
        await scene.exactly_once()
        gone = len(scene.listener.denied)
    finally:
        await scene.end()
    available = 1 - day.away / day.traded
    found = {
        "hours_traded": day.traded / 3600,
        "availability_percent": 100 * available,
        "resets": day.resets,
        "outages": len(day.outages),
        "longest_outage_seconds": max(day.outages, default=0.0),
        "ticks_sent": scene.broker.journal.ticks,
        "contracts_gone": gone,
        "seconds_it_took": time.monotonic() - began,
    }
    print(figures.lines(f"a day of {asked.instruments} instruments, {100 * TARGET:g} % wanted", found))
    return available >= TARGET and gone == EXPIRED and not scene.bus.backwards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--instruments", type=int, default=120)
    parser.add_argument("--resets", type=int, default=60, help="minutes between resets; 0: none")
    asked = parser.parse_args()

    async def run(reactor: Any) -> None:
        if not await measure(reactor, asked):
            raise SystemExit(1)

    task.react(lambda reactor: Deferred.fromCoroutine(run(reactor)))


if __name__ == "__main__":
    main()
