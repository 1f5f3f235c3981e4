"""Alerts: raised when a measure has been beyond its threshold for a while, cleared when it has been well.

The rules are `openalgo_ws.config.alerts`'. Between the threshold and the value that clears it an alert
stays as it is, so that one value to and fro makes no stream of messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from openalgo_ws.config.alerts import SILENCE, AlertRule
from openalgo_ws.ops.monitor import Values

__all__ = ["Alert", "Alerts", "as_notice", "tells_of_silence"]

Key = tuple[AlertRule, str]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """That an alert was raised or cleared at ``at`` (epoch seconds). ``feed`` is "" for the server's;
    ``value`` is None where there is none any more."""

    name: str
    feed: str
    status: str
    value: float | None
    threshold: float
    message: str
    at: float


class _State:
    """One rule for one feed."""

    __slots__ = ("active", "alert", "since")

    def __init__(self) -> None:
        self.active = False
        #: Since when the other state has been asked for; None: it is not.
        self.since: float | None = None
        self.alert: Alert | None = None


class Alerts:
    """Decides on what it is `told`. ``brokers`` gives each feed's broker, ``now`` epoch seconds.

    ``listeners`` are called with every `Alert`.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        rules: Sequence[AlertRule],
        *,
        brokers: Callable[[], Mapping[str, str | None]],
        now: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._brokers = brokers
        self._now = now
        #: By measure; those that name a feed come first, and take it away from those that don't.
        self._rules: dict[str, list[AlertRule]] = {}
        for rule in sorted(rules, key=lambda rule: rule.feed is None):
            self._rules.setdefault(rule.name, []).append(rule)
        self._states: dict[Key, _State] = {}
        self.listeners: list[Callable[[Alert], None]] = []

    def told(self, values: Values) -> None:
        """The values of this second: raise and clear."""
        brokers = self._brokers()
        present: set[Key] = set()
        for name, rules in self._rules.items():
            for feed, value in values.get(name, {}).items():
                for rule in _applying(rules, feed, brokers.get(feed)):
                    present.add((rule, feed))
                    self._look(rule, feed, value)
        for key in self._states.keys() - present:
            self._gone(*key)

    def active(self) -> list[Alert]:
        """Those that are raised, the latest last."""
        raised = [state.alert for state in self._states.values() if state.active and state.alert]
        return sorted(raised, key=lambda alert: alert.at)

    def states(self) -> dict[tuple[str, str], bool]:
        """(name, feed) → whether it is raised, of all that are watched."""
        found: dict[tuple[str, str], bool] = {
            (name, ""): False
            for name, rules in self._rules.items()
            if any(rule.feed is None for rule in rules)
        }
        for (rule, feed), state in self._states.items():
            found[rule.name, feed] = found.get((rule.name, feed), False) or state.active
        return found

    def _look(self, rule: AlertRule, feed: str, value: float) -> None:
        state = self._states.setdefault((rule, feed), _State())
        now = self._clock.seconds()
        changes = rule.is_well(value) if state.active else rule.is_beyond(value)
        if not changes:
            state.since = None
            return
        if state.since is None:
            state.since = now
        if now - state.since >= (rule.clear_after if state.active else rule.after):
            state.since = None
            state.active = not state.active
            self._say(rule, feed, state, value)

    def _gone(self, rule: AlertRule, feed: str) -> None:
        """There is no such value now. A feed's is gone when nothing of it trades; a latency's comes again."""
        state = self._states[rule, feed]
        state.since = None
        if feed:
            del self._states[rule, feed]
            if state.active:
                state.active = False
                self._say(rule, feed, state, None)

    def _say(self, rule: AlertRule, feed: str, state: _State, value: float | None) -> None:
        status = "raised" if state.active else "cleared"
        message = _message(rule, state.active, value)
        alert = state.alert = Alert(
            name=rule.name,
            feed=feed,
            status=status,
            value=None if value is None else round(value, 3),
            threshold=rule.threshold,
            message=message,
            at=round(self._now(), 3),
        )
        of = f" of feed {feed}" if feed else ""
        say = self.log.warn if state.active else self.log.info
        say("alert {status}: {name}{of}: {message}", status=status, name=rule.name, of=of, message=message)
        for listener in list(self.listeners):
            listener(alert)


def tells_of_silence(
    rules: Sequence[AlertRule], brokers: Callable[[], Mapping[str, str | None]]
) -> Callable[[str], bool]:
    """Whether an alert is raised for a feed (its tag) that is silent. ``brokers`` as for `Alerts`."""
    about = [rule for rule in rules if rule.name == SILENCE and rule.above]

    def tells(feed: str) -> bool:
        known = brokers()
        return feed in known and bool(_applying(about, feed, known[feed]))

    return tells


def _applying(rules: list[AlertRule], feed: str, broker: str | None) -> list[AlertRule]:
    named = [rule for rule in rules if rule.is_about(feed, broker)]
    return named or [rule for rule in rules if rule.feed is None]


def _message(rule: AlertRule, active: bool, value: float | None) -> str:
    if value is None:
        return "nothing that it serves trades now"
    where = "above" if rule.above else "below"
    if active:
        word, bound, seconds = "is", rule.threshold, rule.after
    else:
        word, bound, seconds = "is no longer", rule.clear, rule.clear_after
    lasting = f" for {seconds:g} s" if seconds else ""
    return f"{value:.4g} {word} {where} {bound:g}{lasting}"


def as_notice(alert: Alert, **more: Any) -> dict[str, Any]:
    """An alert as clients, pages and webhooks are told of it."""
    return {
        "type": "alert",
        "name": alert.name,
        "status": alert.status,
        "value": alert.value,
        "threshold": alert.threshold,
        "message": alert.message,
        **more,
    }
