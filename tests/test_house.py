"""The house as a whole: import rules, entry points that fit together, benches as shipped, style of files."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from labonn import benchfile, registry
from labonn.procedures import load
from procedures.benches import chip_bench, vapour_cell
from procedures.benches.chips import BENCHES

ROOT = Path(__file__).parents[1]
DRIVERS = sorted(registry.registered("labonn.drivers"))
KINDS = {"SpatialLightModulator", "Modulators", "GainSections", "Heaters", "Photodetectors"}
TRANSPORTS = {"serial", "tcp", "visa", "zmq", "slmpynet", "sdk"}


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False, timeout=100)


def test_the_import_rules_are_kept() -> None:
    done = run("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    assert len(contracts) >= 4
    assert f"Contracts: {len(contracts)} kept, 0 broken" in done.stdout


def test_the_import_rules_would_notice_a_trainer_that_imports_the_simulator(tmp_path: Path) -> None:
    for room in ("labonn", "drivers", "sim_backends", "procedures"):
        for file in (ROOT / room).rglob("*.py"):
            copy = tmp_path / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    with (tmp_path / "labonn/training.py").open("a") as file:
        file.write("\n\nfrom sim_backends.physics import absorbers\n")
    done = run("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache", cwd=tmp_path)
    assert done.returncode != 0
    assert "labonn.training -> sim_backends.physics.absorbers" in done.stdout


def test_every_driver_has_an_emulator_of_its_name_and_the_other_way_round() -> None:
    assert set(registry.registered("labonn.emulators")) == set(DRIVERS)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_class_tells_all_that_the_bench_wants_to_know(name: str) -> None:
    driver: Any = registry.load("labonn.drivers", name)
    assert dataclasses.is_dataclass(driver.Options)
    assert driver.Options.__dataclass_params__.frozen
    assert driver.kind in KINDS
    assert driver.transport in TRANSPORTS
    assert isinstance(driver.link_options, dict)
    assert hasattr(driver, "load_sdk") == (driver.transport == "sdk")
    assert callable(driver.close)
    detects = driver.kind == "Photodetectors"
    for method in ("arm", "fetch", "set_range") if detects else ("prepare", "load", "arm", "safe"):
        assert callable(getattr(driver, method, None)), method


@pytest.mark.parametrize("name", DRIVERS)
def test_an_option_of_a_driver_has_no_name_that_bench_files_use_otherwise(name: str) -> None:
    options = {field.name for field in dataclasses.fields(registry.load("labonn.drivers", name).Options)}
    assert not options & set(benchfile.PORT_KEYS)


@pytest.mark.parametrize("name", DRIVERS)
def test_an_emulator_has_one_kind_of_front_and_is_made_for_a_port(name: str) -> None:
    emulator: Any = registry.load("labonn.emulators", name)
    driver: Any = registry.load("labonn.drivers", name)
    assert callable(emulator.for_port)
    fronts = {front for front in ("feed", "handle_parts") if hasattr(emulator, front)}
    wanted = {"sdk": set(), "zmq": {"handle_parts"}}.get(driver.transport, {"feed"})
    assert fronts == wanted
    assert hasattr(emulator, "wire_s") == bool(wanted)


def test_the_shipped_bench_files_are_what_the_procedures_write() -> None:
    assert (ROOT / "procedures/benches/vapour_cell.toml").read_text(encoding="utf-8") == vapour_cell((784, 128, 128, 10))
    for name in BENCHES:
        assert (ROOT / f"procedures/benches/{name}.toml").read_text(encoding="utf-8") == chip_bench(name)


@pytest.mark.parametrize("file", sorted((ROOT / "procedures/benches").glob("*.toml")), ids=lambda path: path.name)
def test_shipped_bench_files_are_valid_and_can_be_simulated(file: Path) -> None:
    bench = benchfile.read(file)
    assert bench.simulation["bench"] in registry.registered("labonn.benches")


@pytest.mark.parametrize("name", sorted(registry.registered("labonn.procedures")))
def test_every_procedure_has_options_a_main_and_a_summary_of_one_line(name: str) -> None:
    procedure = load(name)
    assert procedure.summary.endswith(".")
    assert len(procedure.summary) <= 100


def test_the_command_line_works_without_the_optional_packages() -> None:
    """A finder that refuses them stands for an environment without the extras."""
    names = ("pygame", "pyvisa", "pyvisa_py", "slmpy", "wx", "bluesky", "qcodes", "dask", "distributed")
    hide = f"import sys\nfor name in {names}: sys.modules[name] = None\n"
    walk = "import importlib, labonn, pkgutil\nfor m in pkgutil.walk_packages(labonn.__path__, 'labonn.'):\n    "
    theirs = "('labonn.visa_', 'labonn.adapters.qcodes_')"  # what PyVISA imports; subclasses of QCoDeS's
    walk += f"if not m.name.endswith(('__main__', 'pyvisa_labonn')) and not m.name.startswith({theirs}):\n"
    walk += "        importlib.import_module(m.name)\n"
    loads = "from labonn import registry\nfor g in registry.GROUPS:\n    for n in registry.registered(g): registry.load(g, n)\n"
    done = run("-W", "error", "-c", hide + walk + loads)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ["labonn", "drivers", "sim_backends", "procedures", "tests"])
def test_every_module_says_first_what_it_is(room: str) -> None:
    texts = {str(file): file.read_text(encoding="utf-8") for file in (ROOT / room).rglob("*.py")}
    silent = [file for file, text in texts.items() if text.strip() and not text.startswith('"""')]
    assert silent == []
