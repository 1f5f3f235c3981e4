"""What several brokers need and the adapter interface does not hold. Pure functions, no I/O.

- `values`: numbers and JSON out of text that can't be trusted (`BadValue` says what is wrong)
- `times`: Indian time to epoch milliseconds, and dates
- `naming`: OpenAlgo's symbols (``NIFTY30DEC2526000CE``), and index names from a data file
- `keys`: what is wished of instruments, by the keys that a stream knows them by
- `rows`: an instrument master read row by row, where a broken row is reported and the rest loads
- `orders`: order states and quantities in OpenAlgo's words
- `profile`: the answer to the request for the user's profile
- `protobuf`: what simulated brokers write of it
- `order_stream`: what simulated brokers send orders on, where it carries nothing else
- `orderbook`: updates that wait for what only the order book over HTTP has
"""
