"""NATS as a client sees it, without I/O: its lines (`protocol`) and its Ed25519 keys (`nkey`)."""
