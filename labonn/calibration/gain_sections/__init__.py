"""Gain of sections against current, and the coupling that it makes."""
