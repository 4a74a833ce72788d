"""labonn data: fetches published data sets, and shows what a folder holds."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.output import print_json, print_lines
from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import DataError

if TYPE_CHECKING:
    from labonn.data import DataSet
    from labonn.downloads import Report

PICTURE = 14
EXAMPLES = 5


def command(arguments: list[str], stop: Stopping) -> int:
    """`fetch` or `show`."""
    from labonn.published import EMNIST_SPLITS

    parser = Parser(prog="labonn data", description="Fetch or show data sets.")
    parser.problem = DataError
    commands = parser.add_subparsers(dest="command", required=True, metavar="fetch | show")
    fetch = commands.add_parser("fetch", help="download a published data set, check it, skip what is there already")
    fetch.problem = DataError
    fetch.add_argument("name", choices=["mnist", "kmnist", "emnist"], help="which")
    fetch.add_argument("--to", type=Path, metavar="DIR", help="folder to put it in (without it data/NAME)")
    fetch.add_argument("--split", choices=EMNIST_SPLITS, default="balanced", help="(emnist) which of its data sets")
    fetch.add_argument("--mirror", action="append", metavar="URL", help="take the files from below this URL; may be repeated")
    show = commands.add_parser("show", help="count and draw what a data set holds")
    show.problem = DataError
    show.add_argument("source", metavar="mini | DIR", help="the set in the package, or a folder of IDX files")
    for one in (fetch, show):
        one.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    args = parser.parse_args(arguments)
    if args.command == "fetch":
        return _fetch(args.name, args.split, args.to, args.mirror, args.json)
    return _show(args.source, args.json)


def _fetch(name: str, split: str, to: Path | None, mirrors: list[str] | None, json: bool) -> int:
    from labonn import published
    from labonn.data import load
    from labonn.downloads import fetch

    full = f"emnist-{split}" if name == "emnist" else name
    target = to or Path("data") / full
    with _progress() as report:
        fetched = fetch(full, target, mirrors, report, published.SETS)
    data = load(target)
    what = f"{len(fetched)} files fetched and checked" if fetched else "everything was there and is right"
    if json:
        print_json({"folder": target, "fetched": fetched, **_about(data)})
    else:
        print_lines([f"{target}: {what}", _counts(data), f"use it with --data {target}"])
    return 0


def _about(data: DataSet) -> dict[str, Any]:
    import numpy as np

    parts = {"training": data.train_labels, "test": data.test_labels}
    counts = {what: np.bincount(labels, minlength=data.classes).tolist() for what, labels in parts.items()}
    return {"name": data.name, "note": data.note, "shape": [data.rows, data.cols], "classes": data.classes, "images_a_class": counts}


@contextlib.contextmanager
def _progress() -> Iterator[Report]:
    """A bar on a terminal, elsewhere a line a file; on stderr."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def report(name: str, received: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=received)

        yield report


def _line(name: str, received: int, total: int) -> None:
    if received == total:
        print(f"{name}: {total:,} bytes", file=sys.stderr)


def _counts(data: DataSet) -> str:
    images = f"{len(data.train_labels):,} training and {len(data.test_labels):,} test images"
    return f"{images} of {data.rows} x {data.cols}, {data.classes} classes"


def _show(source: str, json: bool) -> int:
    from labonn.data import load

    data = load(source)
    about = _about(data)
    if json:
        print_json(about)
        return 0
    print_lines([f"{data.name}: {_counts(data)}", *([f"note: {data.note}"] if data.note else [])])
    for what, counts in about["images_a_class"].items():
        each = ", ".join(f"{count:,}" for count in counts) if data.classes <= 10 else f"{min(counts):,} to {max(counts):,}"
        print_lines([f"{what} images a class: {each}"])
    images = data.train_images[:EXAMPLES].reshape(-1, data.rows, data.cols)
    pictures = [_picture(image) for image in (images.swapaxes(1, 2) if "transposed" in data.note else images)]
    print("\n" + "\n".join("  ".join(row) for row in zip(*pictures, strict=True)))
    print("  ".join(f"{label:^{len(picture[0])}}" for label, picture in zip(data.train_labels[:EXAMPLES], pictures, strict=True)))
    return 0


def _picture(image: Any) -> list[str]:
    """An image as text: two pixels above each other in a character."""
    import numpy as np

    factor = max(1, math.ceil(max(image.shape) / PICTURE))
    height, width = (-(-size // (2 * factor)) * 2 for size in image.shape)
    padded = np.pad(image.astype(float), ((0, height * factor - image.shape[0]), (0, width * factor - image.shape[1])))
    dots = padded.reshape(height, factor, width, factor).mean(axis=(1, 3)) > 0.4 * max(1, image.max())
    marks = " ▀▄█" if (sys.stdout.encoding or "").lower().startswith("utf") else " '.#"
    return ["".join(marks[index] for index in dots[i] + 2 * dots[i + 1].astype(int)) for i in range(0, height, 2)]
