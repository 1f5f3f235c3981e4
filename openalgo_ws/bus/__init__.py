"""The bus between feeds and gateway: what travels on it, and the interface beside it."""
