"""Instrument drivers: one file an instrument, bytes out and in. Found by entry point, never imported by the core."""
