"""The options of labonn run: those of every run, and the procedure's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from labonn.cli.parser import Parser, count, seed
from labonn.errors import BenchFileError, ProcedureError
from labonn.faults import parse_fault
from labonn.procedures import Procedure

WITH_VALUE = ("--bench", "--seed", "--out", "--fault", "--record", "--replay", "--resume", "--checkpoint")
SIMULATION_OPTIONS = ("ideal", "real_time", "served", "faults")


def procedure_name(arguments: list[str]) -> str | None:
    """The first argument that is neither an option of `run` nor its value."""
    rest = iter(arguments)
    for argument in rest:
        if argument in WITH_VALUE:
            next(rest, None)
        elif not argument.startswith("-"):
            return argument
    return None


def parser_of(procedure: Procedure | None) -> Parser:
    """One parser for both, so that --help shows both; without a procedure those of every run."""
    name = procedure.name if procedure else "PROCEDURE"
    usage = f"labonn run {name} [--bench FILE] [--dry-run] [options]"
    parser = Parser(prog=f"labonn run {name}", usage=usage, description=_description(procedure))
    parser.add_argument("procedure", metavar="PROCEDURE", help="one of `labonn procedures`, or a Python file; before its own options")
    group = parser.add_argument_group("the run")
    which = "which instruments, on which links (without it the procedure's own; some have several, by name), or a guardian's URL"
    group.add_argument("--bench", type=bench_place, metavar="FILE|URL", help=which)
    group.add_argument("--dry-run", action="store_true", help="simulated instruments in place of the links; nothing real is touched")
    plan = "print what would be sent, against which limits, and how long it would take; no instrument is touched, nothing is kept"
    group.add_argument("--plan", action="store_true", help=plan)
    group.add_argument("--ideal", action="store_true", help="(dry run) every imperfection of the simulated bench off")
    group.add_argument("--real-time", action="store_true", help="(dry run) waits last as long as they would")
    group.add_argument("--served", action="store_true", help="(dry run) talk to the emulators over sockets and ptys")
    fault = "(dry run) something goes wrong, such as gain:timeout@100; `labonn emulate --help` has the list; may be repeated"
    group.add_argument("--fault", action="append", default=[], metavar="PORT:KIND", dest="faults", help=fault)
    group.add_argument("--record", type=Path, metavar="FILE", help="write every exchange with an instrument on a tape, a new text file")
    group.add_argument("--replay", type=Path, metavar="FILE", help="repeat a run from its tape: the same command with this for --record")
    guardian = "a process that makes the bench safe when this one is gone (default: for real instruments)"
    group.add_argument("--guardian", action=argparse.BooleanOptionalAction, default=None, help=guardian)
    group.add_argument("--seed", type=seed, metavar="N", help="of the run (0), and of the simulated bench (its file's)")
    group.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="where the run's folder is made")
    resume = "go on with a training where it ended: its folder, its name in --out, or `latest`; its settings stay"
    group.add_argument("--resume", metavar="RUN", help=resume)
    checkpoint = "steps between checkpoints (default: as often as costs 1 %% of the time; 0: only where it ends, or is stopped)"
    group.add_argument("--checkpoint", type=count, metavar="N", help=checkpoint)
    group.add_argument("--force", action="store_true", help="(--resume) on instruments that are not as they were")
    group.add_argument("--json", action="store_true", help="the result as one JSON object on stdout, nothing else")
    group.add_argument("--quiet", action="store_true", help="no progress; on stderr nothing but warnings and errors")
    if procedure is not None:
        _add_options(procedure, parser)
    return parser


def _description(procedure: Procedure | None) -> str:
    general = "Run a procedure. `labonn run PROCEDURE --help` shows its own options too."
    return (procedure.module.__doc__ or "").strip() if procedure else general


def _add_options(procedure: Procedure, parser: Parser) -> None:
    try:
        procedure.module.options(parser)
    except argparse.ArgumentError as problem:
        raise ProcedureError(f"{procedure.source}: an option of `labonn run` is in the way: {problem}") from problem


def check(args: argparse.Namespace, procedure: Procedure) -> None:
    """Everything that can be wrong before a folder is made or an instrument opened."""
    check_plan(args)
    for option in SIMULATION_OPTIONS:
        if getattr(args, option) and not args.dry_run:
            name = option.replace("_", "-").removesuffix("s")
            raise ProcedureError(f"--{name} is about simulated instruments; it needs --dry-run")
    for fault in args.faults:
        parse_fault(fault)
    check_tapes(args)
    check_guardian(args)
    if args.force and args.resume is None:
        raise ProcedureError("--force is about going on with a run; it needs --resume")
    if args.checkpoint and (args.replay is not None or (args.dry_run and (args.served or args.record is not None))):
        told = "simulated instruments are reached from outside, or a tape; no checkpoint of them can be taken"
        raise ProcedureError(f"--checkpoint: with --served, --record or --replay {told}")
    own: tuple[str, ...] = getattr(procedure.module, "benches", ())
    args.bench_name = str(args.bench) if str(args.bench) in own else None
    if args.bench_name:
        args.bench = None
    if args.bench is None and procedure.hook("bench_file") is None:
        raise ProcedureError(f"{procedure.name} has no bench of its own; give one with --bench FILE")
    if isinstance(args.bench, Path) and not args.bench.exists():
        args.bench = shipped(args.bench) or args.bench
    if args.bench is not None and not args.bench.is_file():
        named = f"no such file; {procedure.name} has benches of its own: {', '.join(own)}"
        raise BenchFileError(f"--bench {args.bench}: {named if own and not args.bench.exists() else no_file(args.bench)}")
    own_check = procedure.hook("check")
    if own_check is not None:
        own_check(args)


def shipped(name: Any) -> Path | None:
    """The template of that name, where a bench file was wanted and there is none; None: there is no such name either."""
    from labonn.drafting.templates import path_of

    return path_of(str(name)) if len(Path(str(name)).parts) == 1 else None


def no_file(path: Path) -> str:
    """What to say of a bench file that is none."""
    return "is a folder" if path.is_dir() else "no such file; `labonn init` writes one by asking"


def bench_place(text: str) -> Any:
    """A path, or the URL of a guardian."""
    if "://" not in text:
        return Path(text)
    from labonn.guardian.asking import BenchUrl

    return BenchUrl(text)


def check_guardian(args: argparse.Namespace) -> None:
    """Whose the bench is; `args.guarded`: whether a guardian is to be started for it."""
    args.guardian_url = None if args.bench is None or isinstance(args.bench, Path) else args.bench
    args.guarded = args.guardian if args.guardian is not None else not (args.dry_run or args.replay or args.guardian_url)
    given = {"--dry-run": args.dry_run, "--record": args.record, "--replay": args.replay, "--[no-]guardian": args.guardian is not None}
    if args.guardian_url is not None and any(given.values()):
        option = next(name for name, value in given.items() if value)
        raise ProcedureError(f"--bench {args.guardian_url}: is a guardian's bench as it is; {option} is `labonn serve`'s business")
    if args.guarded and args.replay is not None:
        raise ProcedureError("--replay and --guardian exclude each other: on a tape there is nothing to guard")


def check_plan(args: argparse.Namespace) -> None:
    """A plan is of a new run, on instruments that do as they should."""
    for option in ("resume", "replay", "faults", "served", "real_time"):
        if args.plan and getattr(args, option):
            name = option.replace("_", "-").removesuffix("s")
            raise ProcedureError(f"--plan and --{name} exclude each other: a plan is of a new run, on instruments that do as they should")


def check_tapes(args: argparse.Namespace) -> None:
    """A tape is played alone, and recorded to a new file."""
    against = [f"--{name.replace('_', '-')}" for name in ("record", "real_time", "served") if getattr(args, name)]
    if args.replay is not None and against:
        raise ProcedureError(f"--replay and {against[0]} exclude each other: the tape answers in place of instruments, and nobody waits")
    if args.replay is not None and not args.replay.is_file():
        raise ProcedureError(f"--replay {args.replay}: {'is a folder' if args.replay.is_dir() else 'no such file'}")
    if args.record is not None and args.record.exists():
        raise ProcedureError(f"--record {args.record}: is there already; a tape is never overwritten")
    if args.record is not None and not args.record.parent.is_dir():
        raise ProcedureError(f"--record {args.record}: there is no folder {args.record.parent}")
