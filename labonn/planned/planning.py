"""Plans a run: the procedure's own plan is played on a simulated bench in this process, with few steps, and extrapolated."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
import time
from pathlib import Path

from labonn.benchfile import parse
from labonn.calibration.ordering import PREFIX
from labonn.calibration.store import DEFAULT
from labonn.errors import LabonnError
from labonn.planned.plan import Plan
from labonn.planned.run import PlannedRun
from labonn.planned.trial import Trial
from labonn.planned.world import lit
from labonn.procedures import FewSteps, Procedure


def plan_of(procedure: Procedure, args: argparse.Namespace) -> Plan:
    """What `labonn run` with these options would do; nothing of it reaches an instrument, and nothing is left behind.

    Raises:
        LabonnError: the bench file or the options are wrong, or a driver has no emulator.
    """
    began_s = time.perf_counter()
    text, name = _bench_of(procedure, args)
    text, light, borrowed = lit(text, name, _likely(procedure, args))
    few: FewSteps | None = hook(args) if (hook := procedure.hook("few_steps")) else None
    with tempfile.TemporaryDirectory(prefix="labonn-plan-") as place:
        folder = Path(place)
        tried = _tried(procedure, args, few, folder)
        run = PlannedRun(folder / "run", procedure.name, args.seed or 0, few is not None)
        trial = Trial(procedure, tried, run, _written(folder, name, text))
        trial.play()
    return trial.summed(name, light, borrowed, few, time.perf_counter() - began_s)


def _bench_of(procedure: Procedure, args: argparse.Namespace) -> tuple[str, str]:
    """(text, name) of the bench file: the procedure's own, the one that was given, or that of a guardian, which is only asked for it."""
    own = procedure.hook("bench_file")
    if args.bench is None and own:
        return own(args), "bench.toml"
    return args.bench.read_bytes().decode(), getattr(args.bench, "name", "bench.toml")


def _written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _likely(procedure: Procedure, args: argparse.Namespace) -> list[str]:
    """Simulated benches of the procedure's own bench files."""
    own = procedure.hook("bench_file")
    if own is None:
        return []
    found: list[str] = []
    for name in (None, *getattr(procedure.module, "benches", ())):
        with contextlib.suppress(LabonnError):
            file = parse(own(argparse.Namespace(**{**vars(args), "bench_name": name})), "bench.toml")
            found.append(str(file.simulation.get("bench", "")))
    return list(dict.fromkeys(found))


def _tried(procedure: Procedure, args: argparse.Namespace, few: FewSteps | None, folder: Path) -> argparse.Namespace:
    """Options of the trial: few steps, and a calibration store of its own.

    Calibrations of real instruments say nothing of simulated ones, which therefore begin without any.
    """
    tried = argparse.Namespace(**{**vars(args), **(few.options if few else {})})
    tried.out = folder / "runs"
    if hasattr(args, "calibrations"):
        store = args.calibrations or args.out.parent / DEFAULT
        if procedure.name.startswith(PREFIX) or (args.dry_run and args.calibrations is not None):
            tried.calibrations = folder / DEFAULT
            tried.calibrations.mkdir()
            if args.dry_run and store.is_dir():
                shutil.copytree(store, tried.calibrations, dirs_exist_ok=True)
        elif args.calibrations is not None:
            tried.calibrations = None
            if hasattr(tried, "recalibrate"):
                tried.recalibrate = False
    return tried
