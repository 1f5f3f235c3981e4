"""Users, their API keys and their broker sessions: OpenAlgo's tables, read as they are."""
