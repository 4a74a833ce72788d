"""How often a training step talks to the instruments, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("derivative", "error", "most"),
    [
        ("optical", "digital", 16),
        ("optical", "optical", 16),
        ("corrected", "digital", 18),
        ("corrected", "optical", 16),
        ("exact", "digital", 20),  # a trip more: the error is detected before the last cell and sent on from there
        ("exact", "optical", 20),
    ],
)
def test_a_step_takes_as_many_exchanges_for_512_images_as_for_8(rig_of: Callable[..., Any], derivative: str, error: str, most: int) -> None:
    rig = rig_of(images=1024)
    rig.bench.confirm = lambda: None  # once a plan, which is an epoch
    rig.step(derivative, error, np.arange(8))  # loads what stays loaded
    rig.step(derivative, error, np.arange(8))
    counts = []
    for batch in (8, 512, 8, 512, 1):
        before = rig.bench.exchanges
        rig.step(derivative, error, np.arange(batch))
        counts.append(rig.bench.exchanges - before)
    assert len(set(counts)) == 1, counts
    assert 10 <= counts[0] <= most


def test_a_plan_is_confirmed_by_few_exchanges_at_its_end(rig_of: Callable[..., Any]) -> None:
    rig = rig_of()
    rig.step("exact", "digital", np.arange(8))
    before = rig.bench.exchanges
    rig.bench.confirm()
    assert rig.bench.exchanges - before == 2, "the currents and the ovens; the modulators' tables are confirmed already"


def test_weights_that_did_not_change_are_not_sent_again(rig_of: Callable[..., Any]) -> None:
    rig = rig_of()
    shown = [slm.version for port in rig.network.layers.weights() for slm in rig.emulators(port)]
    rig.step("optical", "digital", np.arange(8), show=False)
    rig.step("optical", "digital", np.arange(8), show=False)
    first = [slm.version for port in rig.network.layers.weights() for slm in rig.emulators(port)]
    rig.step("optical", "digital", np.arange(8))
    rig.step("optical", "digital", np.arange(8))
    second = [slm.version for port in rig.network.layers.weights() for slm in rig.emulators(port)]
    assert first == shown
    assert second == [version + 2 for version in shown]


def test_images_go_into_the_input_memory_once(rig_of: Callable[..., Any]) -> None:
    rig = rig_of()
    (dac,) = rig.emulators("input")
    version = dac.bank_version
    for start in range(0, 40, 8):
        rig.step("optical", "digital", np.arange(start, start + 8))
    assert dac.bank_version == version
