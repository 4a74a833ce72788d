"""A guardian among messages that are wrong in every way: it answers, lives, and lets nobody in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("count", [4000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_guardian_outlives_any_messages(count: int) -> None:
    script = Path(__file__).with_name("fuzz.py")
    done = subprocess.run([sys.executable, str(script), "--count", str(count)], capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the guardian lives, the lease is nobody's" in done.stdout
    assert f"'refused': {count // 20}" < done.stdout.split("answered: {")[1]  # they were wrong indeed
