"""What is measured: the scenarios by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """Clients × symbols of a market, at a rate of ticks a second (0: flat out)."""

    text: str
    clients: int
    universe: int
    each: int
    mode: str
    rate: float = 0.0
    #: Clients among them that stop reading once they have subscribed.
    stalled: int = 0
    #: Ticks are of other symbols than the clients'.
    unwanted: bool = False
    #: At least so long, because what it shows takes time.
    seconds: float = 0.0


FANOUT = {
    "S1": Scenario("100 clients × the same 100 symbols, quote", 100, 100, 100, "quote"),
    "S2": Scenario("100 clients × 1,000 random of 3,000 symbols, quote", 100, 3000, 1000, "quote"),
    "S3": Scenario("1,000 clients × the same 50 symbols, LTP", 1000, 50, 50, "ltp"),
    "S4": Scenario("10 clients × 3,000 symbols, depth", 10, 3000, 3000, "depth"),
    "S5": Scenario("S1, of which 5 have stalled", 100, 100, 100, "quote", stalled=5, seconds=8),
    "S6a": Scenario("S1 at 100 ticks/s", 100, 100, 100, "quote", rate=100),
    "S6b": Scenario("S1 at 1,000 ticks/s", 100, 100, 100, "quote", rate=1000),
    "S6c": Scenario("S1 at 10,000 ticks/s", 100, 100, 100, "quote", rate=10000),
    "single": Scenario("300,000 ticks/s to one subscriber of all", 1, 3000, 3000, "ltp", rate=300_000),
    "unwanteda": Scenario(
        "100,000 ticks/s that nobody wants", 1, 3000, 1, "quote", rate=100_000, unwanted=True
    ),
    "unwantedb": Scenario(
        "1,000,000 ticks/s that nobody wants, more than are taken",
        1,
        3000,
        1,
        "quote",
        rate=1e6,
        unwanted=True,
    ),
    "memory": Scenario("10,000 clients × the same 10 symbols at 20 ticks/s", 10_000, 10, 10, "ltp", rate=20),
}
