"""The runner judges strictly: every change to what a passing vector expects makes it fail."""

import copy
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from openalgo_ws.cli.conformance import conformance
from openalgo_ws.conformance import VectorFileError, read_file, run_case, run_file
from openalgo_ws.registry import Registry

VECTORS = Path(__file__).parent.parent / "adapters" / "vectors" / "zerodha.json"
FILE = read_file(VECTORS)
ADAPTER = Registry().load("zerodha")

#: What a case expects, as opposed to what it feeds in.
JUDGED = {
    "connect": ("url", "headers", "subprotocols", "frames"),
    "outbound": ("frames",),
    "inbound": ("ticks", "errors", "orders"),
    "master": ("expect",),
}


def places(value, path=()):
    """Every leaf and every container below a value."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def changed(value):
    """Values that are wrong in the place of this one."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, float):
        return [value + 0.001, value - 0.001, -value - 1, str(value), None, True]
    if isinstance(value, int):
        return [value + 1, value - 1, str(value), None]
    if isinstance(value, str):
        return [value + "x", value[1:] if value else " ", 7, None]
    if isinstance(value, dict):
        return [{**value, "surplus": 1}, [], None]
    if isinstance(value, list):
        return [[*value, value[-1] if value else {"text": "{}"}], {}, None]
    raise TypeError(value)


def replaced(case, path, value):
    """The case with another value at a place."""
    result = copy.deepcopy(case)
    target = result
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return result


def without(case, path):
    """The case with a place removed."""
    result = copy.deepcopy(case)
    target = result
    for key in path[:-1]:
        target = target[key]
    del target[path[-1]]
    return result


def in_frame(case, index):
    """Wrong variants of an outbound frame: text is changed as the JSON it is."""
    frame = case["frames"][index]
    if "binary" in frame:
        flipped = bytearray.fromhex(frame["binary"])
        flipped[-1] ^= 1
        yield {"binary": flipped.hex()}
        return
    content = json.loads(frame["text"])
    for path, value in places(content):
        if path and not isinstance(value, (dict, list)):
            for wrong in changed(value):
                yield {"text": json.dumps(replaced(content, path, wrong))}
            yield {"text": json.dumps(without(content, path))}
    yield {"text": frame["text"] + "x"}
    yield {"text": frame["text"], "opcode": "binary"}
    yield {"binary": frame["text"].encode().hex()}


def mutations(case):
    for top in JUDGED[case["type"]]:
        if top not in case:
            continue
        yield without(case, (top,)) if top != "orders" else replaced(case, (top,), [])
        if top == "frames":
            for index in range(len(case["frames"])):
                for wrong in in_frame(case, index):
                    yield replaced(case, ("frames", index), wrong)
                yield without(case, ("frames", index))
            yield replaced(case, ("frames",), [*case["frames"], {"text": "{}"}])
            continue
        for path, value in places(case[top], (top,)):
            for wrong in changed(value):
                yield replaced(case, path, wrong)
            if len(path) > 1:
                yield without(case, path)


@pytest.mark.parametrize("case", FILE.cases, ids=lambda case: case["name"][:60])
def test_a_wrong_expectation_fails(case):
    assert run_case(ADAPTER, case).problems == ()
    count = 0
    for wrong in mutations(case):
        assert not run_case(ADAPTER, wrong).passed, wrong
        count += 1
    assert count >= 5


@pytest.mark.parametrize("price", [10.0, 1573.15, 84929.36, 9_999_999.95])
def test_a_price_off_by_a_tenth_of_a_paisa_fails_however_large(price):
    token = 738561
    packet = (1).to_bytes(2) + (8).to_bytes(2) + token.to_bytes(4) + round(price * 100).to_bytes(4)
    case = {
        "name": "one price",
        "type": "inbound",
        "instruments": [{"symbol": "RELIANCE", "exchange": "NSE", "token": str(token)}],
        "subscribed": "LTP",
        "frames": [{"binary": packet.hex()}],
        "ticks": [{"exchange": "NSE", "token": str(token), "kind": "ltp", "ltp": price}],
        "errors": 0,
    }
    assert run_case(ADAPTER, case).passed
    for wrong in (price + 0.001, price - 0.001):
        assert not run_case(ADAPTER, replaced(case, ("ticks", 0, "ltp"), wrong)).passed


