"""What the log is told of a connection: each state, trouble louder, its end as loud as its beginning."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, formatEvent

from openalgo_ws.feeds.life import ConnectionState as S
from openalgo_ws.feeds.state_log import StateLog


class Rig:
    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: list[tuple[str, str]] = []
        self.log = StateLog(self.clock, Logger(observer=self.observe))

    def observe(self, event: LogEvent) -> None:
        self.lines.append((event["log_level"].name, formatEvent(event)))

    def after(self, seconds: float, state: S, message: str) -> None:
        self.clock.advance(seconds)
        self.log.changed(state, message)


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (S.AUTHORISING, "info"),
        (S.LIVE, "info"),
        (S.STOPPED, "info"),
        (S.STALE, "warn"),
        (S.BACKING_OFF, "warn"),
        (S.AUTH_FAILED, "error"),
        (S.FAILED, "error"),
    ],
)
def test_levels(rig: Rig, state: S, level: str) -> None:
    rig.after(0, state, "why")
    assert rig.lines == [(level, f"{state.value}: why")]


def test_the_end_of_trouble_is_a_warning_that_says_how_long_it_was(rig: Rig) -> None:
    rig.after(0, S.LIVE, "live")
    rig.after(10, S.STALE, "no tick for 90 s")
    rig.after(1, S.BACKING_OFF, "again in 1.0 s")
    rig.after(1, S.AUTH_FAILED, "refused")
    rig.after(40, S.DIALLING, "dialling")
    rig.after(1, S.LIVE, "live")
    assert [level for level, _ in rig.lines] == ["info", "warn", "warn", "error", "info", "warn"]
    assert rig.lines[-1] == ("warn", "live again after 43 s: live")


def test_it_is_told_once(rig: Rig) -> None:
    rig.after(0, S.BACKING_OFF, "again in 1.0 s")
    rig.after(5, S.LIVE, "live")
    rig.after(5, S.LIVE, "live")
    assert rig.lines[-1] == ("info", "live: live")
