"""Processes that are killed or stopped at random moments of a run on real links; the instruments' own registers are the judge."""

from __future__ import annotations

import os
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from guardian_rig import LEASE_S, Rig, shaken, until

sys.path.insert(0, str(Path(__file__).parent))
import kills

from labonn.errors import LeaseError
from labonn.guardian.client import RemoteBench
from labonn.shots import ShotTable

COUNT = int(os.environ.get("LABONN_KILLS", "1"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("mode", [pytest.param(mode, marks=[pytest.mark.slow] * (mode == "hung guardian")) for mode in kills.MODES])
def test_outputs_are_safe_within_lease_and_slack_whoever_is_killed(mode: str, number: int, rig: Rig) -> None:
    delay_s = float(np.random.default_rng([number, kills.MODES.index(mode)]).uniform(0, 1.5))
    assert kills.once(rig, mode, delay_s) <= kills.MOST_S[mode]


@pytest.mark.slow
def test_without_a_guardian_a_killed_run_leaves_its_outputs_on(rig: Rig) -> None:
    """What the guardian is for; and proof that the judge sees currents that are on."""
    client = rig.start([*["-m", "labonn.cli", "run"], str(kills.Path(__file__).with_name("shaking.py")), "--bench", str(rig.bench),
                        "--no-guardian", "--out", str(rig.folder / "bare")])  # fmt: skip
    try:
        until(rig.lit, "currents")
    finally:
        client.kill()
        client.communicate()
    time.sleep(LEASE_S + 1)
    assert not rig.safe()
    done = rig.labonn("safe", "--bench", rig.bench)
    assert (done.returncode, done.stdout) == (0, "safe: meter, gain, beams\n")
    assert rig.safe()


def test_a_run_whose_guardian_is_killed_fails_and_says_why(rig: Rig) -> None:
    with shaken(rig) as run:
        run.kill(run.guardian)
        _, told = run.client.communicate(timeout=30)
        assert run.client.returncode == 2
        assert "the guardian has not answered for" in told
        assert "the bench is safe" not in told
        assert "is gone without a goodbye: everything is made safe" in run.log()
        assert run.log().rstrip().endswith("everything is safe")


def test_ctrl_c_reaches_only_the_run_and_its_guardian_makes_everything_safe_and_ends(rig: Rig) -> None:
    with shaken(rig) as run:
        run.kill(run.client.pid, number=2)
        _, told = run.client.communicate(timeout=30)
        assert run.client.returncode == 130
        assert "the bench is safe" in told
        assert rig.safe()
        assert "lease given back by" in run.log()
        assert "twin" not in run.log().splitlines()[-1]


def test_a_twin_knows_the_bench_file_of_the_next_client(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(rig.bench.read_text(), encoding="utf-8")
    process = rig.start(["-m", "labonn.cli", "serve", str(path), "--bind", "private", "--log", str(tmp_path / "log")])
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        path.write_text(rig.bench.read_text() + "\n# changed\n", encoding="utf-8")
        RemoteBench.open(address).close()
        until(lambda: "has changed; the twin that knows it is process" in (tmp_path / "log").read_text(), "another twin")
        with RemoteBench.open(address) as bench:
            assert bench.file.text.endswith("# changed\n")
            bench.play(ShotTable({"gain": np.full((1, 3), 0.01)}, read=()))
            process.kill()
            until(rig.safe, "safe outputs", LEASE_S + kills.SLACK_S)
            bench._left = LeaseError("the test knows")
            bench._ended = {"unsafe": ""}
    finally:
        process.kill()
        process.communicate()


def test_a_port_with_a_slew_limit_goes_down_a_ramp_when_its_client_is_gone(tmp_path: Path) -> None:
    rig, seen = Rig(tmp_path, slew="10 mA/s"), []
    try:
        with shaken(rig) as run:
            run.kill(run.client.pid)
            start_s = time.monotonic()
            while not rig.safe():
                seen.append((time.monotonic(), max(rig.registers()["currents"]["gain"])))
                assert seen[-1][0] - start_s < LEASE_S + 2.0 + kills.SLACK_S
                time.sleep(0.02)
    finally:
        rig.close()
    ends = [(now_s, amperes) for now_s, amperes in seen if now_s - start_s > LEASE_S]
    falls = [(a - b) / (after_s - before_s) for (before_s, a), (after_s, b) in pairwise(ends) if a > b]
    between = {amperes for _, amperes in ends if 0.001 < amperes < 0.9 * ends[0][1]}
    assert len(between) > 5
    assert np.median(falls) < 0.05  # amperes a second, as far as looking now and then can tell
