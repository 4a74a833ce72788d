"""Jobs of the experiments on Guo et al.'s networks: the paper's recipe, what they share, and that everything takes their settings."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import pytest
from guo_hand_made import whole

from labonn.benchfile import parse
from labonn.reproduce import Choices
from labonn.reproduce.twins import activation, method
from labonn.sweeps import Job
from labonn.twin import CNN, Absorber, Method, Recipe, network
from labonn.twin.starts import start_weights
from procedures import calibrate_all, train_convolution, train_vapour_cell
from procedures.papers import (
    guo_ablation,
    guo_bench,
    guo_cells,
    guo_fig3,
    guo_fig4a,
    guo_fig4b,
    guo_fig4b_emnist,
    guo_fig4b_kmnist,
    guo_fig5,
    guo_table1,
)
from sim_backends.benches.vapour_light import PARTS, LightSettings

MODULES = (
    guo_fig4a, guo_fig4b, guo_fig4b_kmnist, guo_fig4b_emnist, guo_table1, guo_fig5, guo_cells, guo_bench, guo_ablation,
)  # fmt: skip
RECIPE = ("epochs", "batch", "learning_rate", "optimizer", "start", "spread", "centre")
PROCEDURES = {"train_vapour_cell": train_vapour_cell, "calibrate_all": calibrate_all, "train_convolution": train_convolution}


@pytest.fixture
def full(tmp_path: Path) -> Choices:
    return whole(tmp_path, "kmnist", "emnist")


def all_jobs(module: Any, choices: Choices) -> list[Job]:
    return [job for jobs in module.cases(choices).values() for job in jobs]


def recipe_of(job: Job) -> Recipe:
    """What a job of the twin trains with, as its work makes it."""
    settings = dict(job.settings)
    return Recipe(method=method(settings), seed=job.seed, **{name: settings[name] for name in RECIPE if name in settings})


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("quick", [False, True])
def test_networks_and_recipes_of_all_jobs_of_the_twin_exist(module: Any, quick: bool, full: Choices) -> None:
    choices = Choices(quick=True, data=full.data) if quick else full
    for job in all_jobs(module, choices):
        if job.work.endswith(":twin"):
            assert network(job.settings["network"], activation(job.settings["activation"])).count > 0
            assert recipe_of(job).epochs >= 1


@pytest.mark.parametrize("module", MODULES)
def test_procedures_know_all_options_that_jobs_give_them(module: Any, full: Choices) -> None:
    known: dict[str, set[str]] = {}
    for name, procedure in PROCEDURES.items():
        parser = argparse.ArgumentParser()
        procedure.options(parser)
        known[name] = {action.dest for action in parser._actions} | {"ideal", "bench"}  # options that every procedure has
    steps = [step for job in all_jobs(module, full) for step in job.settings.get("steps", ())]
    assert all(set(options) <= known[name] for name, options in steps)


def test_the_convolutional_networks_are_trained_as_appendix_a_says(full: Choices) -> None:
    cases = guo_fig4b.cases(full)
    optical, relu = cases["sa"][2], cases["relu"][0]
    assert recipe_of(optical) == Recipe(epochs=40, method=Method(white=5.0), seed=2)
    assert network(optical.settings["network"], activation(optical.settings["activation"])) == network(CNN, Absorber(10.0))
    assert recipe_of(relu) == Recipe(epochs=20, method=Method("exact", "cross_entropy"), seed=0)
    small = cases["sa-small"][0]
    assert recipe_of(small) == Recipe(epochs=40, method=Method(white=5.0), start="normal", spread=[0.1, 0.1, 0.01, 0.01], seed=0)
    net = network(CNN, Absorber(10.0))
    drawn = net.split(start_weights(net, 0, "normal", spread=small.settings["spread"]))
    assert [float(w.std()) for w in drawn if w is not None] == pytest.approx([0.1, 0.1, 0.01, 0.01], rel=0.05)
    assert guo_fig4b_emnist.cases(full)["sa"][0].settings["network"].endswith("-128-47")


def test_connected_networks_have_fifty_epochs_and_the_papers_depths(full: Choices) -> None:
    for kind, jobs in list(guo_fig4a.cases(full).items())[:2]:
        (_, options), *_ = jobs[0].settings["steps"]
        assert (options["hidden"], options["optical_depth"], options["epochs"], options["derivative"]) == ([128, 128], 30.0, 50, kind)
    (_, options), *_ = guo_fig5.cases(full)["bench"][0].settings["steps"]
    assert (options["cell"], options["optical_depth"], options["epochs"]) == ("gain", 3.0, 50)


def test_the_same_training_of_two_experiments_is_one_job(full: Choices) -> None:
    ideal = guo_fig3.cases(full)["optical"]
    assert guo_table1.cases(full)["bench ideal"] == ideal == guo_bench.cases(full)["784-128-10 ideal"]
    assert guo_fig5.cases(full)["relu"] == guo_fig4a.cases(full)["relu"]


def test_costly_cases_have_one_seed_unless_seeds_are_asked_for(tmp_path: Path) -> None:
    few = whole(tmp_path)
    assert [len(guo_fig4b.cases(few)[case]) for case in ("sa", "tanh")] == [3, 1]
    assert len(guo_fig4b.cases(Choices(data=few.data, seeds=2))["tanh"]) == 2
    assert len(guo_table1.cases(Choices(data=few.data, given={"bench_seeds": "3"}))["bench noise5"]) == 3


def test_quick_versions_of_all_take_less_than_four_minutes_by_their_own_account() -> None:
    jobs = {job for module in MODULES for job in all_jobs(module, Choices(quick=True))}
    start_s = 2.0  # of a process
    assert sum(job.cost + start_s for job in jobs) < 240


def settings_of(bench: str) -> LightSettings:
    return LightSettings.of(parse(bench, "bench.toml"), ideal=False)


def test_an_imperfection_that_is_off_is_off_as_on_the_ideal_bench(full: Choices) -> None:
    away = guo_ablation.cases(full)["none"][0].settings["steps"][0][1]["simulate"]
    tables: dict[str, dict[str, Any]] = {}
    for pair in away:
        part, _, rest = pair.partition(".")
        name, _, value = rest.partition("=")
        tables.setdefault(part, {})[name] = tomllib.loads(f"value = {value}")["value"]
    for part, values in tables.items():
        assert PARTS[part](**values) == PARTS[part].ideal(), part
    assert set(PARTS) - set(tables) == {name for name, kind in PARTS.items() if kind() == kind.ideal()}, "others have none by default"


def test_strong_defects_are_those_of_the_shipped_bench_and_each_case_has_its_own(full: Choices) -> None:
    def pairs(case: str) -> dict[str, str]:
        return dict(pair.split("=", 1) for pair in guo_ablation.cases(full)[case][0].settings["steps"][0][1].get("simulate", ()))

    shipped = tomllib.loads(Path(guo_bench.__file__).parents[1].joinpath("benches", "vapour_defects.toml").read_text())["simulation"]
    wanted = {
        f"{part}.{name}": str(value) for part, values in shipped.items() if isinstance(values, dict) for name, value in values.items()
    }
    assert pairs("all") == {}
    assert pairs("strong all") == wanted
    assert pairs("strong without slm")["slm.pixel_scale"] == "0"
    assert pairs("strong only slm")["slm.pixel_scale"] == wanted["slm.pixel_scale"]
    assert pairs("strong only slm")["ovens.sensor_offset_k"] == "0"


def test_the_larger_bench_has_all_defects_of_the_shipped_one() -> None:
    text = guo_bench.defective([784, 128, 10])
    shipped = Path(guo_bench.__file__).parents[1].joinpath("benches", "vapour_defects.toml").read_text()
    assert settings_of(text) == settings_of(shipped) != LightSettings()
    assert tomllib.loads(text)["ports"]["weights1"]["shape"] == [128, 784]
