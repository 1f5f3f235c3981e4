"""Demand over one account."""

from __future__ import annotations

import pytest

from openalgo_ws.bus.demand import Status


@pytest.fixture
def rig(world, t):
    class Rig:
        manager = world.manager()

        def subscribe(self, *wanted, user="ann"):
            return t.result(self.manager.subscribe(user, list(wanted)))

        def hold(self, *wanted, user="ann"):
            return t.holds_of(wanted, self.subscribe(*wanted, user=user))

        def status(self, user="ann") -> Status:
            return t.result(self.manager.status(user))

    return Rig()
