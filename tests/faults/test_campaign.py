"""The fault campaign: some cases of every bench always, all of them when asked for; and that its judges would notice."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import benches
import pytest
from campaign import judged, table
from cases import Case, cases_of
from judging import FAILED, RECOVERED, TOLD, Verdict, judge
from running import Seen, reference, run, same

SOME = 4  # cases of a bench in the fast suite
BASE = list(benches.TEXTS)


@cache
def whole(bench: str) -> Seen:
    return reference(bench)


def failures(cases: list[Case]) -> list[str]:
    verdicts = [(case, judged(case, {case.bench: whole(case.bench)})) for case in cases]
    return [f"{case.name}: {verdict.why}" for case, verdict in verdicts if verdict.outcome == FAILED]


@pytest.mark.parametrize("bench", benches.ALL)
def test_some_faults_of_every_bench_end_in_recovery_or_in_a_typed_error_with_everything_safe(bench: str) -> None:
    found = [case for case in cases_of(bench, whole(bench)) if case.port]
    first = list(benches.ALL).index(bench)  # other faults for every bench
    step = len(found) // SOME
    assert failures([found[(first * 7 + n * step) % len(found)] for n in range(SOME)]) == []


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("bench", benches.ALL)
def test_every_fault_of_a_bench_ends_in_recovery_or_in_a_typed_error_with_everything_safe(bench: str) -> None:
    assert failures(list(cases_of(bench, whole(bench)))) == []


@pytest.mark.parametrize("kind", ["interrupt", "terminate", "raise_in_plan", "raise_in_driver", "raise_in_safe", "full_disk"])
@pytest.mark.parametrize("bench", BASE)
def test_whatever_ends_a_run_in_the_middle_everything_is_made_safe_and_the_folder_is_whole(bench: str, kind: str) -> None:
    assert failures([Case(bench, "", "", kind, "middle")]) == []


@pytest.mark.parametrize("kind", ["interrupt", "terminate", "raise_in_safe"])
@pytest.mark.parametrize("bench", BASE)
def test_whatever_ends_the_opening_half_way_everything_is_made_safe(bench: str, kind: str) -> None:
    assert failures([Case(bench, "", "", kind, "opening")]) == []


@pytest.mark.parametrize("kind", ["clock_ahead", "clock_back"])
def test_another_time_of_day_changes_nothing(kind: str) -> None:
    case = Case("vapour_cell", "", "", kind, "first")
    assert judged(case, {"vapour_cell": whole("vapour_cell")}) == Verdict(RECOVERED)


def test_a_connection_that_breaks_is_recovered_with_equal_bits_where_the_bench_file_says_so() -> None:
    for bench in ("vapour_cell", "vapour_cell+reconnect"):
        counts = whole(bench).counts["gain"]
        verdict = judged(Case(bench, "gain", "qontrol", "drop", "first table", after=counts["opened"]), {bench: whole(bench)})
        assert verdict.outcome == (RECOVERED if "+" in bench else TOLD)


def told(**changes: Any) -> Seen:
    """A run that ended with an error, safely."""
    seen = Seen(code=2, told="labonn: failed; the bench is safe; …\nlabonn: error: gain: no reply\n", status="failed")
    return dataclasses.replace(seen, **changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"crash": "ValueError: x"}, "ValueError: x"),
        ({"crash": "hangs: more than 30 s"}, "hangs"),
        ({"left": "threads ['port_0'], 0 files"}, "left behind: threads"),
        ({"broken": "FileNotFoundError: result.json"}, "result.json"),
        ({"told": "Traceback (most recent call last)"}, "a traceback"),
        ({"code": 1}, "exit code 1 instead of 2"),
        ({"told": "nothing"}, "no error is told"),
        ({"status": "finished"}, "the run's folder says 'finished'"),
        ({"unsafe": {"gain": "0.01 A flow"}}, "not safe: {'gain': '0.01 A flow'}"),
        ({"unsafe": {"ovens": "on"}, "told": "labonn: error: ovens: could not be made safe: x"}, "not safe: {'ovens'"),
        ({"code": 0, "status": "finished", "unsafe": {"gain": "x"}}, "finished, but not safe"),
        ({"code": 0, "status": "finished", "readings": []}, "0 tables instead of 36"),
    ],
)
def test_the_judge_lets_nothing_pass(changes: dict[str, Any], why: str) -> None:
    case = Case("vapour_cell", "gain", "qontrol", "timeout", "middle")
    assert judge(case, told(), whole("vapour_cell")) == Verdict(TOLD)
    verdict = judge(case, told(**changes), whole("vapour_cell"))
    assert verdict.outcome == FAILED
    assert why in verdict.why


def test_the_judge_sees_a_single_wrong_bit_in_the_readings() -> None:
    good = run("pt_chip")
    assert not same(good.readings, whole("pt_chip").readings, 0.0)
    spoilt = [{port: volts.copy() for port, volts in readings.items()} for readings in good.readings]
    spoilt[3]["output"].view("u4")[0, 1] ^= 1
    assert same(spoilt, good.readings, 0.0).startswith("table 3: output is off by")
    case = Case("pt_chip", "output", "stream_adc", "flipped", "middle")
    assert judge(case, dataclasses.replace(good, readings=spoilt), good).outcome == FAILED


def test_the_judge_sees_what_is_really_at_the_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.qontrol.Qontrol.safe", lambda self: None)
    monkeypatch.setattr("drivers.meerstetter.Meerstetter.safe", lambda self: None)
    monkeypatch.setattr("drivers.stream_dac.StreamDac.safe", lambda self: None)
    seen = run("vapour_cell", ("output:deaf@20x*",))
    assert seen.code == 2
    assert set(seen.unsafe) >= {"gain", "ovens"}


def test_a_table_has_a_row_a_fault_and_a_column_a_bench() -> None:
    cases = [Case("a", "p", "d", "drop", "middle"), Case("b", "p", "d", "drop", "middle"), Case("b", "p", "d", "late", "middle")]
    lines = table([(case, Verdict(RECOVERED)) for case in cases]).splitlines()
    assert lines[0].split() == ["a", "b"]
    assert [line.split() for line in lines[1:3]] == [["drop", "1r", "1r"], ["late", "-", "1r"]]


@pytest.mark.slow
def test_the_campaign_is_a_program_that_says_what_came_of_it(tmp_path: Path) -> None:
    script = Path(__file__).with_name("campaign.py")
    arguments = ["--only", "^pt_chip gain (drop|timeout) ", "--json", str(tmp_path / "all.json")]
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 FAILED" in done.stdout
    assert (tmp_path / "all.json").read_text().count('"outcome": "error told, all safe"') >= 3
