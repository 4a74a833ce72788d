"""Drift checks while a training runs: what no longer holds is measured again, and believed from then on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labonn.bench import Bench
from labonn.calibration.calibration import Calibration
from labonn.calibration.ordering import PREFIX, Part, measured, options_of
from labonn.calibration.store import Store
from labonn.calibration.validity import drifted, survey
from labonn.errors import CalibrationError
from labonn.procedures import load

SLOW = ("absorbers", "ovens")  # their light crosses cells at temperatures that a training does not leave


def note_passed(run: Any, found: Mapping[tuple[str, str], Calibration]) -> None:
    """For the run's record: the drift checks of these were played, and passed, when they were taken."""
    for (port, kind), one in found.items():
        if one.check is not None and run.record is not None:
            run.record.check(f"{kind} of {port}", 0, 0, 0, "holds, as the run begins")


@dataclass
class Beliefs:
    """The calibrations that a training believes.

    Attributes:
        bench, store, args, run: what they are of, where they are kept, the training's options and run.
        found: (port, kind) -> calibration.
    """

    bench: Bench
    store: Store
    args: argparse.Namespace
    run: Any
    found: dict[tuple[str, str], Calibration] = field(default_factory=dict)

    def take(self, found: Mapping[tuple[str, str], Calibration]) -> None:
        """Believe these, and let the run's record say so."""
        self.found = dict(found)
        self.run.believes({f"{port} {kind}": one.id for (port, kind), one in self.found.items()})

    def checked(self) -> list[tuple[str, str]]:
        """Play the drift check of all that can be checked while the cells are hot; those that no longer hold.

        The SLMs have to show fields as built, and the detectors to have their widest ranges.
        """
        off = []
        for (port, kind), one in self.found.items():
            if one.check is None or kind in SLOW or "ovens" in one.check.banks:
                continue
            told = self.bench.run(drifted(one))
            if self.run.record is not None:
                self.run.record.check(f"{kind} of {port}", len(told), 0, 0, "; ".join(told))
            if told:
                self.run.event(f"{one.title} has drifted: {'; '.join(told)}", "warning")
                off.append((port, kind))
        return off

    def measure_again(self, which: list[tuple[str, str]]) -> None:
        """Run the procedures of those, and believe what they find.

        Raises:
            CalibrationError: one of them failed, or nothing may be believed of a port afterwards.
        """
        for port, kind in which:
            procedure = load(f"{PREFIX}{kind}")
            args = options_of(procedure, self.args, self.store.folder, port=port)
            measured(procedure, self.bench, args, Part(self.run, f"again_{kind}_{port}"))
        found, refused = survey(self.store, self.bench, self.args.expired, check=False, kinds=tuple(kind for _, kind in self.found))
        lost = [refusal for refusal in refused if (refusal.port, refusal.kind) in self.found]
        if lost:
            raise CalibrationError("\n".join(map(str, lost)))
        self.take({place: found[place] for place in self.found})
        for place in which:
            self.run.event(f"{self.found[place].title} takes its place")
