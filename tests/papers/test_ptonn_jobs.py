"""Jobs of the experiments on chips: what they share, and that the simulated chips are what they ask for."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from labonn.benchfile import parse
from labonn.chip_setup import pooled
from labonn.chips import ChipOptics
from labonn.curves import Section
from labonn.reproduce import Choices
from labonn.reproduce.twins import POOLS
from labonn.twin import Sigmoid, network
from labonn.twin.passes import forward
from procedures.benches import chip_bench
from procedures.papers import (
    ptonn_ablation,
    ptonn_evaluations,
    ptonn_fig3a,
    ptonn_fig3b,
    ptonn_fig4a,
    ptonn_fig4b,
    ptonn_fig5,
    ptonn_methods,
    ptonn_power,
)
from procedures.train_chip import simulated
from sim_backends.benches.chip_settings import ChipSettings

MINI, QUICK = Choices(data="mini"), Choices(quick=True)


def keys(cases: dict[str, list[Any]]) -> set[str]:
    return {job.key for jobs in cases.values() for job in jobs}


def test_trainings_are_those_of_the_paper_and_done_once_for_all_experiments() -> None:
    chips = ptonn_fig4a.cases(MINI)
    assert [job.seed for job in chips["theta"]] == [0, 1, 2]
    procedure, options = chips["theta"][0].settings["steps"][0]
    assert procedure == "train_chip"
    assert (options["gradient"], options["steps"], options["train"]) == ("central", 1500, "theta")
    assert keys(ptonn_fig5.cases(MINI)) < keys(chips)
    assert keys(ptonn_power.cases(MINI)) < keys(chips) | keys(ptonn_fig3b.cases(MINI))
    picked = chips.pop("picked")
    assert [options["subsample"] for _, options in picked[0].settings["steps"]] == ["pick", "pick"]
    assert keys(ptonn_evaluations.cases(MINI)) == keys(chips) | keys({"": ptonn_fig3b.cases(MINI)["real"]}) | keys(
        ptonn_methods.cases(MINI)
    )


def test_a_quick_look_is_short() -> None:
    modules = (ptonn_ablation, ptonn_evaluations, ptonn_fig3b, ptonn_fig4a, ptonn_fig4b, ptonn_fig5, ptonn_methods, ptonn_power)
    jobs = {job.key: job for module in modules for some in module.cases(QUICK).values() for job in some}
    assert len(jobs) < 20
    assert sum(job.cost for job in jobs.values()) < 240


def test_each_method_has_the_same_bench_time() -> None:
    times = {job.settings["steps"][0][1]["hardware_time"] for jobs in ptonn_methods.cases(MINI).values() for job in jobs}
    assert len(times) == 1


def settings(kind: str, simulation: list[str], ideal: bool = False) -> ChipSettings:
    file = parse(chip_bench(ptonn_ablation.BENCHES[kind]) + simulated(simulation), "bench.toml")
    return ChipSettings.of(file, ChipOptics.of(file), ideal)


@pytest.mark.parametrize("kind", ["PT", "MZI"])
def test_all_groups_off_leave_only_what_is_no_group(kind: str) -> None:
    every = [key for group in ptonn_ablation.OFF[kind].values() for key in group]
    off, ideal = (dataclasses.asdict(one) for one in (settings(kind, every), settings(kind, [], ideal=True)))
    left = {
        f"{part}.{name}"
        for part in off
        for name in (off[part] if isinstance(off[part], dict) else ())
        if off[part][name] != ideal[part][name]
    }
    known = {"PT": {"sections.saturation_w"}, "MZI": set()}[kind]
    of_other = {"PT": "heaters.", "MZI": "sections."}[kind]
    meant = {name for name in left if not name.startswith((of_other, "splitters."))}
    assert known <= meant, "amplifiers saturate, which is no group"
    assert meant - known <= {"heaters.resistance_slope_per_w"} | MUTED, "what has no effect where its cause is off"


MUTED = {
    "detectors.bandwidth_hz", "detectors.rin_db_per_hz", "detectors.dark_current_a", "detectors.temperature_k", "laser.bandwidth_hz",
    "laser.lock_s", "laser.power_relax_s", "modulators.bias_relax_s", "detectors.dark_relax_s", "detectors.rejection_db",
}  # fmt: skip


def test_offsets_of_theta_are_what_the_spread_of_a_section_makes_of_them() -> None:
    section, spread = Section(), 1e-5
    moved = dataclasses.replace(section, zero_gain_a=section.zero_gain_a * (1 + spread))
    slope = (section.theta(np.array(5e-3)) - moved.theta(np.array(5e-3))) / spread
    assert slope == pytest.approx(ptonn_fig4b.RAD_PER_SPREAD, rel=1e-4)
    assert max(ptonn_fig4b.OFFSETS) / ptonn_fig4b.RAD_PER_SPREAD <= 0.3 + 1e-9, "the most that a bench takes"


def test_the_digital_network_sees_the_pixels_that_the_chip_sees() -> None:
    job = ptonn_fig3a.cases(QUICK)["sgd"][0]
    net = network(job.settings["network"], Sigmoid(), POOLS[job.settings["pool"]])
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    inputs = np.ascontiguousarray(images.transpose(1, 2, 0)[None] / 255.0)
    trace = forward(net, net.split(np.zeros(net.count)), inputs)
    np.testing.assert_allclose(trace.arriving[2].reshape(49, 5), pooled(images, 28, 28, 49).T, rtol=1e-5)
    assert net.count == 49 * 20 + 20 * 10
