"""Calibrations and stores say what was measured of which instrument, when, how surely, and until when it may be believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labonn.calibration import Calibration, Coefficient, Store
from labonn.cli import main

Made = Callable[..., Calibration]


def test_a_calibration_says_what_one_asks_first(calibration_like: Made) -> None:
    one = calibration_like(world="simulated bench row, seed 5")
    title, *facts = repr(one).splitlines()
    assert title == f"Calibration {one.id}: modulators of modulators"
    assert [fact.strip() for fact in facts[:6]] == [
        "modulators is DAC 1 (simulated bench row, seed 5)",
        "2 of 3 channels, mach-zehnder-field version 1",
        "fresh points: 5 a channel, at most 600 mV off (1.2 V allowed)",
        "measured 2026-03-01T12:00:00Z, believed until 2026-04-01T12:00:00Z",
        "drift check at outputs, 2 frames",
        "left out: b, dead: blocked",
    ]
    rows = {line.split()[0]: line.split() for line in facts[7:]}
    assert rows["v_pi"] == ["v_pi", "3", "3.6", "to", "3.8", "V", "3.7", "V", "10", "mV"]
    assert rows["bias"] == ["bias", "3", "-200", "to", "100", "mV", "-50", "mV", "10", "mV"]
    assert "wavelength_nm: 780.24" in one._repr_html_()


def test_its_parts_are_a_line_each(calibration_like: Made) -> None:
    one = calibration_like()
    assert repr(one.coefficients["v_pi"]) == "Coefficient: 3, 3.6 to 3.8 V"
    assert repr(one.verification) == "Verification: 5 a channel, at most 600 mV off (1.2 V allowed)"
    assert repr(one.check) == "DriftCheck: 2 frames of 4 shots at outputs, 2 x 3, 1 V"


def test_many_channels_and_nothing_known_are_told_shortly(calibration_like: Made) -> None:
    values = np.random.default_rng(0).normal(size=(1600, 1600))
    one = calibration_like(
        coefficients={"crosstalk": Coefficient(values, "1"), "dark": Coefficient(np.full(3, np.nan), "V")},
        excluded={f"ch{number}": "dead" for number in range(900)}, covariance=None, check=None, expires=None,
    )  # fmt: skip
    text = repr(one)
    assert len(text) < 1000
    for told in ("and 897 more", "no drift check", "never expires", "1600 x 1600", "not known"):
        assert told in text
    verification = replace(one.verification, largest=np.full(3, np.nan))
    assert repr(verification) == "Verification: none"


def test_a_store_says_what_is_current_and_a_damaged_one_is_no_error(tmp_path: Path, calibration_like: Made) -> None:
    store = Store(tmp_path / "cal")
    assert " ".join(repr(store).split()) == f"Store {tmp_path}/cal: 0 calibrations, 0 current"
    old, new = (calibration_like(time=f"2026-03-0{day}T12:00:00Z") for day in (1, 2))
    for one in (old, new):
        store.save(one)
    rows = repr(store).splitlines()[-2:]
    assert "2 calibrations, 1 current" in " ".join(repr(store).split())
    assert rows[1].split()[:3] == ["modulators", "modulators", new.id]
    assert rows[1].endswith("DAC 1")
    assert main(["calibrations", "rollback", "modulators", "modulators", "--calibrations", str(store.folder)]) == 0
    assert repr(store).splitlines()[-1].split()[2] == old.id
    (store.folder / "index.jsonl").write_text("nonsense\n")
    assert repr(store).startswith("Store (it cannot be shown: CalibrationError")


@pytest.mark.parametrize("values", [np.array([True, False]), np.zeros(0), np.arange(4), np.full((2, 2), np.inf)])
def test_a_coefficient_of_any_kind_can_be_looked_at(values: np.ndarray, calibration_like: Made) -> None:  # type: ignore[type-arg]
    assert "Calibration" in repr(calibration_like(coefficients={"odd": Coefficient(values, "1")}))
    assert "cannot be shown" not in repr(calibration_like(coefficients={"odd": Coefficient(values, "1")}))