def test_an_exception_of_the_adapter_fails_the_case_and_names_the_place():
    case = {
        "name": "a token that is no text",
        "type": "inbound",
        "instruments": [{"symbol": "SBIN", "exchange": "NSE", "token": 779521}],
        "subscribed": "LTP",
        "frames": [],
        "ticks": [],
        "errors": 0,
    }
    (problem,) = run_case(ADAPTER, case).problems
    assert problem.startswith("raised AttributeError at codec.py:")


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ({"type": "inbound"}, "no 'subscribed'"),
        ({"type": "guess"}, "no such type of case: 'guess'"),
        ({"type": "connect", "credentials": {}}, "no 'url'"),
        ({"type": "inbound", "subscribed": "ltp", "frames": [], "ticks": [], "errors": 0}, "no mode 'ltp'"),
        (
            {"type": "inbound", "subscribed": "LTP", "frames": [], "ticks": [], "errors": 0, "feed": "deep"},
            "the adapter has no feed 'deep'",
        ),
        (
            {
                "type": "inbound",
                "instruments": [],
                "subscribed": "LTP",
                "frames": [{"binary": "xyz"}],
                "ticks": [],
                "errors": 0,
            },
            "not hexadecimal",
        ),
    ],
)
def test_a_case_that_is_not_in_the_format_fails(case, problem):
    result = run_case(ADAPTER, {"name": "?", **case})
    assert not result.passed
    assert problem in result.problems[0]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"broker": "zerodha", "cases": []}', "[" * 100_000])
def test_a_file_that_holds_no_vectors(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(VectorFileError):
        read_file(path)


def test_without_the_adapter_every_case_fails():
    results = run_file(VECTORS, Registry([]))
    assert len(results) == len(FILE.cases)
    assert all(not result.passed for result in results)


class TestCommand:
    def run(self, *files):
        return CliRunner().invoke(conformance, [str(file) for file in files])

    def test_a_line_a_case_and_the_count_last(self):
        result = self.run(VECTORS)
        lines = result.stdout.splitlines()
        assert result.exit_code == 0
        assert len(lines) == len(FILE.cases) + 1
        assert all(line.startswith("ok") for line in lines[:-1])
        assert lines[-1] == f"{len(FILE.cases)} passed, 0 failed"

    def test_a_failure_is_shown_and_is_the_exit_code(self, tmp_path):
        content = json.loads(VECTORS.read_text())
        case = next(case for case in content["cases"] if case["type"] == "inbound")
        case["ticks"][0]["ltp"] += 0.001
        wrong = tmp_path / "wrong.json"
        wrong.write_text(json.dumps(content))
        result = self.run(wrong)
        assert result.exit_code == 1
        assert len(result.stdout.splitlines()) == len(FILE.cases) + 1
        assert "FAIL zerodha" not in self.run(VECTORS).stdout
        assert "FAIL wrong inbound" in result.stdout
        assert "ticks[0].ltp: expected 842.351, got 842.35" in result.stdout
        assert result.stdout.splitlines()[-1] == f"{len(FILE.cases) - 1} passed, 1 failed"

    def test_verbose_shows_every_difference(self, tmp_path):
        content = json.loads(VECTORS.read_text())
        case = next(case for case in content["cases"] if case["type"] == "inbound")
        case["ticks"][0] |= {"ltp": 1.0, "volume": 1}
        wrong = tmp_path / "wrong.json"
        wrong.write_text(json.dumps(content))
        assert "(and 1 more)" in self.run(wrong).stdout
        shown = self.run("-v", wrong).stdout
        assert "ticks[0].ltp: expected 1.0, got 842.35" in shown
        assert "ticks[0].volume: missing (expected 1)" in shown

    def test_a_file_that_cannot_be_read_is_an_error_and_the_others_are_run(self, tmp_path):
        result = self.run(tmp_path / "absent.json", VECTORS)
        assert result.exit_code == 1
        assert "absent.json" in result.stderr
        assert result.stdout.splitlines()[-1] == f"{len(FILE.cases)} passed, 0 failed"

    def test_without_a_file_there_is_nothing_to_run(self):
        assert self.run().exit_code == 2
