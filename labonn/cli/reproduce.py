"""labonn reproduce: published results again, as tables and figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from labonn.cli.parser import Parser
from labonn.cli.run import one_blas_thread
from labonn.cli.stopping import Stopping
from labonn.errors import ProcedureError

OUT = "reproduced"
ABOUT = "Published results again: jobs in a sweep, then a table paper / ours / difference and a figure. Finished jobs are not done again."


def parser() -> Parser:
    """Of the command's options."""
    made = Parser(prog="labonn reproduce", description=ABOUT)
    add = made.add_argument
    add("names", nargs="*", metavar="NAME", help="experiments, Python files that are some, or all; without a name they are listed")
    add("--quick", action="store_true", help="a first look: the shipped images, few epochs, one seed")
    add("--seeds", type=int, metavar="N", help="how many seeds (default 3; with --quick 1)")
    add("--data", default="data", metavar="mini | DIR", help="folder with the data sets mnist, kmnist, emnist in it, or the shipped images")
    add("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="settings of experiments, as epochs=10")
    add("--plan", action="store_true", help="show the jobs, their settings, and what is finished; run nothing")
    add("--workers", type=int, metavar="N", help="processes on this computer (default: one a core)")
    scheduler = "a Dask scheduler, as tcp://10.0.0.5:8786; `local`: one of its own, with --workers processes"
    add("--scheduler", metavar="ADDRESS", help=scheduler)
    add("--out", type=Path, default=Path(OUT), metavar="DIR", help="finished jobs, their runs, tables and figures")
    add("--report", action="store_true", help="all tables and figures in --out as one HTML page; without a name nothing is run")
    add("--json", action="store_true", help="as one JSON object on stdout")
    add("--quiet", action="store_true", help="no progress, only tables")
    return made


def command(arguments: list[str], stop: Stopping) -> int:
    """Carry out, and show the tables; 2 if jobs failed."""
    one_blas_thread()
    args = parser().parse_args(arguments)
    if os.path.exists(args.out) and not os.path.isdir(args.out):
        raise ProcedureError(f"--out {args.out}: is a file; a folder is wanted")
    if args.workers is not None and args.workers < 1:
        raise ProcedureError(f"--workers {args.workers}: at least 1")
    from labonn.reproduce.choices import Choices

    choices = Choices(args.quick, args.seeds, args.data, _pairs(args.set), pretended=args.plan)
    if not args.names:
        return _report_alone(args) if args.report else _listed(args)
    if args.plan:
        from labonn.cli.reproduce_list import plan

        return plan(args.names, choices, args)
    return _carried_out(args, choices)


def _carried_out(args: Any, choices: Any) -> int:
    from labonn.cli.output import print_json, printing
    from labonn.cli.reproduce_text import as_json, show
    from labonn.reproduce.experiment import experiments
    from labonn.reproduce.running import reproduce
    from labonn.sweeps import Store
    from labonn.sweeps.watching import Watching

    store = Store(args.out)
    with Watching("reproduce", "quiet" if args.quiet else "plain" if args.json else "auto") as watching:
        try:
            with printing(args.json, args.quiet):
                told = reproduce(experiments(args.names), choices, store, lambda: _runner(args, store), watching)
        except KeyboardInterrupt as problem:
            if watching.total:
                problem.add_note(
                    f"{watching.finished} of {watching.total} jobs are finished, and kept in {args.out}; the same command goes on"
                )
            raise
    report = _report(args.out) if args.report else None
    if args.json:
        print_json(as_json(told, choices, report))
    else:
        show(told, choices, report)
    return 2 if any(one.failures or one.written.problems for one in told) else 0


def _runner(args: Any, store: Any) -> Any:
    if args.scheduler is None:
        from labonn.sweeps.local import LocalRunner

        return LocalRunner(store, args.workers)
    from labonn.sweeps.cluster import DaskRunner

    return DaskRunner(store, args.scheduler, args.workers)


def _pairs(words: list[str]) -> dict[str, str]:
    for word in words:
        if "=" not in word:
            raise ProcedureError(f"--set {word}: NAME=VALUE is wanted, as epochs=10; names of experiments stand before --set")
    return dict(word.split("=", 1) for word in words)


def _listed(args: Any) -> int:
    from labonn.cli.reproduce_list import listed

    return listed(args)


def _report_alone(args: Any) -> int:
    from labonn.cli.output import print_json

    path = _report(args.out)
    if args.json:
        print_json({"report": path})
    else:
        print(f"report: {path}")
    return 0


def _report(out: Path) -> Path:
    from labonn.reproduce.page import REPORT, page_of
    from labonn.sweeps import Store
    from labonn.sweeps.store import write

    path = out / REPORT
    try:
        content = page_of(out)
    except OSError as problem:
        raise ProcedureError(f"--out {out}: cannot be read: {problem.strerror or problem}") from problem
    try:
        write(path, content)
    except OSError as problem:
        raise Store.trouble(path, problem) from problem
    return path
