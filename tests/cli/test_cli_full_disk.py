"""labonn run --fault full_disk: the run ends with an error that names the file, all is safe, and what was recorded is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TRAINING = ["train_chip", "--dry-run", "--sizes", "9", "4", "3", "--steps", "12", "--report", "3", "--gradient", "spsa"]


def test_a_disk_that_is_full_in_the_middle_ends_the_run_safely_and_the_record_stays_whole(pictures: Path, tmp_path: Path) -> None:
    given = [*TRAINING, "--data", str(pictures), "--out", str(tmp_path / "runs"), "--fault", "output:full_disk@40"]
    done = subprocess.run([sys.executable, "-m", "labonn.cli", "run", *given], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "failed; the bench is safe" in done.stderr
    assert "metrics.jsonl: cannot be written: " in done.stderr
    assert "Traceback" not in done.stderr
    shown = [sys.executable, "-m", "labonn.cli", "runs", "show", "--out", str(tmp_path / "runs"), "latest", "--json"]
    run = json.loads(subprocess.run(shown, capture_output=True, text=True, timeout=60, check=True).stdout)
    assert run["status"] == "failed"
    assert run["steps"] >= 3
