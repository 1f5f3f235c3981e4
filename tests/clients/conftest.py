"""A demo, and a browser for it."""

from tests.support.fixtures import browser, demo

__all__ = ["browser", "demo"]
