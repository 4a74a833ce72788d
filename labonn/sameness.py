"""Whether a bench is still what it was when a checkpoint was taken: the same instruments, the same limits, the same light."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labonn.channels import Floats
from labonn.checkpoints import Checkpoint, CheckpointError

if TYPE_CHECKING:
    from labonn.bench import Bench

NOISE, DRIFT = 6.0, 0.05  # times the noise, and share of the rms light, that a probe may have moved by
HINT = "; --force goes on anyway"


def bench_digest(run: Path) -> str:
    """Of the bench file in a run's folder."""
    return hashlib.sha256((run / "bench.toml").read_bytes()).hexdigest()[:16]


def ports_of(bench: Bench) -> dict[str, dict[str, str]]:
    """port -> who it is, and a digest of what it may be set to."""
    found = {}
    for name, spec in bench.specs.items():
        told = repr((spec.unit, len(spec), spec.depth)).encode() + spec.lower.tobytes() + spec.upper.tobytes()
        found[name] = {"identity": str(bench.ports[name].identity), "limits": hashlib.sha256(told).hexdigest()[:16]}
    return found


def verify(bench: Bench, checkpoint: Checkpoint, force: bool, told: Callable[[str], None]) -> None:
    """The same instruments as when the checkpoint was taken, by what they say of themselves, with the same limits.

    Raises:
        CheckpointError: port by port, what is not.
    """
    then, now = checkpoint.about["ports"], ports_of(bench)
    problems = [f"{name}: was there, and is not in the bench file now" for name in then if name not in now]
    problems += [f"{name}: was not there" for name in now if name not in then]
    for name in [name for name in now if name in then]:
        if now[name]["identity"] != then[name]["identity"]:
            problems.append(f"{name}: {now[name]['identity']!r} answers in place of {then[name]['identity']!r}")
        elif now[name]["limits"] != then[name]["limits"]:
            problems.append(f"{name}: channels or limits are not those of the checkpoint")
    _raise(problems, checkpoint, force, told)


def compare_probe(then: Floats, one: Floats, two: Floats, checkpoint: Checkpoint, force: bool, told: Callable[[str], None]) -> None:
    """The same light as when the checkpoint was taken: outputs for the same images and settings, measured twice now.

    Raises:
        CheckpointError: they differ by more than noise and a little drift.
    """
    parts = 0.5 * (one + two) - then, (one - two) / np.sqrt(2), then
    moved, noise, light = (float(np.sqrt(np.mean(np.square(part, dtype=np.float64)))) for part in parts)
    allowed = NOISE * noise + DRIFT * light
    words = f"outputs of {len(then)} images differ from the checkpoint's by {moved:.2g} rms"
    measure = f"{allowed:.2g} allowed: {NOISE:g} times the noise of {noise:.2g}, and {DRIFT:.0%} of {light:.2g}"
    told(f"{words} ({measure})")
    _raise([f"{words}; {measure}"] if not moved <= allowed else [], checkpoint, force, told)


def _raise(problems: list[str], checkpoint: Checkpoint, force: bool, told: Callable[[str], None]) -> None:
    if problems and not force:
        raise CheckpointError("\n".join(f"{checkpoint.path.parent.parent.name}: {problem}{HINT}" for problem in problems))
    for problem in problems:
        told(f"goes on by --force, although {problem}")
