"""A plug-in of pytest (``-p tests.support.asyncio_reactor``): the tests run on asyncio's reactor.

It has to come before anything imports the reactor, which conftest files do.
"""

from __future__ import annotations

from twisted.internet import asyncioreactor

asyncioreactor.install()
