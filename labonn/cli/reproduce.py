"""labonn reproduce: published results again, as tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labonn.cli.parser import Parser
from labonn.cli.run import one_blas_thread
from labonn.cli.stopping import Stopping
from labonn.errors import ProcedureError

OUT = "reproduced"


def parser() -> Parser:
    """Of the command's options."""
    made = Parser(prog="labonn reproduce", description="Published results again: jobs in a sweep, then a table paper / ours and a figure.")
    add = made.add_argument
    add("names", nargs="*", metavar="NAME", help="experiments, or all; without a name they are listed")
    add("--quick", action="store_true", help="a first look: the shipped images, few epochs, one seed")
    add("--seeds", type=int, metavar="N", help="how many seeds (default 3; with --quick 1)")
    add("--data", default="data", metavar="DIR|mini", help="folder with the data sets mnist, kmnist, emnist in it (default %(default)s)")
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of experiments, as epochs=10")
    where = made.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, metavar="N", help="processes on this computer (default: one a core)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, as tcp://10.0.0.5:8786")
    add("--out", type=Path, default=Path(OUT), metavar="DIR", help="finished jobs, their runs, tables and figures (default %(default)s)")
    add("--report", action="store_true", help="all tables and figures as one HTML page")
    add("--json", action="store_true", help="as one JSON object on stdout")
    add("--quiet", action="store_true", help="no progress, only tables")
    return made


def command(arguments: list[str], stop: Stopping) -> int:
    """Carry out, and show the tables; 2 if jobs failed."""
    one_blas_thread()
    args = parser().parse_args(arguments)
    from labonn.reproduce.choices import Choices
    from labonn.reproduce.experiment import experiments

    if not args.names:
        return _listed()
    wanted = experiments(args.names)
    choices = Choices(args.quick, args.seeds, args.data, _pairs(args.set))
    from labonn.cli.reproduce_text import show
    from labonn.reproduce.running import reproduce
    from labonn.sweeps import Store

    store = Store(args.out)
    told = reproduce(wanted, choices, store, lambda: _runner(args, store), None)
    show(told, choices, args)
    return 2 if any(one.failures for one in told) else 0


def _runner(args: Any, store: Any) -> Any:
    from labonn.sweeps.local import LocalRunner

    return LocalRunner(store, args.workers)


def _pairs(words: list[str]) -> dict[str, str]:
    for word in words:
        if "=" not in word:
            raise ProcedureError(f"--set {word}: NAME=VALUE is wanted, as epochs=10")
    return dict(word.split("=", 1) for word in words)


def _listed() -> int:
    from labonn.cli.output import print_lines
    from labonn.reproduce.experiment import ALL, experiments

    known = experiments([ALL])
    width = max(len(one.name) for one in known)
    print_lines(f"{one.name:<{width}}  {one.title}" for one in known)
    return 0
