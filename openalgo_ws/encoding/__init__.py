"""Ticks as bytes, and back. Pure functions."""
