"""Calibrations that were not measured, and benches to measure on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.bench import Bench
from labonn.calibration import Calibration, Coefficient, DriftCheck, Verification
from procedures.benches import shipped


def made(port: str = "modulators", serial: str = "DAC 1", v_pi: float = 3.5, **other: Any) -> Calibration:
    """A calibration of three channels."""
    three = np.array([0.1, 0.2, 0.3])
    check = DriftCheck(
        {port: np.arange(6.0).reshape(2, 3)}, {port: np.repeat([0, 1], 4)}, 1e-4, 4, "outputs", "V", np.ones((2, 3)), three[None] / 9, three
    )
    parts: dict[str, Any] = {
        "kind": "modulators", "port": port, "channels": ("a", "b", "c"), "model": "mach-zehnder-field", "version": 1,
        "coefficients": {"v_pi": Coefficient(v_pi + three, "V"), "bias": Coefficient(np.array([0.1, np.nan, -0.2]), "V")},
        "verification": Verification(5, "V", three, 2 * three, 30 * three, 4 * three),
        "instruments": {port: serial, "outputs": "ADC 7"}, "wiring": {port: "stream_dac x 3", "outputs": "stream_adc x 3"},
        "time": "2026-03-01T12:00:00Z", "parameters": ("v_pi", "bias"), "covariance": 1e-4 * np.tile(np.eye(2), (3, 1, 1)),
        "excluded": {"b": "dead: blocked"}, "conditions": {"dwell_s": 1e-4, "wavelength_nm": 780.24, "ovens_degC": [60.0]},
        "expires": "2026-04-01T12:00:00Z", "check": check,
    }  # fmt: skip
    return Calibration(**{**parts, **other})


@pytest.fixture
def calibration_like() -> Callable[..., Calibration]:
    return made


@pytest.fixture
def row_of(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Opens the bench modulator_row in a dry run, with more lines for its last table."""
    opened: list[Bench] = []

    def open_row(*lines: str, seed: int = 5) -> Bench:
        path = tmp_path / "row.toml"
        path.write_text(shipped("modulator_row") + "\n".join(lines))
        opened.append(Bench.open(path, dry_run=True, seed=seed))
        return opened[-1]

    yield open_row
    for bench in opened:
        bench.close()


def small_bank(lines: str, channels: int, driver: str = "stream_dac") -> str:
    """The shipped bank with fewer heaters, as much light on each, and more lines for its last table."""
    text = shipped("heater_bank").replace("channels = 64", f"channels = {channels}").replace("crosstalk = 0.01\n", "")
    text = text.replace("v_per_w = 16000.0", f"v_per_w = {250.0 * channels}")
    if driver == "qontrol":
        text = text.replace('driver = "stream_dac"', 'driver = "qontrol"\nmode = "voltage"').replace("bits = 16\nlower", "lower")
        text = text.replace('link = "zmq://127.0.0.1:5570"', 'link = "serial:///dev/ttyUSB1?baud=115200"')
    return text + lines + "\n"


@pytest.fixture
def bank_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Banks of heaters, of as many as the module's CHANNELS."""
    opened: list[Bench] = []

    def open_bank(lines: str = "", seed: int = 5, channels: int = request.module.CHANNELS, **other: Any) -> Bench:
        path = tmp_path / "bank.toml"
        path.write_text(small_bank(lines, channels, **other))
        opened.append(Bench.open(path, dry_run=True, seed=seed))
        return opened[-1]

    yield open_bank
    for bench in opened:
        bench.close()
