"""Bench files, and the text of them for other sizes."""

from __future__ import annotations

from procedures.benches.chips import chip_bench
from procedures.benches.vapour import vapour_cell

__all__ = ["chip_bench", "vapour_cell"]
