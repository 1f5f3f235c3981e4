"""Rules of alerts as people write them: ``loop_lag_ms>100:10s<50`` and ``tick_age_s{zerodha}>60``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from openalgo_ws.config.errors import NotAllowed
from openalgo_ws.config.kinds import Kind

__all__ = ["DEFAULT_ALERTS", "MEASURES", "SILENCE", "AlertRule", "AlertText", "rules_in_force"]

#: The measure of how long a feed has been silent.
SILENCE = "tick_age_s"

#: What can be watched: name → (whether each feed has one, what it is). The end of a name is its unit.
MEASURES = MappingProxyType(
    {
        "loop_lag_ms": (False, "the longest delay of the event loop within a second"),
        "latency_p50_ms": (False, "median of the way from the feeds to the clients, within a second"),
        "latency_p99_ms": (False, "99th percentile of that"),
        "ticks_per_s": (False, "ticks from the bus"),
        "deliveries_per_s": (False, "messages with ticks to clients"),
        "intake_backlog": (False, "messages, or instruments, that wait for the gateway"),
        "intake_conflated_pct": (False, "share of the ticks read that was replaced, because it lagged"),
        "bus_backlog": (False, "records that wait for room on the bus"),
        "clients": (False, "clients connected"),
        "slow_clients": (False, "clients that are given only the latest values"),
        SILENCE: (True, "time since the last tick of a feed, while something that it serves trades"),
        "feed_down_s": (True, "how long a feed is not live, while something that it serves trades"),
    }
)

#: In force unless a rule for the same measure is given; for a silent feed with the seconds of
#: WS_STALE_TICK_WARN_SECONDS, whose default this is.
DEFAULT_ALERTS = (
    "loop_lag_ms>250:10s<100",
    "latency_p99_ms>1000:30s<500",
    "intake_conflated_pct>0:30s",
    "tick_age_s>120:0s<10:0s",
    "feed_down_s>60:0s",
)

_RULE = re.compile(
    r"(?P<name>[a-z0-9_]+)(\{(?P<feed>[^{}]+)\})?"
    r"(?P<sign>[<>])(?P<bound>[0-9.]+)(:(?P<after>[0-9.]+[smh]?))?"
    r"((?P<back>[<>])(?P<clear>[0-9.]+)(:(?P<clear_after>[0-9.]+[smh]?))?)?"
)
_OFF = re.compile(r"(?P<name>[a-z0-9_]+)=off")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
#: Where a rule doesn't say for how long (seconds).
_AFTER = 10.0
#: Where a rule doesn't say where it clears: this share of the threshold (its inverse for “below”).
_CLEAR = 0.8
_LONGEST = 86400.0


@dataclass(frozen=True)
class AlertRule:
    """Raise when a measure has been beyond ``threshold`` for ``after`` seconds; clear when it has been at
    ``clear`` or better for ``clear_after`` seconds. A rule that is ``off`` only takes a default away.

    ``feed`` is a user's or a broker's name, None: every feed that no other rule for the measure names.
    """

    name: str
    feed: str | None = None
    above: bool = True
    threshold: float = 0.0
    after: float = _AFTER
    clear: float = 0.0
    clear_after: float = _AFTER
    off: bool = False

    def is_about(self, feed: str, broker: str | None) -> bool:
        """Whether it names this feed."""
        return self.feed is not None and self.feed in (feed, broker)

    def is_beyond(self, value: float) -> bool:
        """Whether this is a value to raise the alert for."""
        return value > self.threshold if self.above else value < self.threshold

    def is_well(self, value: float) -> bool:
        """Whether this is a value to clear it for; there may be values between."""
        return value <= self.clear if self.above else value >= self.clear

    def __str__(self) -> str:
        if self.off:
            return f"{self.name}=off"
        feed = "" if self.feed is None else f"{{{self.feed}}}"
        sign, back = (">", "<") if self.above else ("<", ">")
        return (
            f"{self.name}{feed}{sign}{self.threshold:g}:{self.after:g}s"
            f"{back}{self.clear:g}:{self.clear_after:g}s"
        )


@dataclass(frozen=True)
class AlertText(Kind[AlertRule]):
    """One rule. ``NotAllowed`` names what is wrong with it."""

    metavar: str = "RULE"
    allowed: str = "rules such as loop_lag_ms>100:10s<50, tick_age_s{zerodha}>60 or feed_down_s=off"

    def parse(self, text: str, directory: Path) -> AlertRule:
        plain = "".join(text.split())
        found = _RULE.fullmatch(plain)
        off = _OFF.fullmatch(plain)
        if found is None and off is None:
            raise NotAllowed(text, f"allowed are {self.allowed}")
        name = (found or off)["name"]  # type: ignore[index]
        if name not in MEASURES:
            raise NotAllowed(text, f"allowed names are {', '.join(MEASURES)}")
        return AlertRule(name, off=True) if found is None else _rule(text, found)


def _rule(text: str, found: re.Match[str]) -> AlertRule:
    name, feed, above = found["name"], found["feed"], found["sign"] == ">"
    if feed is not None and not MEASURES[name][0]:
        raise NotAllowed(text, f"{name} is one of the whole server: it has no {{…}}")
    threshold = _number(text, found["bound"])
    clear = threshold * (_CLEAR if above else 1 / _CLEAR)
    if found["clear"] is not None:
        clear = _number(text, found["clear"])
        if found["back"] == found["sign"] or (clear > threshold if above else clear < threshold):
            where = "<, and no more than the threshold" if above else ">, and no less than the threshold"
            raise NotAllowed(text, f"it clears the other way round: allowed is {where}")
    after = _AFTER if found["after"] is None else _seconds(text, found["after"])
    clear_after = after if found["clear_after"] is None else _seconds(text, found["clear_after"])
    return AlertRule(name, feed, above, threshold, after, clear, clear_after)


def _number(text: str, digits: str) -> float:
    try:
        value = float(digits)
    except ValueError:
        raise NotAllowed(text, f"{digits} is no number") from None
    if not math.isfinite(value):
        raise NotAllowed(text, f"{digits} is too large")
    return value


def _seconds(text: str, written: str) -> float:
    unit = _UNITS.get(written[-1])
    seconds = _number(text, written if unit is None else written[:-1]) * (unit or 1.0)
    if seconds > _LONGEST:
        raise NotAllowed(text, "allowed are times up to 24h")
    return seconds


def rules_in_force(given: Sequence[AlertRule], silence: float) -> list[AlertRule]:
    """The rules given, and the default ones for measures that none of them is about. A feed that has been
    silent for more than ``silence`` seconds is one to raise the default alert for."""
    named = {rule.name for rule in given}
    read = AlertText()
    defaults = [read.parse(text, Path()) for text in DEFAULT_ALERTS]
    return [
        *(_after_silence(rule, silence) for rule in defaults if rule.name not in named),
        *(rule for rule in given if not rule.off),
    ]


def _after_silence(rule: AlertRule, silence: float) -> AlertRule:
    if rule.name != SILENCE:
        return rule
    return replace(rule, threshold=silence, clear=min(rule.clear, silence))
