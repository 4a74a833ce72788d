"""The bench "desk": standard instruments coupled by light, as plans, as served, and as a stranger's PyVISA program see them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.bench import Bench
from labonn.errors import BenchFileError
from labonn.shots import ShotTable, outer
from sim_backends.physics.desk import DeskLight, DeskSettings

FILE = Path(__file__).parents[2] / "procedures/benches/desk.toml"
STREAM = """
[ports.gain]
driver = "qontrol"
link = "serial:///dev/ttyUSB0"
channels = 2
[ports.beams]
driver = "stream_dac"
link = "zmq://127.0.0.1:5571"
channels = 3
[ports.seen]
driver = "stream_adc"
link = "zmq://127.0.0.1:5572"
channels = 3
role = "trigger"
[simulation]
bench = "desk"
"""


def desk(tmp_path: Path, text: str = "", **options: Any) -> Bench:
    path = tmp_path / "desk.toml"
    path.write_text(text or FILE.read_text())
    return Bench.open(path, dry_run=True, **options)


def held(bench: Bench, amperes: float, celsius: float = 25.0) -> float:
    """Watts at the power meter at this current and temperature."""
    banks = {"laser": np.array([[amperes]]), "cooler": np.array([[celsius]])}
    return float(bench.play(ShotTable(banks, dwell_s=0.01, read=("power",)))["power"][0, 0])


def test_a_laser_gives_light_above_its_threshold_and_none_when_it_is_off(tmp_path: Path) -> None:
    with desk(tmp_path, ideal=True) as bench:
        watts = [held(bench, amperes) for amperes in (0.0, 0.01, 0.02, 0.03, 0.04)]
    assert watts[0] == pytest.approx(0, abs=1e-6)
    assert watts[1] == pytest.approx(2e-3 * 0.01, rel=0.1)
    assert watts[4] - watts[3] == pytest.approx(0.25 * 0.01, rel=0.02)


def test_a_warmer_laser_has_a_higher_threshold(tmp_path: Path) -> None:
    with desk(tmp_path, ideal=True) as bench:
        cold, warm = held(bench, 0.04), held(bench, 0.04, 40.0)
    assert cold - warm == pytest.approx(0.25 * 0.02 * (np.exp(15 / 60) - 1), rel=0.05)


def test_modulators_play_their_rows_in_order_and_detectors_see_them(tmp_path: Path) -> None:
    rows = np.array([[0.0, 3.5], [3.5, 0.0], [1.75, 1.75]])
    with desk(tmp_path, ideal=True) as bench:
        banks = {"laser": np.array([[0.05]]), "cooler": np.array([[25.0]]), "modulators": rows}
        orders = {"laser": np.zeros(6, int), "cooler": np.zeros(6, int), "modulators": np.array([0, 1, 2, 2, 1, 0])}
        seen = bench.play(ShotTable(banks, orders, 1e-3, ("outputs",)))["outputs"]
    watts = 2e-3 * 0.02 + 0.25 * 0.03
    full = watts / 2 * 10**-0.3 * 50
    leak = 10**-2.5
    wanted = full * np.array([[leak, 1], [1, leak], [(1 + leak) / 2] * 2, [(1 + leak) / 2] * 2, [1, leak], [leak, 1]])
    assert np.abs(seen - wanted).max() < 0.03 * full


def test_hidden_truths_follow_from_the_seed(tmp_path: Path) -> None:
    watts = []
    for seed in (1, 1, 2):
        with desk(tmp_path, seed=seed) as bench:
            watts.append(held(bench, 0.05))
    assert watts[0] == watts[1]
    assert abs(watts[2] / watts[0] - 1) > 1e-3


def test_streaming_converters_and_a_chain_of_sources_are_coupled_too(tmp_path: Path) -> None:
    with desk(tmp_path, STREAM, ideal=True) as bench:
        banks = {"gain": np.array([[0.02, 0.02], [0.02, 0.024]]), "beams": np.array([[3.5, 0.0, 3.5]])}
        seen = bench.play(outer(slow={"gain": banks["gain"]}, fast={"beams": banks["beams"]}, dwell_s=1e-6))["seen"]
    light = DeskLight(2, 3, DeskSettings().ideal(), 0)
    wanted = [light.detected_v(light.arms_w(light.laser_w(row).sum(), banks["beams"][0])) for row in banks["gain"]]
    assert seen == pytest.approx(np.array(wanted), abs=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed = 3", "seed = -3", "simulation.seed = -3: a whole number from 0"),
        ('before = ["power"]', 'before = ["laser"]', r"before = \['laser'\]: a list of detector ports is wanted; there are power, outputs"),
        ("threshold_a", "treshold_a", "simulation.desk.treshold_a = 0.02: unknown key; did you mean 'threshold_a'"),
        ("slope_w_per_a = 0.25", "slope_w_per_a = -1.0", "slope_w_per_a"),
    ],
)
def test_a_wrong_setting_is_told_with_what_is_allowed(old: str, new: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(BenchFileError, match=told):
        desk(tmp_path, FILE.read_text().replace(old, new))


def test_a_port_that_a_desk_has_not_is_refused(tmp_path: Path) -> None:
    slm = '[ports.power]\ndriver = "slm_monitor"\nlink = "monitor://1"\nshape = [2, 2]\npanel = [8, 8]\n\n'
    text = re.sub(r"(?s)\[ports.power\].*?\n\n", slm, FILE.read_text())
    with pytest.raises(BenchFileError, match=r"ports.power: the simulated bench 'desk' has no SpatialLightModulator"):
        desk(tmp_path, text)
