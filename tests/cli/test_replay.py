"""Recorded ticks are published in the time in which they came."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from twisted.internet.task import Clock

from openalgo_ws.cli import main
from openalgo_ws.cli.replay import Replay
from openalgo_ws.client import MarketData
from openalgo_ws.recording import Recorder, Recording
from openalgo_ws.tick import Mode
from tests.support.process import free_port


class Publisher:
    """Notes what is published, as long as there is room."""

    def __init__(self) -> None:
        self.heard = True
        self.room = 10_000
        self.symbols: list[str] = []

    def publish(self, exchange: str, symbol: str, mode: Mode, data: Mapping[str, Any]) -> bool:
        if not self.room:
            return False
        self.room -= 1
        assert (exchange, mode, data) == ("NSE", Mode.LTP, {"ltp": 1.5})
        self.symbols.append(symbol)
        return True


def recorded(path: Path, *seconds: float) -> Path:
    recorder = Recorder(path)
    for n, moment in enumerate(seconds):
        tick = MarketData(str(n), "NSE", Mode.LTP, "zerodha", {"ltp": 1.5}, False)
        recorder.write(tick, 1_700_000_000_000 + moment * 1000)
    recorder.close()
    return path


def player_of(path: Path, speed: float = 1.0) -> tuple[Replay, Publisher, Clock]:
    clock, publisher = Clock(), Publisher()
    player = Replay(clock, Recording(path), speed)
    player.publisher = publisher
    return player, publisher, clock


def test_ticks_come_in_their_own_time(tmp_path: Path) -> None:
    player, publisher, clock = player_of(recorded(tmp_path / "a", 0, 0, 1, 3))

    player.go_on()
    assert publisher.symbols == ["0", "1"]
    clock.advance(1)
    assert publisher.symbols == ["0", "1", "2"]
    clock.advance(1.9)
    assert len(publisher.symbols) == 3
    clock.advance(0.2)

    assert len(publisher.symbols) == 4
    assert player.done.result is None
    assert clock.getDelayedCalls() == []


def test_ten_times_as_fast(tmp_path: Path) -> None:
    player, publisher, clock = player_of(recorded(tmp_path / "a", 0, 10), speed=10)

    player.go_on()
    clock.advance(1.01)

    assert len(publisher.symbols) == 2


def test_a_clock_that_went_back_holds_nothing_up(tmp_path: Path) -> None:
    player, publisher, _ = player_of(recorded(tmp_path / "a", 0, -3600, 0))

    player.go_on()

    assert publisher.symbols == ["0", "1", "2"]


def test_it_waits_for_a_listener_and_for_room(tmp_path: Path) -> None:
    player, publisher, clock = player_of(recorded(tmp_path / "a", 0, 0, 0))
    publisher.heard, publisher.room = False, 1

    player.go_on()
    assert publisher.symbols == []
    publisher.heard = True
    player.go_on()
    assert publisher.symbols == ["0"]
    assert clock.getDelayedCalls() == []
    publisher.room = 5
    player.go_on()

    assert publisher.symbols == ["0", "1", "2"]


def test_many_at_once_leave_the_reactor_its_turns(tmp_path: Path) -> None:
    player, publisher, clock = player_of(recorded(tmp_path / "a", *[0.0] * 1200))

    player.go_on()
    assert len(publisher.symbols) == 500
    clock.pump([0, 0, 0])

    assert len(publisher.symbols) == 1200


def test_a_damaged_file_is_played_up_to_the_damage(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a", *[0.0] * 100)
    path.write_bytes(path.read_bytes()[:-10])
    player, publisher, _ = player_of(path)

    player.go_on()

    assert len(publisher.symbols) > 50
    assert str(player.done.result).startswith("the recording ends early: ")


def test_stopped_it_leaves_no_timer(tmp_path: Path) -> None:
    player, _, clock = player_of(recorded(tmp_path / "a", 0, 100))
    player.go_on()

    player.stop()

    assert clock.getDelayedCalls() == []
    assert player.done.result is None


@pytest.mark.parametrize("words", [["replay", "no-such-file"], ["replay", ".", "--speed", "0"]])
def test_a_mistake_is_named(words: list[str]) -> None:
    assert CliRunner().invoke(main, words).exit_code == 2


def test_a_file_is_not_written_over(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a", 0)
    before = path.read_bytes()

    ran = CliRunner().invoke(main, ["record", str(path), "NSE:A", "--url", f"ws://127.0.0.1:{free_port()}"])

    assert ran.exit_code == 2
    assert "File exists" in ran.stderr
    assert path.read_bytes() == before
