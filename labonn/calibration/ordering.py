"""Which calibrations a bench needs, in which order: procedures are found by entry point, and say which benches and ports they are for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labonn.bench import Bench
from labonn.errors import LabonnError, ProcedureError
from labonn.procedures import GROUP, Procedure, load
from labonn.registry import registered

PREFIX = "calibrate_"
ORDER = (
    "settling", "detectors", "modulators", "gain_sections", "slm_phase", "slm_weights", "absorbers", "ovens", "heaters", "mesh", "matrix",
)  # fmt: skip
AFTER: dict[str, tuple[str, ...]] = {
    "slm_weights": ("modulators",), "absorbers": ("modulators",), "ovens": ("absorbers",), "mesh": ("heaters",), "matrix": ("slm_weights",),
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One procedure that a bench needs.

    Attributes:
        kind: of calibration. procedure: that measures it. ports: that it is of; () where only the procedure knows.
        after: kinds that it needs.
    """

    kind: str
    procedure: Procedure
    ports: tuple[str, ...]
    after: tuple[str, ...]


def procedures() -> tuple[dict[str, Procedure], dict[str, str]]:
    """(kind -> the registered procedure that measures it, name -> why it cannot be imported); calibrate_all is in neither."""
    found: dict[str, Procedure] = {}
    broken: dict[str, str] = {}
    for name in registered(GROUP):
        if name.startswith(PREFIX) and name != f"{PREFIX}all":
            try:
                one = load(name)
            except LabonnError as problem:
                broken[name] = str(problem)
                continue
            found[str(getattr(one.module, "KIND", name.removeprefix(PREFIX)))] = one
    return found, broken


def needed(bench: Bench, known: Mapping[str, Procedure]) -> list[Step]:
    """The steps of a bench, each after those that it needs.

    A procedure is for a bench if its `applies(bench)` says so; without such a function, if the light of the bench is one of its `benches`.
    Its `ports(bench)` names the ports that get a calibration, its `AFTER` the kinds that are measured before; both are optional.
    """
    steps = {kind: _step(kind, one, bench) for kind, one in known.items() if _applies(one, bench)}
    order = sorted(steps, key=lambda kind: (ORDER.index(kind) if kind in ORDER else len(ORDER), kind))
    sorted_: list[Step] = []
    while order:
        ready = [kind for kind in order if not any(other in order for other in steps[kind].after if other != kind)]
        if not ready:
            raise ProcedureError(f"calibrations that wait for each other: {', '.join(order)} (AFTER of their procedures)")
        sorted_.append(steps[ready[0]])
        order.remove(ready[0])
    return sorted_


def light_of(bench: Bench) -> str:
    """The name of the light that connects the bench's ports, as its file has it; "" if it does not tell."""
    return str(bench.file.simulation.get("bench", ""))


def _applies(procedure: Procedure, bench: Bench) -> bool:
    applies = procedure.hook("applies")
    return bool(applies(bench)) if applies else light_of(bench) in getattr(procedure.module, "benches", ())


def _step(kind: str, procedure: Procedure, bench: Bench) -> Step:
    ports = procedure.hook("ports")
    after = tuple(getattr(procedure.module, "AFTER", AFTER.get(kind, ())))
    return Step(kind, procedure, tuple(ports(bench)) if ports else (), after)


def options_of(procedure: Procedure, args: argparse.Namespace, store: Path, **own: Any) -> argparse.Namespace:
    """The procedure's options at their defaults, with the store and all that every run has taken from `args`."""
    parser = argparse.ArgumentParser(prog=procedure.name, add_help=False)
    procedure.module.options(parser)
    found = {**vars(args), **vars(parser.parse_args([])), "calibrations": store, "bench_name": None}
    return argparse.Namespace(**{**found, **{key: value for key, value in own.items() if key in found}})


def measured(procedure: Procedure, bench: Bench, args: argparse.Namespace, run: Any) -> dict[str, Any]:
    """Run a procedure on an open bench; its result.

    Args:
        args: of `options_of`. run: where its events and figures go.
    """
    check = procedure.hook("check")
    if check:
        check(args)
    return dict(procedure.module.main(bench, args, run))


class Part:
    """One procedure's part of a run: its figures and arrays are named after it; all else is the run's.

    Args:
        run: of all. kind: of calibration.
    """

    def __init__(self, run: Any, kind: str) -> None:
        self._run, self._kind = run, kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def save_figure(self, name: str, draw: Any) -> Path:
        """As Run.save_figure."""
        return Path(self._run.save_figure(self._named(name), draw))

    def save_arrays(self, name: str, **arrays: Any) -> Path:
        """As Run.save_arrays."""
        return Path(self._run.save_arrays(self._named(name), **arrays))

    def keep(self, name: str, arrays: Any) -> None:
        """As Run.keep."""
        self._run.keep(self._named(name), arrays)

    def _named(self, name: str) -> str:
        rest = name.removeprefix("calibration").lstrip("_")
        return f"{self._kind}_{rest}" if rest else self._kind
