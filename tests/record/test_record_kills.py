"""A run that is killed without warning loses no step that was on the disk, and is shown as died."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest


def kills() -> Any:
    spec = importlib.util.spec_from_file_location("record_kills", Path(__file__).with_name("kills.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("both", [False, True], ids=["run", "run and writer"])
@pytest.mark.parametrize("number", [0, 1])
def test_kill_9_at_a_random_moment_loses_no_step_that_was_on_the_disk(tmp_path: Path, number: int, both: bool) -> None:
    delay_s = random.uniform(0, 0.6)
    print(f"killed {delay_s:.3f} s after the first step")
    found = kills().kill(tmp_path, delay_s, both)
    assert found.problems == []
    assert found.told >= 1
    assert found.found - found.told <= 3  # of what was under way when the pipe was last written to


@pytest.mark.long
@pytest.mark.slow
def test_many_kills_lose_nothing(tmp_path: Path) -> None:
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert kills().kill(folder, random.uniform(0, 1.5), number % 2 == 1).problems == []
