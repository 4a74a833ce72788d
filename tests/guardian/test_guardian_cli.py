"""labonn serve, status, safe and keys, and labonn run with and without a guardian, as a user has them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guardian_rig import Rig, shaken, until

from labonn.cli import main
from labonn.errors import ConnectError
from labonn.guardian import asking, rescue
from labonn.guardian.client import RemoteBench
from labonn.shots import ShotTable

HERE = Path(__file__).parent
Guardian = Callable[..., dict[str, Any]]


@contextlib.contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """(process, address)."""
    command = [sys.executable, "-W", "error", "-m", "labonn.cli", "serve", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_serve_prints_its_address_and_ends_safe_by_a_signal(desk: Path) -> None:
    with serving(str(desk), "--dry-run", "--bind", "tcp://127.0.0.1:*") as (process, address):
        assert address.startswith("zmq://127.0.0.1:")
        with RemoteBench.open(address) as bench:
            bench.play(ShotTable({"gain": np.full((1, 3), 0.01)}, read=()))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
        assert process.stderr is not None
        told = process.stderr.read()
    for line in ("guards bench.toml at zmq://", "lease to", "lease given back by", "the guardian was stopped", "everything is safe"):
        assert line in told


def test_a_guardian_that_ends_before_it_has_made_safe_is_not_waited_for(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(str(desk), "--dry-run", "--bind", "private") as (process, address):
        monkeypatch.setattr(asking, "status", lambda url: process.send_signal(signal.SIGSTOP))  # the moment after it has answered
        with ThreadPoolExecutor() as pool:
            pending = pool.submit(asking.make_safe, address)
            assert not wait([pending], timeout=1.0).done
            process.kill()
            process.wait()
            with pytest.raises(ConnectError, match=r"ended before it answered; .* `labonn safe --bench FILE` makes sure"):
                pending.result(timeout=10)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nix.toml"], "nix.toml: no such bench file"),
        (["BENCH", "--seed", "3"], "--seed is about simulated instruments; it needs --dry-run"),
        (["BENCH", "--fault", "x"], "--fault is about simulated instruments; it needs --dry-run"),
        (["BENCH", "--dry-run", "--bind", "tcp://0.0.0.0:5555"], "needs keys: add --keys DIR"),
        (["BENCH", "--dry-run", "--lease", "0"], "seconds are wanted, 0.2 or more"),
        (["BENCH", "--dry-run", "--fault", "nix:timeout"], "no port 'nix'"),
        (["BENCH", "--dry-run", "--record", "x.tape"], "a tape is of one client's run; add --once"),
        (["BENCH"], "to try without instruments add --dry-run"),
    ],
)
def test_what_serve_cannot_do_is_one_line(arguments: list[str], told: str, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *[word.replace("BENCH", str(desk)) for word in arguments]]) == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_status_shows_who_has_the_bench_and_its_outputs(desk: Path, guardian: Guardian, capsys: pytest.CaptureFixture[str]) -> None:
    address = guardian(desk)["address"]
    assert main(["status"]) == 0
    assert "  lease    nobody" in capsys.readouterr().out
    with RemoteBench.open(address) as bench:
        bench.play(ShotTable({"gain": np.array([[0.001, 0.002, 0.004]]), "beams": np.full((1, 4), 2.0)}, read=("seen",)))
        assert main(["status", address]) == 0
        shown = capsys.readouterr().out
        assert main(["status", "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)["guardians"]
    assert shown.startswith(f"{address}\n  bench    {desk}")
    assert f"(dry run), process {os.getpid()}" in " ".join(shown.split())
    assert f"process {os.getpid()} (" in " ".join(shown.split())
    for line in ("  meter  safe, KEITHLEY", "  gain   1 to 4 mA, Q8iv", "  beams  2 V, emulated DAC", "  seen   4 detectors, emulated ADC"):
        assert line in shown
    assert told["ports"]["gain"]["output"] == "1 to 4 mA"
    assert told["lease"]["who"].startswith(told["lease"]["who"].partition("@")[0] + "@")


def test_status_knows_of_dead_guardians_nothing(runtime: Path, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(str(desk), "--dry-run", "--bind", "private") as (process, address):
        assert Path(address.removeprefix("ipc://")).exists()
        assert len(list(runtime.glob("*.json"))) == 1
        process.kill()
        process.wait()
    assert main(["status"]) == 0
    assert "no guardian of yours runs on this computer" in capsys.readouterr().out
    assert list(runtime.iterdir()) == []


def test_a_folder_that_others_may_enter_is_refused(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runtime.chmod(0o755)
    assert main(["status"]) == 2
    assert "must be a folder of yours that nobody else may enter" in capsys.readouterr().err


def test_a_bench_that_has_a_guardian_gets_no_second_one(rig: Rig) -> None:
    with shaken(rig) as run:
        done = rig.labonn("run", HERE / "shaking.py", "--bench", rig.bench, "--out", rig.folder / "second")
        assert done.returncode == 2
        assert f"bench.toml has a guardian already: process {run.guardian}; use it by --bench ipc://" in done.stderr
        address = done.stderr.partition("--bench ")[2].partition(",")[0]
        done = rig.labonn("run", HERE / "shaking.py", "--bench", address, "--out", rig.folder / "second")
        assert done.returncode == 2
        assert f"process {run.client.pid} (labonn run" in done.stderr
        assert "has the bench since" in done.stderr
        assert run.client.poll() is None


def test_safe_takes_the_lease_and_status_and_run_say_who_took_it(rig: Rig) -> None:
    with shaken(rig) as run:
        shown = rig.labonn("status").stdout
        assert f"process {run.client.pid} (labonn run" in shown
        done = rig.labonn("safe", "--bench", rig.bench, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["safe"] == ["meter", "gain", "beams"]
        assert f"process {run.client.pid}" in json.loads(done.stdout)["holder"]
        assert rig.safe()
        _, told = run.client.communicate(timeout=30)
        assert run.client.returncode == 2
        assert "(labonn safe --bench" in told
        assert "took the lease of" in told
    assert "no guardian of yours runs" in rig.labonn("status").stdout


def test_safe_tells_what_it_could_not_reach(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rescue, "PATIENCE_S", 1.0)
    path = tmp_path / "gone.toml"
    path.write_text(rig.bench.read_text().replace('link = "tcp://127.0.0.1:', 'link = "tcp://127.0.0.1:1" # '), encoding="utf-8")
    assert main(["safe", "--bench", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "meter: not known to be safe" in printed.err
    assert "gain: " not in printed.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dry-run"], "is a guardian's bench as it is; --dry-run is `labonn serve`'s business"),
        (["--no-guardian"], "--[no-]guardian is `labonn serve`'s business"),
        (["--record", "x.tape"], "--record is `labonn serve`'s business"),
    ],
)
def test_what_a_run_at_a_guardian_cannot_have_is_told(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(HERE / "shaking.py"), "--bench", "zmq://127.0.0.1:9", *arguments]) == 2
    assert told in capsys.readouterr().err


def results(folder: Path) -> dict[str, Any]:
    """What a run left: its result, its metrics without the computer's time, and all bits of its arrays."""
    found: dict[str, Any] = {"result": json.loads((folder / "result.json").read_text())["result"]}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            found[path.name] = {name: arrays[name].tobytes() for name in arrays.files}
    return found


