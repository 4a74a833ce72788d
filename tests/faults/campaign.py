"""The fault campaign: every fault on every bench at several moments of a run; a table of what came of it, exit code 1 on any failure.

    python tests/faults/campaign.py [--quick] [--only PATTERN] [--json FILE] [--verbose]
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import benches
from cases import Case, every
from host import run_case
from judging import FAILED, NEVER, NOTED, OUTCOMES, RECOVERED, TOLD, UNDETECTABLE, UNREACHABLE, Verdict
from running import Seen, reference

QUICK = 600
LETTERS = {RECOVERED: "r", TOLD: "e", UNREACHABLE: "x", NOTED: "n", UNDETECTABLE: "u", NEVER: "o", FAILED: "F"}


def chosen(cases: Sequence[Case], quick: bool, only: str) -> list[Case]:
    """All, those whose name matches, or so many of them, evenly taken."""
    found = [case for case in cases if re.search(only, case.name)]
    return found[:: -(-len(found) // QUICK)] if quick else found


def main() -> int:
    """0 if nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"at most {QUICK} of them, evenly taken")
    parser.add_argument("--only", default="", metavar="PATTERN", help="cases whose name (bench port kind moment) matches")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all verdicts")
    parser.add_argument("--verbose", action="store_true", help="a line a case")
    args = parser.parse_args()
    start = time.monotonic()
    references = {bench: reference(bench) for bench in benches.ALL}
    whole = every(references)
    cases = chosen(whole, args.quick, args.only)
    verdicts = [(case, judged(case, references, args.verbose)) for case in cases]
    print(table(verdicts))
    failed = [(case, verdict) for case, verdict in verdicts if verdict.outcome == FAILED]
    for case, verdict in failed:
        print(f"FAILED {case.name}: {verdict.why}")
    counts = collections.Counter(verdict.outcome for _, verdict in verdicts)
    print(f"{len(cases)} of {len(whole)} cases in {time.monotonic() - start:.0f} s: " + ", ".join(f"{counts[o]} {o}" for o in OUTCOMES))
    if args.json:
        rows = [{"name": c.name, "fault": c.word, "driver": c.driver, "outcome": v.outcome, "why": v.why} for c, v in verdicts]
        args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 1 if failed else 0


def judged(case: Case, references: dict[str, Seen], verbose: bool = False) -> Verdict:
    """Run a case and judge it."""
    verdict = run_case(case, references[case.bench])
    if verbose:
        print(f"{verdict.outcome:<24} {case.name}  {verdict.why}", flush=True)
    return verdict


def table(verdicts: Sequence[tuple[Case, Verdict]]) -> str:
    """Fault x bench; in every field how many cases came to what."""
    names = list(dict.fromkeys(case.bench for case, _ in verdicts))
    kinds = list(dict.fromkeys(case.kind for case, _ in verdicts))
    fields: dict[tuple[str, str], collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for case, verdict in verdicts:
        fields[case.kind, case.bench][LETTERS[verdict.outcome]] += 1
    cells = {key: " ".join(f"{n}{letter}" for letter, n in sorted(found.items())) for key, found in fields.items()}
    rows = [["", *names], *([kind, *(cells.get((kind, name), "-") for name in names)] for kind in kinds)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(names) + 1)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    legend = ", ".join(f"{letter} {outcome}" for outcome, letter in LETTERS.items())
    return "\n".join([*lines, legend])


if __name__ == "__main__":
    sys.exit(main())
