"""The bus under test, once for each there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tests.bus.contract.receiver import Receiver
from tests.bus.contract.rigs import RIGS, Rig


@pytest.fixture(params=RIGS, ids=lambda kind: kind.__name__)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """One bus of each kind."""
    rig = request.param(reactor, tmp_path)
    pytest_twisted.blockon(Deferred.fromCoroutine(rig.open()))
    yield rig
    pytest_twisted.blockon(Deferred.fromCoroutine(rig.close()))


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()
