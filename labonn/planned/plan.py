"""What is known of a run before it is one: by port, and of the whole."""

from __future__ import annotations

from dataclasses import dataclass

from labonn.planned.margins import JointMargin, Margin


@dataclass(frozen=True)
class PortPlan:
    """What would pass between the run and one port.

    Attributes:
        tables, shots: that it has a part in. rows: frames sent, or sets of a held port. fullest, depth: most rows in its memory at once,
            and how many it holds. exchanges; sent, received: bytes. margin: of what it is commanded; None: nothing, or a detector.
    """

    port: str
    driver: str
    tables: int
    shots: int
    rows: int
    fullest: int
    depth: int
    exchanges: int
    sent: int
    received: int
    margin: Margin | None


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        procedure; bench: the file's name. light: the simulated bench that it was tried out on. borrowed: whether the bench file names none.
        ports: by port. steps: of the whole run; 0: it has none. tried: how many were played. to_end: whether what follows them was, too.
        total: tables, shots, exchanges, bench_s, compute_s, play_s, record_bytes, tape_bytes of the whole run; before, step: the same of
            all before the first step, and of one step with its share of what comes between steps.
        joints: limits of several channels. rules: slew limits and interlocks, in words. memory_bytes: of this process at its most.
        took_s: how long the trial took. problem: what ended it; None: nothing did.
        refused: whether that was a value or a table that the bench refuses, whatever its light.
    """

    procedure: str
    bench: str
    light: str
    borrowed: bool
    ports: tuple[PortPlan, ...]
    steps: int
    tried: int
    to_end: bool
    total: dict[str, float]
    before: dict[str, float]
    step: dict[str, float]
    joints: tuple[JointMargin, ...]
    rules: tuple[str, ...]
    memory_bytes: int
    took_s: float
    problem: str | None = None
    refused: bool = False
