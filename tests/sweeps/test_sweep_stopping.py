"""`labonn reproduce`, stopped and begun again, as in a shell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXPERIMENT = '''"""Numbers that seeds decide."""

from labonn.reproduce import Row
from labonn.sweeps import Job

SOURCE = "nowhere"


def cases(choices):
    return {{"numbers": [Job("sweep_work:drawn", {{"seconds": 1.0}}, seed, {{"notes": {notes!r}}}, f"number") for seed in choices.numbers]}}


def rows(choices, found):
    return [Row("number", [one.result["number"] for one in found["numbers"]])]
'''


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(__file__).parents[1] / "helpers"), *sys.path])
    command = [sys.executable, "-m", "labonn.cli", "reproduce", "./numbers_seen.py", "--seeds", "3", "--workers", "1", "--data", "mini"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, *more], cwd=folder, env={**os.environ, "PYTHONPATH": path}, **pipes)  # type: ignore[call-overload,no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_sweep_that_is_stopped_says_how_to_go_on_and_then_does_only_the_rest(number: int, code: int, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    (tmp_path / "numbers_seen.py").write_text(EXPERIMENT.format(notes=str(notes)))
    with start(tmp_path) as sweeping:
        while not notes.exists() or len(notes.read_text().splitlines()) < 2:
            assert sweeping.poll() is None
            time.sleep(0.05)
        stopped_s = time.monotonic()
        sweeping.send_signal(number)
        _, said = sweeping.communicate(timeout=30)
    assert time.monotonic() - stopped_s < 10
    assert sweeping.returncode == code
    assert "1 of 3 jobs are finished, and kept in reproduced; the same command goes on" in said
    assert "Traceback" not in said
    second = int(notes.read_text().splitlines()[1].split()[1])
    assert not Path(f"/proc/{second}").exists()
    with start(tmp_path) as sweeping:
        shown, said = sweeping.communicate(timeout=60)
    assert sweeping.returncode == 0, said
    assert "reproduce: 3 jobs, 1 of them finished before" in said
    assert "number" in shown
    seeds = [int(line.split()[0]) for line in notes.read_text().splitlines()]
    assert seeds[1] in seeds[2:], "what was under way is done again"
    assert len(seeds) == 4
    assert set(seeds) == {0, 1, 2}


@pytest.mark.slow
def test_a_job_that_fails_ends_in_code_2_with_the_others_results_and_where_to_look(tmp_path: Path) -> None:
    text = EXPERIMENT.format(notes=str(tmp_path / "notes"))
    text = text.replace('"sweep_work:drawn", ', '"sweep_work:" + ("drawn" if seed else "raises"), ')
    (tmp_path / "numbers_seen.py").write_text(text)
    with start(tmp_path, "--quiet", "--json") as sweeping:
        shown, said = sweeping.communicate(timeout=60)
    assert sweeping.returncode == 2
    assert said == ""
    (told,) = json.loads(shown)["experiments"].values()
    assert len(told["rows"][0]["ours"]) == 2
    (failure,) = told["failures"]
    assert (failure["seed"], failure["told"]) == (0, "ValueError: a mirror fell")
    assert "no luck today" in (tmp_path / failure["log"]).read_text()
