"""Flows: a result for everybody who waits, whatever becomes of the flow."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import Logger, eventAsText

from openalgo_ws.feeds.flows import Flows


class Rig:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.flows = Flows(Logger(observer=lambda event: self.lines.append(eventAsText(event))))
        self.waiting: Deferred[str] = Deferred()
        self.got: list[Any] = []

    async def flow(self) -> str:
        return await self.waiting

    def run(self) -> None:
        self.flows.run(self.flow(), "otherwise").addCallback(self.got.append)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_result_is_the_flows(rig: Rig) -> None:
    rig.run()
    assert rig.got == []
    rig.waiting.callback("result")
    assert rig.got == ["result"]
    rig.flows.clear()


def test_one_that_breaks_is_logged_without_what_it_said(rig: Rig) -> None:
    rig.run()
    rig.waiting.errback(ValueError("hunter2"))
    assert rig.got == ["otherwise"]
    [line] = rig.lines
    assert "a step failed" in line
    assert "hunter2" not in line


def test_what_is_under_way_is_ended_in_silence(rig: Rig) -> None:
    rig.run()
    rig.flows.clear()
    assert rig.got == ["otherwise"]
    assert rig.lines == []
    rig.flows.clear()


def test_a_flow_that_is_over_at_once_needs_no_end(rig: Rig) -> None:
    rig.waiting.callback("result")
    rig.run()
    rig.flows.clear()
    assert rig.got == ["result"]
