"""Looking after a running server: its status, and warnings."""
