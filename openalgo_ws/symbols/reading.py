"""A master out of the database into an index, a page at a time, off the reactor thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from openalgo_ws.adapter import Adapter, MasterRow
from openalgo_ws.symbols.index import IndexBuilder, SymbolIndex, give_way
from openalgo_ws.symbols.loader import PARSER_ERRORS
from openalgo_ws.symbols.rows import fault
from openalgo_ws.symbols.store import Mark, page, survey

__all__ = ["Blocking", "Reading"]

T = TypeVar("T")


class Blocking(Protocol):
    """Runs what blocks (`openalgo_ws.accounts.database.Database`)."""

    def call(self, function: Callable[[Connection], T]) -> T:
        """Run a function in a transaction on this thread; DatabaseUnavailable if that can't be."""

    def off_thread(self, reactor: Any, function: Callable[[], T]) -> Deferred[T]:
        """Run a function on another thread."""


class Reading:
    """One attempt to read one broker's master."""

    def __init__(self, reactor: Any, database: Blocking, adapter: Adapter, mark: Mark) -> None:
        self._reactor = reactor
        self._database = database
        self._adapter = adapter
        self._mark = mark
        self._builder = IndexBuilder(give_way)
        #: Rows that could not be used, and what was wrong with the first of them.
        self.unusable = 0
        self.first_fault = ""

    async def read(self, wanted: Callable[[], bool]) -> SymbolIndex | None:
        """The index; None if the master was replaced meanwhile, or is no longer ``wanted``.

        A page is read in a transaction of its own, so nobody who writes waits for a whole master
        to be read; what was read is one master only if it has the same mark afterwards. Fails with
        DatabaseUnavailable.
        """
        after: int | None = 0
        while after is not None:
            if not wanted():
                return None
            after = await self._off_thread(partial(self._page, after))
        after_mark = await self._off_thread(
            lambda: self._database.call(lambda connection: survey(connection, self._adapter.name))
        )
        if after_mark != self._mark or not wanted():
            return None
        return await self._off_thread(self._builder.finish)

    def _off_thread(self, function: Callable[[], T]) -> Deferred[T]:
        return self._database.off_thread(self._reactor, function)

    def _page(self, after: int) -> int | None:
        some = self._database.call(lambda connection: page(connection, self._mark, self._adapter.name, after))
        # The connection is given back before the work that needs none.
        for row in some.rows:
            self._take(row)
        return some.next

    def _take(self, row: MasterRow) -> None:
        wrong = fault(row)
        if wrong is None:
            try:
                self._builder.add(self._adapter.instrument(row))
                return
            except PARSER_ERRORS as error:
                wrong = f"the adapter can't use it ({type(error).__name__})"
        self.unusable += 1
        self.first_fault = self.first_fault or f"{row.exchange}:{row.symbol}: {wrong}"

    @property
    def repeated(self) -> int:
        """Rows left out because their (symbol, exchange) was there before."""
        return self._builder.duplicates
