"""What is left on when a program ends without closing anything: nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPENED = """
import sys
from pathlib import Path
from labonn.bench import Bench
bench = Bench.open("procedures/benches/desk.toml", dry_run=True, record=Path(sys.argv[1]))
"""
ENDINGS = {
    "a bench that is closed by atexit": "import atexit\natexit.register(bench.close)\n"
    "from labonn.shots import ShotTable\nimport numpy as np\nbench.play(ShotTable({'laser': np.full((1, 1), 0.05)}, read=()))\n",
    "Bluesky devices": "from labonn.adapters.bluesky_devices import BenchDevices\ndevices = BenchDevices(bench)\n"
    "devices['laser'].set(0.05).wait()\n",
    "a QCoDeS instrument": "from labonn.adapters.qcodes_bench import BenchInstrument\ninstrument = BenchInstrument('desk', bench)\n"
    "instrument.laser.ld(0.05)\n",
}


@pytest.mark.parametrize(
    ("what", "last"),
    [
        ("a bench that is closed by atexit", ""),
        pytest.param("Bluesky devices", "1 / 0", marks=pytest.mark.slow),
        pytest.param("a QCoDeS instrument", "", marks=pytest.mark.slow),
        pytest.param("a QCoDeS instrument", "1 / 0", marks=pytest.mark.slow),
    ],
)
def test_a_program_that_ends_without_closing_switches_the_laser_off(what: str, last: str, tmp_path: Path) -> None:
    tape = tmp_path / "session.tape"
    command = [sys.executable, "-c", OPENED + ENDINGS[what] + last, str(tape)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode != 0) == (last == "1 / 0"), done.stderr
    sent = tape.read_text(encoding="utf-8")
    on, off = sent.rfind("LDON 1"), sent.rfind("LDON 0")
    assert 0 <= on < off
