"""labonn run: a procedure, on a bench, into a folder."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labonn.cli import HINT
from labonn.cli.stopping import Stopping
from labonn.errors import BenchFileError, LabonnError, ProcedureError

if TYPE_CHECKING:
    from labonn.bench import Bench
    from labonn.checkpoints import Orders
    from labonn.cli.resume import Past
    from labonn.procedures import Procedure
    from labonn.runs import Run


def command(arguments: list[str], stop: Stopping) -> int:
    """Run, and show what came out."""
    one_blas_thread()
    from labonn.cli.run_options import procedure_name

    name = procedure_name(arguments)
    if name is None:
        return _no_procedure(arguments)
    if "--plan" in arguments:
        from labonn.cli.plan_text import show

        return show(name, arguments)
    _show(*perform(name, arguments, stop))
    return 0


def perform(name: str, arguments: list[str], stop: Stopping) -> tuple[Procedure, argparse.Namespace, Run, Any, str]:
    """Parse, check everything that can be checked without instruments, then run; (procedure, options, run, result, status)."""
    from labonn.cli.run_options import check, parser_of
    from labonn.procedures import load

    procedure, past = load(name), None
    args = parser_of(procedure).parse_args(arguments)
    if args.resume is not None:
        from labonn.cli.resume import Past

        past = Past(procedure, args, parser_of(procedure), arguments)
        args = past.args
    check(args, procedure)
    if args.plan:
        raise ProcedureError("--plan is for `labonn run`; nothing was run")
    run = _new_run(args, procedure, arguments) if past is None else past.run()
    run.mode = "quiet" if args.quiet else "plain" if args.json else "auto"
    from labonn.resuming import hold

    with hold(run.folder):
        run.orders = _orders(args, stop) if past is None else past.orders(run, stop)
        return procedure, args, run, *_in_folder(procedure, args, run, stop, past)


def _orders(args: argparse.Namespace, stop: Stopping) -> Orders | None:
    """What is wanted of checkpoints; none where simulated instruments are in other threads, or a tape."""
    from labonn.checkpoints import Orders

    apart = args.replay is not None or (args.dry_run and (args.served or args.record is not None))
    return None if apart else Orders(args.checkpoint, args.dry_run, stopping=stop)


def one_blas_thread() -> None:
    """A second thread slows small matrices down; the variables work before numpy is imported, threadpoolctl after."""
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(1, user_api="blas")


def _no_procedure(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        from labonn.cli.run_options import parser_of

        parser_of(None).print_help()
        return 0
    from labonn.procedures import GROUP
    from labonn.registry import registered

    known = ", ".join(registered(GROUP)) or "none"
    raise ProcedureError(f"labonn run: which procedure? registered are: {known}; or the path of a Python file")


def _new_run(args: argparse.Namespace, procedure: Procedure, arguments: list[str]) -> Run:
    """The run's folder with its settings and its bench file."""
    from labonn.runs import Run

    bench_file = procedure.hook("bench_file")
    text = args.bench.read_bytes() if args.bench is not None else bench_file(args).encode() if bench_file else b""
    settings = {
        "command": shlex.join(["labonn", "run", *arguments]),
        "dry_run": args.dry_run,
        "ideal": args.ideal,
        "bench": args.bench or args.bench_name or "the procedure's own",
        "options": {key: value for key, value in vars(args).items() if key != "procedure"},
    }
    run = Run.create(args.out, procedure.name, settings, seed=args.seed or 0)
    run.write_bytes("bench.toml", text)
    return run


def _in_folder(procedure: Procedure, args: argparse.Namespace, run: Run, stop: Stopping, past: Past | None) -> tuple[Any, str]:
    """Open, run, make safe, then save; a signal can stop only the procedure itself."""
    from labonn.cli.output import printing

    result: Any = None
    ended: BaseException | None = None
    with stop.held():
        bench = _open(args, run)
        try:
            with bench:
                try:
                    with stop.released(), printing(args.json, args.quiet):
                        run.event(f"bench open: {', '.join(f'{port} = {device.identity}' for port, device in bench.ports.items())}")
                        run.observe(bench)
                        if past is not None:
                            past.verify(bench, run)
                        with run.alive(bench):
                            result = procedure.module.main(bench, args, run)
                except BaseException as problem:
                    ended = problem
                    raise
        except BaseException as problem:
            _save(run, result, problem, made_safe=problem is ended and not hasattr(problem, "__notes__"))
            raise
        status = "interrupted" if stop.received else "finished"
        run.finish(result, status)
    return result, status


def _open(args: argparse.Namespace, run: Run) -> Bench:
    from labonn.guardian.starting import open_bench

    extra = {name: getattr(args, name) for name in ("served", "faults", "record", "replay") if getattr(args, name)}
    if args.guarded and args.dry_run and run.orders is not None and run.orders.checkpoint is not None:
        extra["go_on"] = run.orders.checkpoint.path
    path, log = args.guardian_url or args.bench or run.path("bench.toml"), run.path("guardian.log") if args.guarded else None
    try:
        return open_bench(path, log, dry_run=args.dry_run, ideal=args.ideal, seed=args.seed, real_time=args.real_time, **extra)
    except BaseException as problem:
        run.discard()
        elsewhere = isinstance(problem, LabonnError) and not isinstance(problem, BenchFileError)
        if elsewhere and not (args.dry_run or args.replay) and "--dry-run" not in str(problem):
            raise type(problem)(f"{problem}{HINT}") from problem
        raise


def _save(run: Run, result: Any, problem: BaseException, made_safe: bool) -> None:
    """Keep what was learned; trouble with that must not hide the trouble that ended the run."""
    status = "interrupted" if isinstance(problem, KeyboardInterrupt) else "failed"
    told = "; ".join([f"{type(problem).__name__}: {problem}", *getattr(problem, "__notes__", ())])
    last_words: list[Callable[[], None]] = [
        lambda: run.event(f"{status}: {told}", "error"),
        lambda: run.fail(problem),
        lambda: run.finish(result, status, told),
    ]
    for save in last_words:
        try:
            save()
        except Exception as unsaved:
            problem.add_note(f"{run.folder}: not everything could be saved: {unsaved}")
    claim = "the bench is safe; " if made_safe else ""
    print(f"labonn: {status}; {claim}what there is so far is in {run.folder}", file=sys.stderr)
    if any(run.path("checkpoints").glob("[0-9]*.npz")):
        print(f"labonn: it goes on by: labonn run {run.procedure} --resume {run.folder}", file=sys.stderr)


def _show(procedure: Procedure, args: argparse.Namespace, run: Run, result: Any, status: str) -> None:
    from labonn.cli.output import print_json, result_lines

    if args.json:
        print_json({"procedure": procedure.name, "status": status, "folder": run.folder, "result": result})
    else:
        figures = [f"figure: {path}" for path in sorted(run.folder.glob("*.png"))]
        print("\n".join([*result_lines(result), *figures, f"folder: {run.folder}"]))
