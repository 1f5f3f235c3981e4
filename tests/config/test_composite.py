"""Several values: in one text, one by one, and shown as they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openalgo_ws.config.composite import ListOf, MapOf, Names
from openalgo_ws.config.kinds import Kind, Whole

HERE = Path()


@pytest.mark.parametrize(
    ("kind", "text", "value", "shown"),
    [
        (ListOf(Whole()), " 1,2 ,,3", (1, 2, 3), "1,2,3"),
        (ListOf(Whole(), None), " 1  2 ", (1, 2), "1 2"),
        (ListOf(Whole()), "", (), ""),
        (MapOf(Whole()), "a=1; b = 2;", {"a": 1, "b": 2}, "a=1; b=2"),
        (MapOf(ListOf(Whole())), "a=1,2;b=3", {"a": (1, 2), "b": (3,)}, "a=1,2; b=3"),
        (Names(), "bob, ann", ("bob", "ann"), "bob,ann"),
    ],
)
def test_read_and_shown(kind: Kind[Any], text: str, value: Any, shown: str) -> None:
    assert kind.parse(text, HERE) == value
    assert kind.show(value) == shown


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ListOf(Whole()), "1,x"),
        (MapOf(Whole()), "a"),
        (MapOf(Whole()), "=1"),
        (MapOf(Whole()), "a=x"),
        (MapOf(Whole()), "a=1;a=1"),
        (Names(), "ann,,bob"),
        (Names(), "ann,ann"),
        (Names(), ""),
    ],
)
def test_refused(kind: Kind[Any], text: str) -> None:
    with pytest.raises(ValueError):
        kind.parse(text, HERE)


def test_repeated_options_are_taken_one_by_one() -> None:
    assert ListOf(Whole()).parse_all(["1", "2"], HERE) == (1, 2)
    assert MapOf(Whole()).parse_all(["a=1", "b=2"], HERE) == {"a": 1, "b": 2}
