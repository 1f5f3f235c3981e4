"""openalgo-ws: a market-data gateway between brokers' feeds and OpenAlgo clients."""

__version__ = "0.1.0"
