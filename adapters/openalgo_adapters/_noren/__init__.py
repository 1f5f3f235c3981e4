"""The Noren family: one protocol, many brokers.

Shoonya, Flattrade, Zebu and TradeSmart log in with task ``a``, Definedge and AliceBlue with the
older task ``c``; all else is the same. A broker subclasses `NorenCodec` (its URL, its login) and
`NorenServer` (its path, what it accepts), and lets `noren_adapter` declare the rest.

- `codec`: JSON text frames, deltas merged per key and family
- `orders`: order updates, also those of brokers that borrow Noren's field names
- `master`: the ``<EXCH>_symbols.txt`` files of the family
- `broker`: limits, keepalive, exchanges, credentials of the platform's rows
- `simulator`: the broker's side of it
"""
