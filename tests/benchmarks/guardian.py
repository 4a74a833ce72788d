"""What a guardian costs: training steps through one on this computer, as a ratio to direct ones, side by side.

`python tests/benchmarks/guardian.py [--images 6400] [--repeats 5] [--most 1.5] [--bind ADDR]` trains the vapour-cell network on two
simulated benches in turn, one opened directly and one at a guardian in a process of its own, prints both and the ratio, and ends with 1
if the ratio of the fastest epochs is above `--most`, or if the two trainings differ in one bit. On a computer that does other things
the median says more about those.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from labonn.bench import Bench
from labonn.data import load
from labonn.guardian.client import RemoteBench
from labonn.learning import Digits
from procedures.benches import vapour_cell

sys.path.insert(0, str(Path(__file__).parent))
from epoch import BATCH, SIZES, Stack


@contextmanager
def guardian(path: Path, bind: str) -> Iterator[RemoteBench]:
    """A bench at a guardian of its own."""
    command = [sys.executable, "-m", "labonn.cli", "serve", str(path), "--dry-run", "--once", "--json", "--bind", bind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        with RemoteBench.open(json.loads(process.stdout.readline())["address"]) as bench:
            yield bench


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--most", type=float, default=1.5)
    parser.add_argument("--bind", default="private", help="as of labonn serve: private, or tcp://127.0.0.1:*")
    args = parser.parse_args()
    threadpool_limits(1, user_api="blas")
    data = load("mini")
    rows = np.arange(args.images)
    pick = rows % len(data.train_labels)
    digits = Digits(data.train_images[pick], data.train_labels[pick].astype(np.int64), rows, rows[:BATCH], rows[:BATCH])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.toml"
        path.write_text(vapour_cell(SIZES), encoding="utf-8")
        with Bench.open(path, dry_run=True) as bench, guardian(path, args.bind) as remote:
            direct, guarded = Stack(bench, digits), Stack(remote, digits)  # type: ignore[arg-type]
            direct.epoch(), guarded.epoch()
            pairs = [(direct.epoch(), guarded.epoch()) for _ in range(args.repeats)]
            trip_s = time.perf_counter()
            for _ in range(200):
                remote.call("now", {})
            trip_s = (time.perf_counter() - trip_s) / 200
    steps = -(-args.images // BATCH)
    for one, other in pairs:
        print(f"a step: direct {1e3 * one / steps:.2f} ms, through the guardian {1e3 * other / steps:.2f} ms, ratio {other / one:.2f}")
    median = sorted(other / one for one, other in pairs)[len(pairs) // 2]
    ratio = min(other for _, other in pairs) / min(one for one, _ in pairs)
    same = all(np.array_equal(a, b) for a, b in zip(direct.training.learned.weights, guarded.training.learned.weights, strict=True))
    told = "the same weights, bit for bit" if same else "THE WEIGHTS DIFFER"
    print(f"ratio of the fastest {ratio:.2f} (at most {args.most}), median {median:.2f}; an empty round trip {1e6 * trip_s:.0f} us; {told}")
    return int(ratio > args.most or not same)


if __name__ == "__main__":
    sys.exit(main())
