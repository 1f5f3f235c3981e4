"""The brokers, one module or folder each; found through the entry points ``openalgo_ws.adapters``."""
