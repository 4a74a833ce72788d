"""Every answer of the dashboard against what the record's own tables say."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from dash_client import ask, get
from large_runs import filling, large_run, resume

from labonn.dash.details import bounds
from labonn.dash.serving import Dashboard
from labonn.record.schema import FILE

STEPS = 700


CHIP, VAPOUR, COPY = "20260101T120000Z-train_chip", "20260101T120100Z-train_vapour_cell", "20260102T120500Z-train_chip"


def rows(folder: Path, query: str, name: str = CHIP) -> list[tuple]:  # type: ignore[type-arg]
    with contextlib.closing(sqlite3.connect(folder / name / FILE)) as db:
        return db.execute(query).fetchall()


def test_runs_are_listed_newest_first_with_what_came_out_of_them(url: str, folder: Path) -> None:
    told = get(url, "/api/runs")
    assert [run["name"] for run in told["runs"]] == [COPY, VAPOUR, CHIP]
    assert told["folder"] == str(folder)
    assert told["button"] == "ready"
    assert len(told["token"]) >= 24
    one = told["runs"][-1]
    assert (one["id"], one["procedure"], one["status"], one["steps"]) == ("20260101T120000Z", "train_chip", "finished", STEPS)
    assert one["best"]["name"] == "validation_accuracy"
    (best,) = rows(folder, "SELECT max(json_extract(metrics_of, '$.validation_accuracy')) FROM steps WHERE kind = 'report'")[0]
    assert one["best"]["value"] == best
    assert (one["dry_run"], one["bench"], one["seed"], one["command"]) == (True, "lab.toml", 0, "labonn run train_chip")
    assert one["took_s"] == pytest.approx(STEPS * 0.05 + 5, abs=1e-3)


def test_a_run_tells_its_settings_instruments_metrics_and_maps(url: str) -> None:
    one = get(url, f"/api/runs/{CHIP}")
    assert (one["name"], one["status"], one["total_steps"]) == (CHIP, "finished", STEPS)
    assert one["newest"]["step"] == STEPS
    assert one["settings"]["options.lr"] == 0.01
    assert "bench_file" not in one["sessions"][0]
    assert one["hardware"]["start"]["gain"]["upper"] == 0.012
    assert one["metrics"]["step"] == ["evaluations", "gradient_cosine", "gradient_rms", "loss", "standard_error_rms"]
    assert one["metrics"]["report"] == ["epoch", "train_loss", "validation_accuracy"]
    assert one["ports"] == {"command": ["activation", "gain", "input"], "reading": ["hidden", "output"]}
    assert len(one["maps"]["theta"]["x"]) == 1631
    assert one["calibrations"] == {}
    assert one["result"]["test_accuracy"] == 0.93
    vapour = get(url, f"/api/runs/{VAPOUR}")
    assert vapour["frames"][:2] == ["weights1", "weights2"]
    assert vapour["hardware"]["start"]["weights1"]["shape"] == [128, 784]


def test_the_bench_file_and_figures_of_a_run_are_served_and_nothing_else_of_it(url: str, folder: Path) -> None:
    assert ask(url, f"/api/runs/{CHIP}/bench").body.decode() == (folder / CHIP / "bench.toml").read_text()
    picture = b"\x89PNG\r\n\x1a\nof a test"
    (folder / CHIP / "training.png").write_bytes(picture)
    (folder / CHIP / "plain.txt").write_text("no")
    (folder / "outside.png").write_bytes(picture)
    assert get(url, f"/api/runs/{CHIP}")["files"] == ["training.png"]
    served = ask(url, f"/api/runs/{CHIP}/files/training.png")
    assert (served.body, served.headers["content-type"]) == (picture, "image/png")
    for name in ("plain.txt", "settings.json", "nix.png", "..%2foutside.png", "%2e%2e/outside.png", ".png", "%00.png"):
        assert ask(url, f"/api/runs/{CHIP}/files/{name}").status == 404, name


def test_curves_hold_every_step_of_a_short_run(url: str, folder: Path) -> None:
    found = get(url, f"/api/runs/{CHIP}/curves?points=1000")
    steps = rows(folder, "SELECT entry, step, json_extract(metrics_of, '$.loss') FROM steps WHERE kind = 'step' ORDER BY entry")
    loss = found["step"]["loss"]
    assert list(zip(loss["entry"], loss["step"], strict=True)) == [row[:2] for row in steps]
    assert loss["value"] == loss["low"] == loss["high"] == pytest.approx([row[2] for row in steps], rel=1e-6)
    assert found["step"]["gradient_cosine"]["value"][0] is None  # NaN is null
    reports = rows(folder, "SELECT entry, step, json_extract(metrics_of, '$.train_loss') FROM steps WHERE kind = 'report' ORDER BY entry")
    epochs = found["report"]["train_loss"]
    assert [*zip(epochs["entry"], epochs["step"], epochs["value"], strict=True)] == reports
    entries = rows(folder, "SELECT entry, step, time, bench_s, shots, exchanges FROM steps ORDER BY entry")
    effort = found["effort"]
    assert effort["entry"] == [row[0] for row in entries]
    assert effort["shots"] == np.cumsum([row[4] for row in entries]).tolist()
    assert effort["exchanges"] == np.cumsum([row[5] for row in entries]).tolist()
    assert effort["bench_s"] == [row[3] for row in entries]
    assert effort["time"] == [row[2] for row in entries]


@pytest.mark.parametrize("points", [1, 2, 7, 50, 100, 699])
def test_thinned_curves_lose_neither_extremes_nor_means_nor_the_newest(url: str, folder: Path, points: int) -> None:
    found = get(url, f"/api/runs/{CHIP}/curves?points={points}")
    loss = found["step"]["loss"]
    assert len(loss["step"]) <= max(points, 2)
    assert loss["step"][-1] == STEPS
    values = [row[0] for row in rows(folder, "SELECT json_extract(metrics_of, '$.loss') FROM steps WHERE kind = 'step' ORDER BY entry")]
    assert min(loss["low"]) == pytest.approx(min(values), rel=1e-6)
    assert max(loss["high"]) == pytest.approx(max(values), rel=1e-6)
    ends = [0, *loss["step"]]
    for place, mean in enumerate(loss["value"]):  # steps of a stretch are those after the last one of the stretch before
        assert mean == pytest.approx(np.mean(values[ends[place] : ends[place + 1]]), rel=1e-6)
    assert found["effort"]["shots"][-1] == rows(folder, "SELECT sum(shots) FROM steps")[0][0]
    assert len(found["effort"]["entry"]) <= max(points, 2)


@pytest.mark.parametrize("since", [1, 5, 300, 706, 707, 10**12])
def test_curves_since_an_entry_are_those_that_came_after_it(url: str, folder: Path, since: int) -> None:
    everything, found = get(url, f"/api/runs/{CHIP}/curves?points=2000"), get(url, f"/api/runs/{CHIP}/curves?points=2000&since={since}")
    for kind, metric in (("step", "loss"), ("report", "train_loss")):
        whole, part = everything[kind][metric], found[kind].get(metric, {"entry": [], "value": []})
        assert part["entry"] == [entry for entry in whole["entry"] if entry > since]
        assert part["value"] == whole["value"][len(whole["value"]) - len(part["entry"]) :]
    whole, part = everything["effort"], found["effort"]
    later = [(entry, shots) for entry, shots in zip(whole["entry"], whole["shots"], strict=True) if entry > since]
    assert list(zip(part["entry"], part["shots"], strict=True)) == later


def test_ports_come_with_their_limits_and_what_they_were_told_and_read(url: str, folder: Path) -> None:
    ports = get(url, f"/api/runs/{CHIP}/ports?points=1000")
    gain, output = ports["gain"], ports["output"]
    assert (gain["kind"], gain["unit"], gain["lower"], gain["upper"]) == ("command", "A", 0, 0.012)
    assert (gain["upper_rule"], gain["driver"], gain["identity"], gain["channels"]) == ("bench.toml", "stream_dac", "emulated gain", 1631)
    assert "saturated" not in gain
    query = "SELECT entry, step, min, mean, max FROM commands JOIN steps USING (entry, step) WHERE port = 'gain' AND kind = 'step'"
    told = rows(folder, query)
    for place, name in enumerate(("entry", "step", "min", "mean", "max")):
        assert gain[name] == pytest.approx([row[place] for row in told], rel=1e-6)
    read = rows(folder, "SELECT saturated, bad FROM readings JOIN steps USING (entry, step) WHERE port = 'output' AND kind = 'step'")
    assert output["saturated"] == [row[0] for row in read]
    assert output["bad"] == [row[1] for row in read]
    few = get(url, f"/api/runs/{CHIP}/ports?points=10")
    assert len(few["output"]["max"]) <= 10
    assert max(few["output"]["max"]) == max(output["max"])
    assert sum(few["output"]["saturated"]) == sum(output["saturated"]) > 0
    ovens = get(url, f"/api/runs/{VAPOUR}/ports")["ovens"]
    assert ovens["temperature"]["high"] == [80.1] * (STEPS // 100)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"lower": 0.0, "upper": 4.0, "lower_rule": "driver", "upper_rule": "bench.toml"}, (0.0, 4.0, "driver", "bench.toml")),
        ({"lower": [0.0, -1.0], "upper": [4, 2], "lower_rule": ["a", "b"], "upper_rule": ["c", "d"]}, (-1.0, 4, "b", "c")),
        ({"lower": [-2.0, 0.0], "upper": [1.0, 5.0], "lower_rule": "a", "upper_rule": ["c", "d"]}, (-2.0, 5.0, "a", "d")),
        ({"lower": None, "upper": [1, 2, 3], "upper_rule": ["c", "d"]}, (None, 3, None, "c, d")),
        ({}, (None, None, None, None)),
    ],
)
def test_limits_of_a_port_are_those_that_no_channel_may_pass(given: dict[str, object], wanted: tuple[object, ...]) -> None:
    found = bounds(given)
    assert tuple(found[name] for name in ("lower", "upper", "lower_rule", "upper_rule")) == wanted


def test_the_newest_histogram_of_each_detector_comes_with_its_range_and_saturated_readings(url: str, folder: Path) -> None:
    found = get(url, f"/api/runs/{CHIP}/histograms")
    entry, counts = rows(folder, "SELECT entry, counts FROM histograms WHERE port = 'output' ORDER BY entry DESC LIMIT 1")[0]
    assert found["output"]["entry"] == entry
    assert found["output"]["counts"] == np.frombuffer(counts, "<u4").tolist()
    assert found["output"]["range"] == {"low": -10, "high": 10, "narrowest": 10}
    (total,) = rows(folder, "SELECT sum(saturated) FROM readings WHERE port = 'output'")[0]
    assert found["output"]["saturated_total"] == total > 0
    (now,) = rows(folder, f"SELECT saturated FROM readings WHERE port = 'output' AND entry = {entry}")[0]
    assert found["output"]["saturated"] == now
    assert found["output"]["unit"] == "V"


@pytest.mark.parametrize(("name", "port"), [(CHIP, "gain"), (VAPOUR, "weights1")])
def test_frames_come_as_bytes_between_their_lowest_and_highest_value(url: str, folder: Path, name: str, port: str) -> None:
    from labonn.record import open_record

    found = get(url, f"/api/runs/{name}/frames/{port}")
    with open_record(folder / name) as record:
        newest = record.frames(port, last=1)
    codes = np.frombuffer(base64.b64decode(found["codes"]), np.uint8)
    assert (found["entry"], found["channels"]) == (newest["entry"][0], len(codes))
    values = found["low"] + (found["high"] - found["low"]) / 255 * codes
    assert np.abs(values - newest["values"][0]).max() <= 0.51 * (found["high"] - found["low"]) / 255
    assert {0, 255} <= set(codes.tolist())
    assert found["shape"] == ([128, 784] if port == "weights1" else None)
    assert (found["lower"], found["upper"]) == ((-1, 1) if port == "weights1" else (0, 0.012))


def test_maps_are_the_newest_values(url: str, folder: Path) -> None:
    found = get(url, f"/api/runs/{CHIP}/maps/theta")
    assert len(found["values"]) == 1631
    assert found["entry"] == rows(folder, "SELECT max(entry) FROM maps")[0][0]
    assert ask(url, f"/api/runs/{CHIP}/maps/phi").json["error"] == "phi: no map is called so; maps of this run: theta"


def test_the_log_has_events_errors_and_checks(url: str) -> None:
    log = get(url, f"/api/runs/{CHIP}/log")
    assert [event["text"].splitlines()[0] for event in log["events"]] == ["planned: forward", "every actuator was made safe"]
    assert [event["event"] for event in get(url, f"/api/runs/{CHIP}/log?since_event=1")["events"]] == [2]
    assert log["checks"][0]["name"] == "drift of gain"
    assert log["errors"] == []


def test_runs_are_compared_by_what_differs(url: str, folder: Path) -> None:
    found = get(url, f"/api/compare?runs={CHIP},{COPY}")
    assert found["runs"] == [CHIP, COPY]
    assert {row["key"]: row["values"] for row in found["different"]} == {"options.lr": [0.01, 0.06], "options.seed": [0, 5]}
    assert found["same"] > 5
    with filling(folder / COPY) as db:
        db.execute("UPDATE sessions SET bench_file = replace(bench_file, '12 mA', '9 mA')")
    rows_now = get(url, f"/api/compare?runs={CHIP},{COPY}")["different"]
    assert rows_now[-1] == {"key": "bench file", "values": ['line 4: upper = "12 mA"', 'line 4: upper = "9 mA"']}
    assert ask(url, f"/api/compare?runs={CHIP}").status == 400
    assert ask(url, f"/api/compare?runs={CHIP},nix").status == 404


def test_entries_that_a_resumed_run_did_again_do_not_count(tmp_path: Path) -> None:
    folder = large_run(tmp_path, 300, ended=False)
    with Dashboard(tmp_path) as url:
        first = get(url, f"/api/runs/{folder.name}/curves?points=1000")["step"]["loss"]
        get(url, f"/api/runs/{folder.name}/ports"), get(url, f"/api/runs/{folder.name}/histograms")
        with filling(folder) as db:
            resume(db, after_step=100, steps=50)
        then = get(url, f"/api/runs/{folder.name}/curves?points=1000")
        loss = then["step"]["loss"]
        assert loss["step"] == list(range(1, 151))
        assert loss["value"][:100] == first["value"][:100]
        assert loss["value"][100:] != first["value"][100:150]
        assert max(then["report"]["epoch"]["entry"]) == 101  # that of step 200 was before the break
        assert len(get(url, f"/api/runs/{folder.name}/ports?points=1000")["output"]["step"]) == 150
        assert then["effort"]["entry"] == [*range(1, 102), *range(304, 354)]
        query = "SELECT sum(json_extract(readings_of, '$.output[7]')) FROM steps WHERE entry <= 101 OR entry >= 304"
        assert get(url, f"/api/runs/{folder.name}/histograms")["output"]["saturated_total"] == rows(tmp_path, query, folder.name)[0][0]
        assert [one["session"] for one in get(url, f"/api/runs/{folder.name}")["sessions"]] == [1, 2]


def test_curves_grow_with_the_run_and_are_those_that_are_read_at_once(tmp_path: Path) -> None:
    from large_runs import add_steps

    folder = large_run(tmp_path, 90, ended=False)
    with Dashboard(tmp_path) as url:
        for first in range(91, 6000, 731):
            with filling(folder) as db:
                add_steps(db, "train_chip", first, 731)
            grown = get(url, f"/api/runs/{folder.name}/curves?points=150")
        with Dashboard(tmp_path) as other:
            assert get(other, f"/api/runs/{folder.name}/curves?points=150") == grown
        values = [row[0] for row in rows(tmp_path, "SELECT json_extract(metrics_of, '$.loss') FROM steps WHERE kind = 'step'", folder.name)]
        assert max(grown["step"]["loss"]["high"]) == pytest.approx(max(values), rel=1e-6)
        assert grown["step"]["loss"]["step"][-1] == first + 730


@pytest.mark.parametrize(
    "query", ["curves?points=x", "curves?points=-1", "curves?since=1.5", "log?since_event=%00", "ports?points=9" + 40 * "9"]
)
def test_what_is_no_number_is_refused_in_a_sentence(url: str, query: str) -> None:
    answer = ask(url, f"/api/runs/{CHIP}/{query}")
    assert answer.status == 400
    assert "a whole number from 0 is wanted" in answer.json["error"]


@pytest.mark.parametrize("name", ["nix", "..", "%2e%2e", "..%2fruns", "%2fetc", ".", "a%00b", "%5c..", "C%3A", 300 * "x", "%ff"])
def test_no_name_leads_out_of_the_folder(url: str, name: str) -> None:
    for more in ("", "/curves", "/bench", "/files/training.png"):
        answer = ask(url, f"/api/runs/{name}{more}")
        assert answer.status == 404, answer.body
        assert answer.json["error"]


def test_pages_may_load_from_here_only_and_assets_are_asked_for_again_only_if_changed(url: str) -> None:
    page = ask(url, "/")
    assert page.status == 200
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert page.headers["cache-control"] == "no-cache"
    icon = ask(url, "/assets/icon.svg")
    assert icon.status == 200
    assert ask(url, "/assets/icon.svg", {"If-None-Match": icon.headers["etag"]}).status == 304
    assert ask(url, "/assets/../../app.py").status == 404
    assert ask(url, "/api/nix").json["error"] == "Not Found: there is no such page"
    assert json.loads(ask(url, "/api/runs").body)


def test_assets_are_among_the_files_of_the_package() -> None:
    from importlib.resources import files

    assets = files("labonn.dash") / "assets"
    assert "<html" in (assets / "index.html").read_text(encoding="utf-8").lower()
    assert any("uPlot" in path.name for path in (assets / "uplot").iterdir())
