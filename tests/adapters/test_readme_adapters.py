"""README's programs for Bluesky and QCoDeS, as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## In Bluesky and QCoDeS\n")[2].partition("\n## ")[0]
BLUESKY, QCODES = re.findall(r"^```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)


def printed(program: str, folder: Path) -> str:
    (folder / "procedures").symlink_to(ROOT / "procedures")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_run_engine_scans_the_laser_and_flies_a_table(tmp_path: Path) -> None:
    told = printed(BLUESKY, tmp_path)
    assert [line.split("|")[1].strip() for line in told.splitlines() if re.match(r"\|\s+\d+ \|", line)] == ["1", "2", "3"]
    assert told.split()[-1] == "stop"


@pytest.mark.slow
def test_the_station_sweeps_the_laser_into_its_database(tmp_path: Path) -> None:
    told = printed(QCODES, tmp_path)
    powers = [float(number) for number in re.search(r"\[([^\]]*)\]", told.split("\n", 1)[-1])[1].split()]  # type: ignore[index]
    assert len(powers) == 11
    assert powers[-1] > 3 * max(powers[0], 1e-4)
    assert (tmp_path / "runs.db").is_file()