VAPOUR = [*["train_vapour_cell", "--hidden", "8", "--epochs", "2", "--limit", "96", "--batch", "16"]]
CHIP = ["train_chip", "--sizes", "16", "12", "10", "--gradient", "central", "--steps", "3", "--report", "2", "--batch", "16"]
CHIP += ["--limit", "64"]


@pytest.mark.parametrize(
    "words",
    [VAPOUR, CHIP, pytest.param([*CHIP, "--bench", "mzi_chip_software"], marks=pytest.mark.slow)],
    ids=["vapour cell", "chip", "chip set over serial lines"],
)
def test_a_training_at_a_guardian_gives_the_same_bits(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = []
    for guardian in ("--guardian", "--no-guardian"):
        out = tmp_path / guardian
        assert main(["run", *words, "--dry-run", "--seed", "5", guardian, "--out", str(out)]) == 0, capsys.readouterr().err
        folders.append(next(out.iterdir()))
    assert (folders[0] / "guardian.log").exists()
    assert not (folders[1] / "guardian.log").exists()
    first, second = map(results, folders)
    assert first == second
    assert len(first) >= 2


@pytest.mark.slow
def test_a_tape_that_is_made_at_a_guardian_is_the_one_that_is_made_without_and_can_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, words = [], [*CHIP, "--seed", "5", "--out", str(tmp_path / "runs")]
    for guardian in ("--guardian", "--no-guardian"):
        tape = tmp_path / f"{guardian[2:]}.tape"
        assert main(["run", *words, "--dry-run", guardian, "--record", str(tape)]) == 0, capsys.readouterr().err
        texts.append(sorted(line.partition(b" ")[2] for line in tape.read_bytes().splitlines()))
    assert texts[0] == texts[1]
    assert main(["run", *words, "--replay", str(tmp_path / "guardian.tape")]) == 0, capsys.readouterr().err


def test_a_run_at_a_guardian_that_is_served_keeps_its_bench_file(desk: Path, guardian: Guardian, tmp_path: Path) -> None:
    address, out = guardian(desk, bind="tcp://127.0.0.1:*")["address"], tmp_path / "runs"
    assert main(["run", str(HERE / "shaking.py"), "--bench", address, "--tables", "3", "--out", str(out)]) == 0
    (folder,) = out.iterdir()
    assert (folder / "bench.toml").read_text() == desk.read_text()
    assert json.loads((folder / "settings.json").read_text())["bench"] == address


def test_a_real_run_has_a_guardian_of_its_own_that_ends_with_it(rig: Rig) -> None:
    done = rig.labonn("run", HERE / "shaking.py", "--bench", rig.bench, "--tables", 3, "--out", rig.folder / "own", "--json")
    assert done.returncode == 0, done.stderr
    folder = Path(json.loads(done.stdout)["folder"])
    log = (folder / "guardian.log").read_text()
    assert "as its twin" in log
    assert log.rstrip().endswith("everything is safe")
    assert rig.safe()
    until(lambda: "no guardian of yours runs" in rig.labonn("status").stdout, "its end")


def test_a_bench_that_is_not_there_is_told_as_without_a_guardian(desk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(HERE / "shaking.py"), "--bench", str(desk), "--out", str(tmp_path / "runs")]
    told = []
    for guardian in ([], ["--no-guardian"]):
        assert main([*words, *guardian]) == 2
        told.append(sorted(capsys.readouterr().err.splitlines()))
    assert told[0] == told[1]
    assert any("to try without instruments add --dry-run" in line for line in told[0])
    assert not (tmp_path / "runs").exists()
