"""Simulated benches: the only place where firmware and physics meet."""
