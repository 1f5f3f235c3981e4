"""Feeds: everything between a broker's socket and the bus, written once for all brokers.

The lower half is one connection: `Connection` dials, logs in, keeps alive, notices
silence and dials again. The upper half spreads instruments over connections, joins
what comes in pieces, counts demand and publishes.
"""
