"""Procedures: plans with a main, a page each. Found by entry point or by path."""
