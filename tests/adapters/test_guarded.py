"""Both adapters on a bench that a guardian holds: the same data as on the bench itself, and safe at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import plans as bp

from labonn.adapters.bluesky_devices import BenchDevices
from labonn.adapters.bluesky_plans import fly_plan
from labonn.adapters.qcodes_bench import BenchInstrument
from labonn.bench import Bench
from labonn.errors import LimitError
from labonn.guardian.starting import EscortedBench, escorted_bench
from labonn.shots import ShotTable

DESK = Path(__file__).parents[2] / "procedures/benches/desk.toml"


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EscortedBench]:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("LABONN_RUNTIME_DIR", str(tmp_path / "run"))
    with escorted_bench(DESK, tmp_path / "guardian.log", dry_run=True, ideal=True) as bench:
        yield bench


@pytest.mark.slow
def test_bluesky_and_qcodes_use_a_guardians_bench_as_their_own(guarded: EscortedBench, engine: Any, documents: Any) -> None:
    currents = np.linspace(0, 0.05, 5)
    table = ShotTable({"laser": currents[:, None]}, {"laser": np.arange(5)}, dwell_s=1e-2, read=("power",))
    with Bench.open(DESK, dry_run=True, ideal=True) as alone:
        wanted = alone.play(table)["power"][:, 0]
    with BenchDevices(guarded) as desk:
        desk.attach(engine)
        engine(bp.scan([desk["power"]], desk["laser"], 0, 0.05, 5))
        np.testing.assert_allclose(documents.column("power"), wanted, rtol=1e-3, atol=1e-8)
        assert engine(fly_plan(desk, table)).plan_result["power"].shape == (5, 1)
        with pytest.raises(LimitError, match="laser/ld: 1 A in row 0 is outside 0 to 100 mA"):
            desk["laser"].set(1.0)
        assert desk.points.rows == {}
    instrument = BenchInstrument("desk", guarded)
    found = []
    for current in currents:
        instrument.laser.ld(current)
        found.append(instrument.power.mean()[0])
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-8)
    assert instrument.snapshot()["bench"]["ports"]["laser"]["identity"].startswith("Stanford_Research_Systems")
    instrument.close()
    assert guarded.play(ShotTable({}, dwell_s=1e-2, read=("power",)))["power"][0, 0] < 1e-6
