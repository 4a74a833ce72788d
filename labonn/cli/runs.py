"""labonn runs: what has been run, what came out of it, and the record of it as files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError

if TYPE_CHECKING:
    from labonn.record.finding import Summary

RUN = "its folder, the folder's name, an unmistakable beginning of that, or `latest`"
STEPS_SHOWN = 200  # of metrics that come with every step, in --json


class RunsParser(Parser):
    """Bad input is nobody's procedure."""

    problem = LabonnError


def command(arguments: list[str], stop: Stopping) -> int:
    """List runs, or show or export one."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.action is None:
        parser.error("list, show or export is wanted")
    {"list": _list, "show": _show, "export": _export}[args.action](args)
    return 0


def _parser() -> Parser:
    about = "List, show and export what runs have recorded; runs that are under way, too."
    parser = RunsParser(prog="labonn runs", description=about)
    common = RunsParser(add_help=False)
    common.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="where the runs' folders are")
    actions: argparse._SubParsersAction[RunsParser] = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=RunsParser)
    helps = {
        "list": "all runs, the newest first",
        "show": "one run: settings, instruments, metrics, events, errors",
        "export": "the record of one run as CSV tables, a netCDF file, or event files for TensorBoard",
    }
    listing, showing, exporting = (actions.add_parser(name, parents=[common], help=told, description=told) for name, told in helps.items())
    for one in (listing, showing, exporting):
        one.add_argument("--json", action="store_true", help="as one JSON object on stdout")
    for one in (showing, exporting):
        one.add_argument("run", metavar="RUN", help=RUN)
    exporting.add_argument("--csv", type=Path, metavar="DIR", help="a folder for one file a table")
    exporting.add_argument("--netcdf", type=Path, metavar="FILE", help='one netCDF file; needs pip install "labonn[export]"')
    board = 'event files for TensorBoard, in a folder of the run\'s name in DIR; needs pip install "labonn[tensorboard]"'
    exporting.add_argument("--tensorboard", type=Path, metavar="DIR", help=board)
    exporting.add_argument("--follow", action="store_true", help="(tensorboard) go on until a run that is under way has ended")
    return parser


def _list(args: argparse.Namespace) -> None:
    from labonn.cli.output import print_json
    from labonn.cli.runs_text import listing
    from labonn.record.finding import runs, summary

    found = [summary(folder) for folder in runs(args.out)]
    if args.json:
        print_json({"runs": [_plain(one) for one in found]})
    else:
        print(listing(found) if found else f"no runs in {args.out}")


def _show(args: argparse.Namespace) -> None:
    from labonn.cli.output import print_json
    from labonn.cli.runs_text import shown
    from labonn.record import open_record
    from labonn.record.finding import find, summary

    folder = find(args.run, args.out)
    one = summary(folder)
    with open_record(folder) as record:
        about: dict[str, Any] = {"sessions": record.sessions(), "hardware": {m: record.hardware(m) for m in ("start", "end")}}
        about |= {"newest": record.newest(), "reports": record.reports(), "events": record.events(), "errors": record.errors()}
        about["checks"] = record.checks()
        about["metrics"] = {name: record.metrics(name, points=STEPS_SHOWN, kind="step") for name in record.names("step")}
    if args.json:
        print_json({**_plain(one), **about})
    else:
        print(shown(one, about))


def _export(args: argparse.Namespace) -> None:
    from labonn.cli.output import print_json
    from labonn.record import open_record
    from labonn.record.export import to_csv, to_netcdf
    from labonn.record.finding import find

    if args.csv is None and args.netcdf is None and args.tensorboard is None:
        raise LabonnError("--csv DIR, --netcdf FILE or --tensorboard DIR is wanted; see labonn runs export --help")
    if args.follow and args.tensorboard is None:
        raise LabonnError("--follow is about event files; it needs --tensorboard DIR")
    with open_record(find(args.run, args.out)) as record:
        written = [] if args.csv is None else to_csv(record, args.csv)
        written += [] if args.netcdf is None else [to_netcdf(record, args.netcdf)]
        if args.tensorboard is not None:
            from labonn.clock import RealClock
            from labonn.record.event_files import export, follow

            written.append(follow(record, args.tensorboard, RealClock()) if args.follow else export(record, args.tensorboard))
    if args.json:
        print_json({"files": written})
    else:
        print("\n".join(map(str, written)))


def _plain(one: Summary) -> dict[str, Any]:
    best = None if one.best is None else {"metric": one.best[0], "value": one.best[1]}
    return {**vars(one), "best": best}
