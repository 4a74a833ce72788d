"""Simulated instruments (firmware), simulated light (physics), and the benches where the two meet."""
