"""784-128-10 trained with the true and with the optical derivative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labonn.reproduce import Choices, Row
from labonn.sweeps import Job, Outcome
from procedures.papers import guo

SOURCE = f"{guo.PAPER}, Fig. 3a-c"
KINDS = {"optical": "optical derivative", "exact": "true derivative"}


def cases(choices: Choices) -> dict[str, list[Job]]:
    """Both derivatives."""
    return {kind: guo.on_bench(choices, f"{SOURCE}: {told}", [128], optical_depth=10.0, derivative=kind) for kind, told in KINDS.items()}


def rows(choices: Choices, found: Mapping[str, Sequence[Outcome]]) -> list[Row]:
    """Test accuracies."""
    return [
        Row(told, [100 * one.result["test_accuracy"] for one in found[kind]], paper=97.3, paper_sd=0.1, by=guo.IDEAL)
        for kind, told in KINDS.items()
    ]
