"""What one looks at says what it is, in few words, without asking an instrument, and whatever state it is in."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labonn
from labonn import checkpoints
from labonn.banks import Changes, Dither
from labonn.bench import Bench
from labonn.benchfile import read
from labonn.channels import ChannelSpec
from labonn.data import load
from labonn.errors import TableError, UnknownStateError
from labonn.plans import first_table
from labonn.runs import Run
from labonn.shots import Readings, ShotTable
from labonn.showing import Sheet, Shown
from labonn.snapshots import Digests, Names, snapshot

ROW = Path(__file__).parents[2] / "procedures/benches/modulator_row.toml"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench.open(ROW, dry_run=True) as opened:
        yield opened


def looks(thing: Any) -> list[str]:
    """Lines of the text; the HTML has the same words, and nothing that a notebook would not show in its own colours."""
    html = thing._repr_html_()
    assert not re.search(r"<script|#[0-9a-f]{3,6}\b|rgb\(|background:(?!none)|(?<!-)color:(?!inherit)", html)
    lines = repr(thing).splitlines()
    assert html.count("<td") == sum(map(len, thing._seen().rows))
    assert all(len(line) <= 80 or len(line.split()) < 3 for line in lines)  # a path stays whole
    return lines


def test_a_bench_says_what_is_on_it_and_what_that_may_be_set_to(bench: Bench) -> None:
    title, triggers, head, *rows = looks(bench)
    assert f"{title} {triggers.strip()}" == "Bench modulator_row.toml: dry run (modulator_row, seed 5), 0 shots fired, outputs triggers"
    assert head.split() == ["port", "kind", "channels", "limits", "instrument"]
    assert [row.split()[:3] for row in rows] == [
        ["laser", "sources", "1"],
        ["modulators", "modulators", "32"],
        ["outputs", "detectors", "32"],
    ]
    assert "0 to 20 mA" in rows[0]
    assert rows[1].endswith(bench.ports["modulators"].identity)
    assert "driver = &quot;qontrol&quot;" in bench._repr_html_()  # the file, folded


def test_looking_at_a_bench_asks_no_instrument_and_takes_no_time(bench: Bench) -> None:
    class Refusing:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked for")

    before = bench.exchanges, bench.clock.now()
    clock, bench.clock = bench.clock, Refusing()
    try:
        for thing in (bench, bench.file, *bench.specs.values()):
            looks(thing)
    finally:
        bench.clock = clock
    assert (bench.exchanges, bench.clock.now()) == before


def test_a_closed_bench_and_one_whose_links_are_gone_can_be_looked_at() -> None:
    bench = Bench.open(ROW, dry_run=True)
    for link in bench._opened.links:
        link.close()
    with pytest.raises(UnknownStateError):
        bench.safe()
    assert looks(bench)[-1].startswith("  outputs")
    with pytest.raises(UnknownStateError):
        bench.close()
    with Bench.open(ROW, dry_run=True) as other:
        pass
    assert "closed" in " ".join(looks(other)[:2])


def test_a_bench_on_which_something_is_broken_says_so_in_place_of_raising(bench: Bench) -> None:
    bench.specs.pop("outputs")
    assert looks(bench) == ["Bench (it cannot be shown: KeyError: 'outputs')"]
    assert looks(Bench.__new__(Bench))[0].startswith("Bench (it cannot be shown: AttributeError")


def test_the_world_of_a_bench_is_told(bench: Bench) -> None:
    bench.world = ""
    assert "real instruments" in looks(bench)[0]
    bench.world = None
    assert "from a tape" in looks(bench)[0]


def test_a_shot_table_says_what_it_sends_and_how_long_it_lasts() -> None:
    bank, slow = np.linspace(-3.5, 3.5, 8 * 784, dtype=np.float32).reshape(8, 784), np.full((1, 3), 1e-3)
    table = ShotTable({"input": bank, "gain": slow}, {"input": np.repeat(np.arange(8), 20)}, 1e-5, ("forward_in",))
    title, _, first, second = looks(table)
    assert title == f"ShotTable: 160 shots of 10 us, 1.6 ms; reads forward_in; banks of {(bank.nbytes + slow.nbytes) / 1e3:.3g} kB"
    assert first.split() == ["input", "8", "rows", "784", "-3.5", "to", "3.5", "25.1", "kB", "rows", "0", "to", "7,", "some", "again"]
    assert second.split() == ["gain", "1", "row", "3", "0.001", "24", "bytes", "row", "0"]
    again = looks(ShotTable({}, {"input": np.array([3, 0, 2])}, settle=False))
    assert again[0] == "ShotTable: 3 shots of 1 us, 3 us; reads every detector; banks of 0 bytes"
    assert again[1].strip() == "held ports are not waited for when they change"
    assert again[3].split() == ["input", "in", "its", "memory", "rows", "0", "to", "3,", "mixed"]


def test_large_arrays_are_summarised_and_quickly() -> None:
    table = ShotTable({"slm": np.random.default_rng(0).random((100, 100_352), np.float32)}, {"slm": np.arange(100)})
    begin = time.perf_counter()
    lines = looks(table)
    assert time.perf_counter() - begin < 1
    assert sum(map(len, lines)) < 400


def test_banks_of_changes_and_dithers_channels_and_bench_files_are_a_line_or_a_table() -> None:
    changes = Changes(np.zeros(1601), np.arange(564)[:, None], np.full((564, 1), 0.04))
    size = changes.base.nbytes + changes.channels.nbytes + changes.values.nbytes
    assert repr(changes) == f"Changes: 564 rows of 1,601 channels, 1 change each, 0 to 0.04, {size / 1e3:.3g} kB"
    dither = Dither(np.zeros(16), np.full(16, 0.5), np.zeros((4, 2), np.uint8))
    assert repr(dither) == f"Dither: 4 rows of 16 channels, a dither, -0.5 to 0.5, {16 * 8 * 2 + 8} bytes"
    spec = ChannelSpec(("a", "b"), "V", *(np.array(bounds) for bounds in ([0.0, 0.0], [4.0, 3.0], [0, 0], [0, 1e-3])))  # type: ignore[arg-type]
    assert repr(spec) == (
        "ChannelSpec: 2 channels a to b, 0 to 4 V, not all the same (driver), held, not\n  sequenced, settles in 0 to 1 ms"
    )
    assert repr(ChannelSpec((), "V", *[np.zeros(0)] * 4)).startswith("ChannelSpec: 0 channels, none")  # type: ignore[arg-type]
    title, _, laser, *_ = looks(read(ROW))
    assert title == "BenchFile modulator_row.toml: 3 ports, simulated as modulator_row"
    assert laser.split() == ["laser", "qontrol", "serial:///dev/ttyUSB0?baud=115200"]


def test_a_run_a_checkpoint_a_snapshot_and_a_data_set_are_summarised(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "train_x", {"bench": "x"}, seed=3)
    run.metrics({"epoch": 1, "loss": 0.25})
    assert " ".join(line.strip() for line in looks(run)) == (
        f"Run {run.folder.name}: 1 row of metrics, seed 3 newest: epoch 1, loss 0.25 folder: {run.folder}"
    )
    saved = snapshot({"weights": [np.zeros(1000)]}, Names(), {}, Digests())
    assert repr(saved) == "Snapshot: weights; 2 objects, 1 array, 8 kB"
    path = checkpoints.write(run.folder, {"step": 40, "whole": True, "at": "2026-01-01T00:00:00Z"}, saved)
    assert looks(checkpoints.read(path))[0] == "Checkpoint after step 40, taken 2026-01-01T00:00:00Z"
    assert looks(load("mini"))[0] == "DataSet mini: 5,000 training and 1,000 test images of 28 x 28, 10 classes"


def test_what_stands_in_html_is_escaped() -> None:
    class Sly(Shown):
        def _sheet(self) -> Sheet:
            return Sheet("<b>", ("<i>",), ("<u>",), [("<s>",)], (), (("<p>", "<q>"),))

    html = Sly()._repr_html_()
    assert html.count("&lt;") == 6
    assert not re.search("<[iuspq]>", html)


@pytest.mark.parametrize("lengths", [(5, 5, 5), (30, 30, 60), (200, 3, 3), (90, 90, 90)])
def test_rows_of_any_length_fit_80_columns_and_the_widest_give_way(lengths: tuple[int, ...]) -> None:
    text = Sheet("title", (), ("a", "b", "c"), [["x" * length for length in lengths]]).text()
    row = text.splitlines()[-1]
    assert len(row) <= 80
    for length, cell in zip(lengths, row.split(), strict=True):
        assert cell == "x" * length or (cell.endswith("…") and len(cell) >= 8)


def test_the_first_table_of_a_plan_is_seen_without_a_bench_and_nothing_after_it_is_done() -> None:
    done: list[str] = []

    def plan() -> Iterator[ShotTable]:
        try:
            yield ShotTable({"a": np.zeros((1, 2))})
            done.append("went on")
        finally:
            done.append("closed")

    assert first_table(plan()).shots == 1  # type: ignore[arg-type]
    assert done == ["closed"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: (yield 3), "a plan yields shot tables, not int"),
        (lambda: (x for x in ()), "the plan ends without a table"),
        (lambda: len, "not builtin_function_or_method; was the function called"),
    ],
)
def test_what_is_no_plan_is_refused_with_what_it_is(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        first_table(wrong())


def test_setpoints_say_what_every_actuator_is_at(bench: Bench) -> None:
    points = labonn.Setpoints(bench, dwell_s=1e-3, shots=20)
    title, _, *rows = looks(points)
    assert title == "Setpoints of modulator_row.toml: shots of 1 ms, 20 a reading"
    assert [row.split()[2] for row in rows] == ["safe", "safe"]
    points.set({"laser": 5e-3, "modulators": np.linspace(-1, 2, 32)})
    assert [re.split(r"\s{2,}", row)[3] for row in looks(points)[2:]] == ["5 mA", "-1 to 2 V"]
    bench.safe()
    assert [row.split()[2] for row in looks(points)[2:]] == ["safe", "safe"]


def test_readings_and_other_mappings_of_arrays_stay_what_they_are(bench: Bench) -> None:
    readings: Readings = bench.play(ShotTable({"modulators": np.zeros((1, 32))}))
    assert type(readings) is dict
    assert type(readings["outputs"]) is np.ndarray


def test_labonn_has_its_most_wanted_names_at_the_top_and_imports_nothing_for_them(tmp_path: Path) -> None:
    import subprocess

    names = labonn.__all__
    assert {"Bench", "ShotTable", "open_run", "open_runs", "run"} <= set(names) <= set(dir(labonn))
    assert all(callable(getattr(labonn, name)) for name in names)
    with pytest.raises(AttributeError, match="module 'labonn' has no attribute 'Bank'"):
        _ = labonn.Bank  # type: ignore[attr-defined]
    code = "import sys, labonn; print(sorted({'numpy', 'pydantic', 'xarray', 'zmq'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[]\n"


def test_the_stub_of_the_package_names_what_the_package_has() -> None:
    stub = Path(labonn.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    assert set(re.findall(r"^from ([\w.]+) import \w+ as (\w+)$", stub, re.MULTILINE)) == {
        (place, name)
        for name, place in labonn._PLACES.items()  # type: ignore[attr-defined]
    }
