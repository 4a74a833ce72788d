"""Draws the small MNIST of the package from the full one: python tests/tools/make_mini.py MNIST_FOLDER labonn/data_mini."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np

from labonn import idx

SEED = 1998
PARTS = {"train": 500, "t10k": 100}


def main(source: Path, target: Path) -> None:
    """Writes as many images of every class, in random order; the same bytes on every run."""
    rng = np.random.default_rng(SEED)
    target.mkdir(parents=True, exist_ok=True)
    for part, count in PARTS.items():
        names = [f"{part}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        images, labels = idx.read_pair(source / names[0], source / names[1])
        chosen = np.concatenate([rng.choice(np.flatnonzero(labels == k), count, replace=False) for k in range(10)])
        rng.shuffle(chosen)
        for name, array in zip(names, (images[chosen], labels[chosen]), strict=True):
            (target / name).write_bytes(gzip.compress(idx.encode(array), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
