"""A driver package of somebody else: installed beside labonn, found by entry point, tested by three lines, used in a dry run."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent / "labonn_example"
PLAY = """
import numpy as np
from labonn.bench import Bench
from labonn.errors import LimitError
from labonn.shots import ShotTable
with Bench.open("bench.toml", dry_run=True) as bench:
    print(bench.ports["gain"].identity)
    def outputs(amperes):
        banks = {"input": np.ones((1, 3)), "gain": np.full((1, 10), amperes), "activation": np.linspace(-1, 1, 4096)[None]}
        return bench.play(ShotTable(banks))["output"]
    first, again, other = outputs(0.002), outputs(0.002), outputs(0.008)
    assert np.abs(first - again).max() < 0.2 * np.abs(first - other).max()
    try:
        outputs(0.013)
    except LimitError as told:
        print(told)
"""


def wheel(folder: Path) -> Path:
    """The example as a wheel (PEP 427), made from its own pyproject.toml: a build backend would have to be downloaded."""
    about = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))
    project = about["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    info = f"{name}-{version}.dist-info"
    points = [[f"[{group}]", *map(" = ".join, entries.items())] for group, entries in project["entry-points"].items()]
    packages = about["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    modules = [file for package in packages for file in sorted((EXAMPLE / package).rglob("*.py"))]
    files = {
        **{file.relative_to(EXAMPLE).as_posix(): file.read_bytes() for file in modules},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\nRequires-Dist: labonn\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "\n".join(line for lines in points for line in lines).encode(),
    }
    record = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in files.items()]
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, data in {**files, f"{info}/RECORD": "\n".join([*record, f"{info}/RECORD,,"]).encode()}.items():
            archive.writestr(inside, data)
    return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example's tests and bench file, and the example installed into `site`, which only `run` has on its path."""
    folder = tmp_path_factory.mktemp("lab")
    made = wheel(folder)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--target", str(folder / "site"), str(made)], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    shutil.copytree(EXAMPLE / "tests", folder / "tests")
    shutil.copy(EXAMPLE / "bench.toml", folder)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return folder


def run(lab: Path, *command: str) -> subprocess.CompletedProcess[str]:
    paths = [str(lab / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run([sys.executable, *command], cwd=lab, env=environment, capture_output=True, text=True, check=False, timeout=100)


def test_without_the_package_the_driver_is_not_there(lab: Path) -> None:
    command = [sys.executable, "-m", "labonn.cli", "instruments", "acme_ls8"]
    done = subprocess.run(command, cwd=lab, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 2
    assert "no driver is called 'acme_ls8'" in done.stderr


def test_its_own_tests_pass_with_the_suite_in_three_lines(lab: Path) -> None:
    done = run(lab, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(done.stdout.rpartition(" passed")[0].split()[-1])
    assert passed > 40
    assert "skipped" not in done.stdout


def test_the_suite_finds_what_is_wrong_with_it(lab: Path) -> None:
    """The safe method of the installed driver forgets to switch off."""
    driver = lab / "site/labonn_acme/driver.py"
    right = driver.read_text(encoding="utf-8")
    wrong = right.replace('self._set("CUR", np.zeros(len(self.spec)))\n        self._switch(0)', "pass")
    assert wrong != right
    driver.write_text(wrong, encoding="utf-8")
    try:
        done = run(lab, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    finally:
        driver.write_text(right, encoding="utf-8")
    assert done.returncode == 1
    assert "test_safe_works_from_any_state[armed]" in done.stdout
    assert "assert self.is_safe(rig)" in done.stdout, "pytest shows what was asserted"


def test_labonn_lists_it_like_its_own(lab: Path) -> None:
    done = run(lab, "-m", "labonn.cli", "instruments", "acme_ls8", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["instruments"]
    assert (row["kind"], row["transport"], row["channels"], row["emulator"]) == ("GainSections", "serial", "channels", True)
    assert row["summary"].startswith("Acme LS8 eight-channel current source")


def test_a_bench_of_it_is_checked_and_dry_run(lab: Path) -> None:
    checked = run(lab, "-m", "labonn.cli", "check", "--bench", "bench.toml", "--dry-run", "--json")
    assert checked.returncode == 0, checked.stderr
    gain = [row["identity"] for row in json.loads(checked.stdout)["ports"] if row["port"].startswith("gain")]
    assert [identity[:9] for identity in gain] == ["ACME LS8 "] * 2
    played = run(lab, "-W", "error", "-c", PLAY)
    assert played.returncode == 0, played.stderr
    identity, refused = played.stdout.splitlines()
    assert identity == "; ".join(gain)
    assert refused == "gain/0:ch1: 13 mA in row 0 is outside 0 to 12 mA (bench.toml)"


@pytest.mark.slow
def test_a_chip_of_275_gain_sections_is_trained_with_55_of_them(lab: Path) -> None:
    text = (lab / "bench.toml").read_text(encoding="utf-8")
    links = ", ".join(f'"serial:///dev/ttyUSB{number}"' for number in range(55))
    text = text.replace('"serial:///dev/ttyUSB0", "serial:///dev/ttyUSB1"', links).replace("sizes = [3, 2, 2]", "sizes = [16, 10, 10]")
    text = text.replace("channels = 3\n", "channels = 16\n").replace("channels = 2\n", "channels = 10\n")
    (lab / "chip.toml").write_text(text, encoding="utf-8")
    options = ["--dry-run", "--steps", "2", "--batch", "8", "--limit", "64", "--gradient", "spsa", "--json"]
    done = run(lab, "-m", "labonn.cli", "run", "train_chip", "--bench", "chip.toml", *options)
    assert done.returncode == 0, done.stderr
    (events,) = (lab / "runs").glob("*/events.log")
    assert events.read_text(encoding="utf-8").count("ACME LS8") == 55


def test_a_real_build_backend_would_make_the_same_package(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling, with which the example is built in earnest, is not a dependency of the tests")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps", "--no-build-isolation", "-w", str(tmp_path / "built")]
    source = shutil.copytree(EXAMPLE, tmp_path / "source")
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    ours, theirs = (zipfile.ZipFile(path) for path in (wheel(tmp_path), next((tmp_path / "built").glob("*.whl"))))
    with ours, theirs:
        same = [name for name in ours.namelist() if name.endswith((".py", "WHEEL"))]
        assert {name for name in theirs.namelist() if name.endswith(".py")} == {name for name in same if name.endswith(".py")}
        points = "labonn_acme-0.1.0.dist-info/entry_points.txt"
        assert ours.read(points).split() == theirs.read(points).split()
