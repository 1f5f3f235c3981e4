"""A router without sockets, in each way in which an outbox joins what gathers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openalgo_ws.gateway import outbox
from tests.gateway.support import Rig


@pytest.fixture(scope="module", params=["whole", "in pieces"], autouse=True)
def joined(request: pytest.FixtureRequest) -> Iterator[None]:
    """What gathers for a client is joined as a whole, or, as where it is much, in pieces."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "in pieces":
            patch.setattr(outbox, "_JOINED", 1)
        yield


@pytest.fixture
def rig() -> Rig:
    return Rig()
