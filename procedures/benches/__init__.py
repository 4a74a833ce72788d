"""Bench files, and the text of them for other sizes."""

from __future__ import annotations

from pathlib import Path

from procedures.benches.chips import chip_bench
from procedures.benches.simulated import simulated
from procedures.benches.vapour import vapour_cell

__all__ = ["chip_bench", "shipped", "simulated", "vapour_cell"]


def shipped(name: str) -> str:
    """The text of a bench file of this folder."""
    return (Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8")
