"""What may be imported from the package itself, and the page that tells where older names have gone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import openalgo_ws
from openalgo_ws.bus.records import TickRecord, pack, unpack
from openalgo_ws.bus.ring import RingBuffer, RingBufferPool
from openalgo_ws.encoding.binary import BinaryMarketData, BinaryMarketDataBatch
from openalgo_ws.scale.partitioner import SymbolPartitioner
from openalgo_ws.tick import Mode

PAGE = (Path(__file__).parents[1] / "docs" / "names.md").read_text(encoding="utf-8")

OLDER = [
    "OptimizedRingBuffer",
    "OptimizedRingBufferPool",
    "ParallelWebSocketProcessor",
    "MassiveSubscriptionManager",
    "BackpressureAwareConsumer",
    "PerformanceMonitor",
    "ProcessorConfig",
    "SubscriptionConfig",
    "BackpressureConfig",
    "PerformanceThresholds",
    "AlertConfig",
    "WebSocketProxy",
    "BaseBrokerWebSocketAdapter",
    "ConnectionPool",
    "SharedZmqPublisher",
    "ProductionMarketDataSystem",
    "create_production_config",
    "create_large_symbol_set",
]


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("BinaryMarketData", BinaryMarketData),
        ("BinaryMarketDataBatch", BinaryMarketDataBatch),
        ("MarketDataMessage", TickRecord),
        ("RingBuffer", RingBuffer),
        ("RingBufferPool", RingBufferPool),
        ("SymbolPartitioner", SymbolPartitioner),
    ],
)
def test_the_names_are_the_things_that_the_server_uses(name: str, real: type) -> None:
    assert getattr(openalgo_ws, name) is real
    assert name in openalgo_ws.__all__
    assert name in dir(openalgo_ws)


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ConnectionPool"):
        _ = openalgo_ws.ConnectionPool


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    code = (
        "import sys, openalgo_ws\n"
        "print(*(m for m in sys.modules if m.split('.')[0] in ('openalgo_ws', 'twisted', 'msgspec', 'zmq')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert ran.stdout.split() == ["openalgo_ws"]


def test_a_message_survives_the_bus() -> None:
    message = openalgo_ws.MarketDataMessage("SBIN", "NSE", Mode.LTP, 0, 1, 12, 0, b'{"ltp":812.5}')

    assert unpack(pack([message])) == [message]


# The page


def test_every_older_name_has_its_place_on_the_page() -> None:
    rows = re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE)

    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert [name for name in OLDER if name not in named] == []


def test_every_module_that_the_page_names_is_there() -> None:
    root = Path(__file__).parents[1]
    paths = re.findall(r"`((?:openalgo_ws|docs|benchmarks|adapters|tests)/[\w/.-]+)`", PAGE)

    assert len(paths) > 10
    assert [path for path in paths if not (root / path).exists()] == []


def test_the_code_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        space: dict[str, Any] = {}
        # Each stands for itself: a reader copies one.
        exec(compile(block, "docs/names.md", "exec"), space)
