"""What `--plan` forecasts, against what the same run then does; and that nothing but simulated instruments is touched."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labonn.links
from labonn.banks import Changes
from labonn.channels import ChannelSpec
from labonn.cli import main
from labonn.cli.run_options import check, parser_of
from labonn.errors import BenchFileError, LabonnError
from labonn.planned.margins import Reached
from labonn.planned.plan import Plan
from labonn.planned.planning import plan_of
from labonn.planned.tally import grown
from labonn.planned.world import lit
from labonn.procedures import load
from procedures.benches import vapour_cell

VAPOUR = ["train_vapour_cell", "--hidden", "8", "--limit", "960", "--epochs", "5", "--batch", "32"]
CHIP = [
    "train_chip",
    "--sizes",
    "16",
    "10",
    "10",
    "--steps",
    "30",
    "--report",
    "5",
    "--gradient",
    "central",
    "--limit",
    "200",
    "--batch",
    "8",
]
SWEEP = '''"""Sweeps a port up to --top volts, in 40 tables."""
import numpy as np
from labonn.shots import ShotTable

def options(parser):
    parser.add_argument("--top", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=0)

def plan(top):
    for i in range(40):
        levels = np.linspace(0, top * (i + 1) / 40, 16)[:, None] * np.ones((1, 4))
        yield ShotTable({"a": levels}, {"a": np.arange(16)}, 1e-3)

def main(bench, args, run):
    if not args.steps:
        bench.run(plan(args.top))
        return {"shots": bench.shots, "exchanges": bench.exchanges, "bench_time_s": bench.clock.now()}
    with run.progress(args.steps) as progress:
        for number in range(args.steps):
            bench.run(plan(args.top))
            run.step(number + 1)
            if number % 5 == 4:
                run.metrics({"step": number})
'''
BENCH = """[ports.a]
driver = "stream_dac"
link = "zmq://127.0.0.1:9"
channels = 4
upper = "5 V"
[ports.b]
driver = "stream_adc"
link = "zmq://127.0.0.1:10"
channels = 2
role = "trigger"
"""


def planned(words: list[str]) -> Plan:
    procedure = load(words[0])
    args = parser_of(procedure).parse_args(words)
    check(args, procedure)
    return plan_of(procedure, args)


def result(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["run", *words, "--dry-run", "--json", "--out", str(tmp_path / "runs")]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["result"]
    return found


@pytest.fixture
def sweep(tmp_path: Path) -> list[str]:
    (tmp_path / "sweep.py").write_text(SWEEP)
    (tmp_path / "lab.toml").write_text(BENCH)
    return [str(tmp_path / "sweep.py"), "--bench", str(tmp_path / "lab.toml"), "--plan"]


@pytest.mark.parametrize("words", [CHIP, pytest.param(VAPOUR, marks=pytest.mark.slow)], ids=["chip", "vapour"])
def test_a_forecast_from_few_steps_is_what_the_dry_run_then_does(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forecast, found = planned([*words, "--plan"]), result(words, tmp_path, capsys)
    assert forecast.tried < forecast.steps == found["steps"]
    assert forecast.to_end
    for kind, value in (("shots", found["shots"]), ("exchanges", found["exchanges"]), ("bench_s", found["bench_time_s"])):
        assert forecast.total[kind] == pytest.approx(value, rel=0.03), kind


def test_a_plan_without_steps_is_played_whole_and_exact(sweep: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lab.toml").write_text(BENCH + '[simulation]\nbench = "desk"\n')
    forecast, found = planned(sweep), result(sweep[:-1], tmp_path, capsys)
    assert (forecast.steps, forecast.to_end, forecast.borrowed) == (0, True, False)
    assert (forecast.total["shots"], forecast.total["exchanges"]) == (found["shots"], found["exchanges"])
    assert forecast.total["bench_s"] == pytest.approx(found["bench_time_s"], rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["train_chip", "--steps", "150", "--limit", "2000"], ["compare_gradients", "--methods", "central", "auto"]]
)
def test_a_forecast_of_a_gradient_that_is_planned_is_near_too(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forecast, found = planned([*words, "--plan"]), result(words, tmp_path, capsys)
    assert forecast.total["bench_s"] == pytest.approx(found["bench_time_s"], rel=0.05)


def test_steps_of_any_procedure_are_extrapolated_in_proportion(sweep: list[str]) -> None:
    forecast = planned([*sweep, "--steps", "1000"])
    assert 10 <= forecast.tried < 1000 == forecast.steps
    assert not forecast.to_end
    port = forecast.ports[0]
    assert (port.tables, port.shots, port.rows) == (40_000, 640_000, 640_000)
    assert forecast.total["bench_s"] == pytest.approx(640.0, rel=0.05)  # shots of 1 ms, and what exchanges take


def test_no_link_of_the_bench_file_is_opened_and_nothing_is_left(
    sweep: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def touched(*_: Any, **__: Any) -> Any:
        raise AssertionError("a link was opened")

    monkeypatch.setattr(labonn.links, "import_module", touched)  # of all transports
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(["run", *sweep]) == 0
    assert sorted(path.name for path in tmp_path.rglob("*") if "__pycache__" not in str(path)) == before
    with pytest.raises(AssertionError, match="a link was opened"):
        main(["run", *sweep[:-1], "--no-guardian"])
    out = capsys.readouterr().out
    assert "no instrument was touched" in out
    assert max(map(len, out.splitlines())) <= 80


def test_what_would_be_refused_is_told_with_exit_code_2(sweep: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *sweep, "--top", "6"]) == 2
    captured = capsys.readouterr()
    assert "a/ch0: 5.1 V in row 15 is outside -10 to 5 V (lab.toml)" in captured.err
    assert "planned no further than that, after 33 tables; the bench would refuse it before any byte is sent" in captured.err
    assert "4.95 V" in captured.out  # the highest of those that would pass


def test_a_value_near_a_limit_is_marked_with_whose_limit_it_is(sweep: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *sweep, "--top", "4.9"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "0 to 4.9 V" in line)
    assert line.endswith("0.67 % near  ch0, lab.toml")
    assert main(["run", *sweep, "--top", "2"]) == 0
    assert "near" not in capsys.readouterr().out


def test_joint_limits_interlocks_and_slews_are_told(tmp_path: Path, sweep: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    more = '[[limits]]\nports = ["a"]\npower = "0.2 W"\nresistance = "1 kohm"\n[[interlocks]]\nport = "b"\nupper = "11 V"\n'
    (tmp_path / "lab.toml").write_text(BENCH.replace('upper = "5 V"', 'upper = "5 V"\nslew = "1e5 V/s"') + more)
    assert main(["run", *sweep]) == 0
    out = capsys.readouterr().out
    assert "limits[0] (a): at most 64 mW of 200 mW, 68 % left (lab.toml)" in out  # 4 channels of (4 V)^2 / 1 kohm
    assert "interlocks[0]: b, every channel: reading at most 11 V" in out
    assert "slew of a 100 kV/s: no table is faster" in out


def test_json_has_ports_margins_and_totals(sweep: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *sweep, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["ports"][0]["margin"]["highest"] == 4.0
    assert plan["ports"][1]["margin"] is None
    assert plan["ports"][0]["sent"] > 16 * 4 * 2 * 40  # frames of 16-bit codes
    assert plan["total"]["shots"] == 640


def test_a_plan_writes_no_calibration(tmp_path: Path) -> None:
    assert planned(["calibrate_modulators", "--bench", "modulator_row", "--calibrations", str(tmp_path / "cal"), "--plan"]).problem is None
    assert not (tmp_path / "cal").exists()


@pytest.mark.parametrize("more", [["--resume", "latest"], ["--dry-run", "--fault", "gain:timeout@3"], ["--dry-run", "--served"]])
def test_a_plan_is_of_a_new_run_without_faults(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "train_chip", "--plan", *more]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_bench_file_without_light_borrows_that_of_a_simulated_bench_which_takes_its_ports() -> None:
    text = vapour_cell([20, 8, 4]).partition("[simulation]")[0]
    made, light, borrowed = lit(text, "lab.toml", ["mzi_chip"])
    assert (light, borrowed) == ("vapour_cell", True)
    assert lit(made, "lab.toml")[1:] == ("vapour_cell", False)
    assert lit(text + "[simulation]\nseed = 3\n", "lab.toml")[0].endswith('[simulation]\nbench = "vapour_cell"\nseed = 3\n')
    assert lit(BENCH + '[ports.c]\ndriver = "slm_monitor"\nlink = "monitor://1"\nshape = [2, 2]\n', "lab.toml")[1] == "unlit"


def test_a_wrong_bench_file_is_told_as_for_a_run(tmp_path: Path, sweep: list[str]) -> None:
    (tmp_path / "lab.toml").write_text(BENCH.replace('"5 V"', '"50 V"'))
    with pytest.raises(BenchFileError, match=r"ports\.a\.upper = 50 V"):
        planned(sweep)
    (tmp_path / "lab.toml").write_text(BENCH.replace("channels = 4", "chanels = 4"))
    with pytest.raises(LabonnError, match="did you mean 'channels'"):
        planned(sweep)


def test_margins_are_those_of_the_nearest_channel_and_rest_at_zero_is_not_near() -> None:
    spec = ChannelSpec(("x", "y"), "V", np.array([0.0, -2.0]), np.array([10.0, 2.0]), 0.0, 0.0, 8, ("driver",), ("driver", "lab.toml"))
    reached = Reached(spec)
    reached.add(np.array([[0.0, 0.0], [9.0, -1.0]]))
    assert (reached.margin(spec).left, reached.margin(spec).channel, reached.margin(spec).near) == (pytest.approx(0.1), "x", False)
    reached.add(Changes(np.array([0.0, 0.0]), np.array([[1], [1]]), np.array([[1.9], [0.0]])))
    margin = reached.margin(spec)
    assert (margin.left, margin.channel, margin.rule, margin.near) == (pytest.approx(0.025), "y", "lab.toml", True)
    assert (margin.lowest, margin.highest) == (-1.0, 9.0)


def test_counts_grow_by_what_the_repeated_part_added() -> None:
    assert grown({("a", "x"): 10.0, ("b", "x"): 4.0}, {("a", "x"): 2.0}, {("a", "x"): 5.0}, 2.0) == {("a", "x"): 16.0, ("b", "x"): 4.0}


def test_options_of_a_trial_are_few_steps_that_show_all() -> None:
    hook = load("compare_gradients").hook("few_steps")
    assert hook is not None
    few = hook(argparse.Namespace(times=6, reference=24))
    assert (few.options, few.times) == ({"times": 2, "reference": 8}, 3.0)
