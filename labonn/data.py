"""Data sets: the small one in the package, or any folder of IDX files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labonn import idx
from labonn.errors import DataError
from labonn.showing import Sheet, Shown
from labonn.showing.others import data_sheet

MINI = "mini"
SPLIT_SEED = 20210216
TRAIN_SHARE = 0.8
PATTERNS = {
    "training images": ("*train-images*ubyte",),
    "training labels": ("*train-labels*ubyte",),
    "test images": ("*t10k-images*ubyte", "*test-images*ubyte"),
    "test labels": ("*t10k-labels*ubyte", "*test-labels*ubyte"),
}


@dataclass(frozen=True, repr=False)
class DataSet(Shown):
    """Labelled images.

    Attributes:
        train_images, test_images: (n, rows * cols) gray levels 0 to 255, row-major.
        train_labels, test_labels: (n,) classes from 0.
        classes: number of classes (highest label + 1). rows, cols: of an image.
        note: what anybody who shows a number from this set must say about it; may be empty.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]
    name: str
    classes: int
    rows: int
    cols: int
    note: str = ""

    def _sheet(self) -> Sheet:
        return data_sheet(self)


class Sample(NamedTuple):
    """Some of the images, (n, rows * cols), and their labels, (n,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def load(source: str | Path) -> DataSet:
    """The data set called "mini", or the one in a folder of `*train-images-idx3-ubyte[.gz]`, `*t10k-…` or `*test-…` files.

    A folder with training files only, or test files only, is split 80/20 with a fixed seed; its note says so.

    Raises:
        DataError: no such folder, files missing, several sets in one folder, or a file that is not what its name says.
    """
    return _load_mini() if str(source) == MINI else _load_folder(Path(source).expanduser())


def picked(data: DataSet, pixels: int) -> DataSet:
    """The set with images of so many pixels: every n-th of each row and column, from the middle of the first n x n pixels on.

    Raises:
        DataError: the image cannot be cut into that many equal square blocks.
    """
    every = round((data.rows * data.cols / pixels) ** 0.5)
    rows, cols = (np.arange(every // 2, size, max(every, 1)) for size in (data.rows, data.cols))
    if every < 1 or data.rows % every or data.cols % every or len(rows) * len(cols) != pixels:
        raise DataError(f"images of {data.rows} x {data.cols} pixels do not have {pixels} pixels that are equally far apart")
    if every == 1:
        return data
    index = (rows[:, None] * data.cols + cols).ravel()
    train, test = (np.ascontiguousarray(images[:, index]) for images in (data.train_images, data.test_images))
    name = f"{data.name}, every {every}th pixel"
    return replace(data, train_images=train, test_images=test, name=name, rows=len(rows), cols=len(cols))


def split_validation(data: DataSet, seed: int = 0) -> tuple[Sample, Sample]:
    """The test images split at random into halves: validation, which picks the best epoch, and test, which is reported (Guo, App. A.4)."""
    order = np.random.default_rng(seed).permutation(len(data.test_labels))
    half = len(order) // 2
    first, second = (Sample(data.test_images[rows], data.test_labels[rows]) for rows in (np.sort(order[:half]), np.sort(order[half:])))
    return first, second


def _load_mini() -> DataSet:
    folder = files("labonn") / "data_mini"
    pairs = [
        idx.read_pair(*(folder / f"{part}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")))  # type: ignore[arg-type]
        for part in ("train", "t10k")
    ]
    note = "500 + 100 images of MNIST of each digit, drawn at random"
    return _data_set(pairs[0], pairs[1], MINI, note)


def _load_folder(folder: Path) -> DataSet:
    found = {what: path for what in PATTERNS if (path := _only_file(folder, what)) is not None}
    for part in ("training", "test"):
        have = [what for what in found if what.startswith(part)]
        if len(have) == 1:
            missing = next(what for what in PATTERNS if what.startswith(part) and what not in found)
            raise DataError(f"{folder}: {found[have[0]].name} has no {missing} beside it; looked for {_wanted(missing)}")
    note = "images transposed, as in the original EMNIST files" if any("emnist" in p.name for p in found.values()) else ""
    if len(found) == len(PATTERNS):
        train, test = (idx.read_pair(found[f"{part} images"], found[f"{part} labels"]) for part in ("training", "test"))
        return _data_set(train, test, folder.resolve().name, note)
    return _split_one(folder, found, note)


def _only_file(folder: Path, what: str) -> Path | None:
    """The one file that is `what`; where it is there both plain and compressed, the plain one."""
    if not folder.is_dir():
        kind = "is a file, not a folder" if folder.exists() else "no such folder"
        raise DataError(f'{folder}: {kind}; data is "{MINI}" or a folder of IDX files (`labonn data fetch mnist` makes one)')
    paths = {path for pattern in PATTERNS[what] for ending in ("", ".gz") for path in folder.glob(pattern + ending)}
    stems = sorted({path.name.removesuffix(".gz") for path in paths})
    if len(stems) > 1:
        raise DataError(f"{folder}: several files of {what}: {', '.join(stems)}; keep one data set in a folder")
    return min(paths, key=lambda path: len(path.name), default=None)


def _split_one(folder: Path, found: Mapping[str, Path], note: str) -> DataSet:
    """A set of which only the training or only the test files are there."""
    if not found:
        names = sorted(path.name for path in folder.iterdir())
        there = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "nothing"
        raise DataError(f"{folder}: no data set; looked for {_wanted('training images')}, …, {_wanted('test labels')}; there is {there}")
    part = "training" if "training images" in found else "test"
    images, labels = idx.read_pair(found[f"{part} images"], found[f"{part} labels"])
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    cut = round(TRAIN_SHARE * len(labels))
    if cut in (0, len(labels)):
        raise DataError(f"{found[f'{part} images']}: {len(labels)} images are too few to split into training and test images")
    (first, second) = ((images[rows], labels[rows]) for rows in (np.sort(order[:cut]), np.sort(order[cut:])))
    split = f"the folder has {part} images only: {cut:,} of them train, {len(labels) - cut:,} test (split by seed {SPLIT_SEED})"
    return _data_set(first, second, folder.resolve().name, "; ".join(filter(None, (split, note))))


def _data_set(train: tuple[idx.Bytes, idx.Bytes], test: tuple[idx.Bytes, idx.Bytes], name: str, note: str) -> DataSet:
    (train_images, train_labels), (test_images, test_labels) = train, test
    if train_images.shape[1:] != test_images.shape[1:]:
        shapes = [" x ".join(map(str, images.shape[1:])) for images in (train_images, test_images)]
        raise DataError(f"{name}: training images are {shapes[0]} pixels, test images are {shapes[1]}")
    classes = int(train_labels.max()) + 1
    if test_labels.max() >= classes:
        raise DataError(f"{name}: test label {test_labels.max()} is out of range; the training labels are 0 to {classes - 1}")
    rows, cols = train_images.shape[1:]
    flat = [images.reshape(len(images), rows * cols) for images in (train_images, test_images)]
    return DataSet(flat[0], train_labels, flat[1], test_labels, name, classes, rows, cols, note)


def _wanted(what: str) -> str:
    return " or ".join(f"{pattern}[.gz]" for pattern in PATTERNS[what])
