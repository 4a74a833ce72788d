"""Which registered procedure a bench is for: one whose own bench has the same light."""

from __future__ import annotations

import argparse
import contextlib

from labonn.benchfile import parse
from labonn.errors import LabonnError
from labonn.procedures import GROUP, Procedure, load
from labonn.registry import registered


def suited(text: str, kind: str) -> str | None:
    """Its name: one that trains, at best one named after the light, else one that is made for this type of bench; None: none is known."""
    light = str(parse(text, "bench.toml").simulation.get("bench"))
    names = sorted(registered(GROUP), key=lambda name: (not name.startswith("train_"), light not in name, name.endswith("_all"), name))
    for name in names:
        with contextlib.suppress(LabonnError):
            procedure = load(name)
            if kind in getattr(procedure.module, "benches", ()) or light in _lights(procedure):
                return name
    return None


def _lights(procedure: Procedure) -> list[str]:
    """Of the bench that it has without options."""
    own, several = procedure.hook("bench_file"), getattr(procedure.module, "benches", None)
    if own is None or several:
        return []
    parser = argparse.ArgumentParser(add_help=False)
    procedure.module.options(parser)
    args = parser.parse_args([])
    args.bench, args.bench_name = None, None
    return [str(parse(own(args), "bench.toml").simulation.get("bench"))]
