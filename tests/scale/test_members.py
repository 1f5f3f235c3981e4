"""Which feed processes live: on a clock, with messages that the test may lose."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from openalgo_ws.scale.members import Members

BEAT, SILENCE = 1.0, 3.0


class Room:
    """Processes that hear each other."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.members: dict[str, Members] = {}
        #: What each believes, one after the other.
        self.views: dict[str, list[str]] = {}
        self.deaf: set[str] = set()

    def enter(self, name: str) -> Members:
        def tell(here: bool) -> None:
            for other, member in self.members.items():
                if not {name, other} & self.deaf:
                    member.heard(name, here)

        def changed(names: frozenset[str]) -> None:
            self.views.setdefault(name, []).append("".join(sorted(names)))

        member = Members(self.clock, name, beat=BEAT, silence=SILENCE, tell=tell, changed=changed)
        self.members[name] = member
        member.start()
        return member

    @property
    def view(self) -> dict[str, str]:
        return {name: views[-1] for name, views in self.views.items()}

    @property
    def changes(self) -> int:
        return sum(map(len, self.views.values()))

    def run(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))


@pytest.fixture
def room() -> Room:
    room = Room()
    for name in "abc":
        room.enter(name)
    room.run(2 * BEAT)
    return room


def test_all_come_to_know_each_other(room: Room) -> None:
    assert room.view == {"a": "abc", "b": "abc", "c": "abc"}
    changes = room.changes
    room.run(60)
    assert room.changes == changes


def test_who_comes_listens_before_it_says_anything(room: Room) -> None:
    room.enter("d")
    room.run(BEAT / 2)
    assert "d" not in room.view
    assert room.view["a"] == "abc"
    room.run(BEAT)
    assert set(room.view.values()) == {"abcd"}
    # What it believes is right at once: nothing is given to it that it would take from others.
    assert room.views["d"] == ["abcd"]


def test_who_dies_is_missed_when_it_has_been_silent(room: Room) -> None:
    room.deaf.add("c")
    room.run(SILENCE - BEAT)
    assert room.view["a"] == "abc"
    room.run(2 * BEAT)
    assert (room.view["a"], room.view["b"], room.view["c"]) == ("ab", "ab", "c")
    # And if it was only cut off, it is back with its next word.
    room.deaf.clear()
    room.run(BEAT)
    assert set(room.view.values()) == {"abc"}


def test_who_goes_says_so(room: Room) -> None:
    room.members["c"].stop()
    assert (room.view["a"], room.view["b"]) == ("ab", "ab")
    # Not a second time, and it hears nothing any more.
    changes = room.changes
    room.members["c"].stop()
    room.run(10)
    assert room.changes == changes
    # It may come again, and knows nobody from before.
    room.members["b"].stop()
    room.members["c"].start()
    room.run(2 * BEAT)
    assert (room.view["a"], room.view["c"]) == ("ac", "ac")


def test_a_silence_of_all_is_nobodys(room: Room) -> None:
    room.deaf.update("abc")
    room.run(SILENCE - 0.1)
    room.deaf.clear()
    changes = room.changes
    for member in room.members.values():
        member.excuse()
    room.run(60)
    assert room.changes == changes


def test_nothing_is_left_of_one_that_stopped_before_it_spoke(room: Room) -> None:
    member = room.enter("d")
    member.stop()
    assert room.view["a"] == "abc"
    for one in room.members.values():
        one.stop()
    assert room.clock.getDelayedCalls() == []
