"""Measured weight matrices against believed ones."""
