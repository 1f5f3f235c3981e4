"""Instrument masters: the database's rows, an index in memory, and how both are kept fresh."""
