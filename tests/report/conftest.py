"""Reports whose figures are drawn, but not rendered."""

from __future__ import annotations

import pytest


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, which may fail, but not turned into a file, which takes long."""
    monkeypatch.setattr("labonn.report.pictures.inline_svg", lambda figure, prefix: f"<svg id='{prefix}'></svg>")
