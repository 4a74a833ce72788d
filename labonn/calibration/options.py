"""Options that all calibrating procedures share, and the store that they mean."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from labonn.calibration.store import DEFAULT, Store
from labonn.errors import ProcedureError


def store_option(parser: argparse.ArgumentParser) -> None:
    """`--calibrations DIR`."""
    where = "where calibrations are kept (default: calibrations, beside the runs)"
    parser.add_argument("--calibrations", type=Path, metavar="DIR", help=where)


def store_of(args: argparse.Namespace) -> Store:
    """The store for a run's options."""
    return Store(args.calibrations if args.calibrations is not None else args.out.parent / DEFAULT)


def calibration_options(parser: argparse.ArgumentParser) -> None:
    """What all calibrating procedures take."""
    store_option(parser)
    add = parser.add_argument
    add("--levels", type=int, default=16, metavar="N", help="levels of a pass through the range (default %(default)s)")
    passes = "passes, an even number: the first half is compared with the second"
    add("--passes", type=int, default=2, metavar="N", help=f"{passes} (default %(default)s)")
    add("--fresh", type=int, default=8, metavar="N", help="points a channel to verify with, which are not fitted (default %(default)s)")
    tolerance = "of fresh points, as a part of the channel's swing"
    add("--tolerance", type=float, default=0.01, metavar="R", help=f"{tolerance} (default %(default)s)")
    add("--leave-out", type=int, default=0, metavar="N", help="channels that may fail; they are left out (default %(default)s)")
    add("--condition", nargs="+", default=[], metavar="KEY=VALUE", help="to be kept with it, such as wavelength_nm=780.24")
    add("--days", type=float, default=30.0, metavar="D", help="days until it expires; 0: never (default %(default)s)")


def check_options(args: argparse.Namespace) -> None:
    """Raise ProcedureError for values that make no sense."""
    numbers = ("levels", args.levels, 8), ("passes", args.passes, 2), ("fresh", args.fresh, 2), ("leave-out", args.leave_out, 0)
    for name, value, least in numbers:
        if value < least:
            raise ProcedureError(f"--{name} {value}: at least {least}")
    conditions_of(args)
    if args.passes % 2:
        raise ProcedureError(f"--passes {args.passes}: an even number is wanted, to compare the two halves of the sweep")
    if not 0 < args.tolerance < 1 or not 0 <= args.days < 36500:
        raise ProcedureError(f"--tolerance {args.tolerance:g}, --days {args.days:g}: between 0 and 1; not negative, and below 36500")


def conditions_of(args: argparse.Namespace) -> dict[str, float | str]:
    """`--condition`: numbers where they are numbers.

    Raises:
        ProcedureError: not KEY=VALUE.
    """
    found: dict[str, float | str] = {}
    for text in args.condition:
        key, given, value = text.partition("=")
        if not given or not key:
            raise ProcedureError(f"--condition {text}: KEY=VALUE is wanted")
        try:
            number = float(value)
            found[key] = number if math.isfinite(number) else value
        except ValueError:
            found[key] = value
    return found
