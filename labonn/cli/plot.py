"""labonn plot: figures of runs, for papers, talks and the notebook."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError

if TYPE_CHECKING:
    from labonn.plotting.look import Look
    from labonn.plotting.past import Past

RUN = "a folder, the folder's name, an unmistakable beginning of that, or `latest`"
AGAINST = ("steps", "evaluations", "bench-time", "epochs")
STYLES = ("paper", "slide", "dark", "gray")
SIZES = {"font_size": (4.0, 40.0), "dpi": (30, 2400)}


class PlotParser(Parser):
    """Bad input is nobody's procedure."""

    problem = LabonnError


def command(arguments: list[str], stop: Stopping) -> int:
    """Draw one figure of one run or several."""
    args = _parser().parse_args(arguments)
    from labonn.plotting.past import Past
    from labonn.record.finding import find

    with ExitStack() as stack:
        folders = [find(run, args.out) for run in args.runs]
        if twice := [folder for place, folder in enumerate(folders) if folder.resolve() in {one.resolve() for one in folders[:place]}]:
            raise LabonnError(f"{twice[0]}: this run is given twice; it would count twice")
        runs = [stack.enter_context(Past(folder)) for folder in folders]
        if args.what == "list":
            print(_listing(runs))
        else:
            _draw(args, runs)
    return 0


def _parser() -> PlotParser:
    parser = PlotParser(prog="labonn plot", description="Draw a figure of one run or several; fonts are embedded, text stays text.")
    add = parser.add_argument
    add("runs", nargs="*", metavar="RUN", help=f"{RUN}; several are compared")
    add("--what", default="learning", metavar="WHAT", help="kind of figure; `list` tells which there are, and which a run has")
    add("-o", "--output", type=Path, metavar="FILE", help="the figure, .pdf, .svg or .png (default: WHAT.pdf)")
    add("--against", choices=AGAINST, default="steps", help="x axis of what goes over the run")
    add("--mean", action="store_true", help="of runs of equal settings the mean, and a band of one standard deviation over seeds")
    add("--log", action="store_true", help="losses on a logarithmic scale")
    add("--port", metavar="NAME", help="of detectors, SLMs and actuators, or of calibrations (default: those that tell most)")
    add("--image", type=int, default=0, metavar="N", help="number of the test image, from 0")
    add("--part", metavar="NAME", help="theta or phi of a chip; a coefficient of a calibration")
    add("--width", default="single", metavar="W", help="single (85 mm), double (178 mm), or a length as 85mm or 3.4in")
    add("--height", metavar="H", help="a length (default: what suits the figure)")
    add("--font-size", type=float, default=8.0, metavar="PT", help="points")
    add("--dpi", type=int, default=300, metavar="N", help="of a PNG, and of images inside the others")
    add("--style", choices=STYLES, default="paper", help="gray: lines told apart by dashes alone; dark: light on transparent")
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="where the runs' folders are")
    return parser


def _listing(runs: list[Past]) -> str:
    """A line a kind; under it, of runs that are given, why it cannot be drawn."""
    from labonn.plotting.kinds import KINDS

    lines = []
    for name, kind in KINDS.items():
        missing = [why for past in runs if (why := kind.missing(past))]
        lines.append(f"{'-' if missing else '*' if runs else ' '} {name:<13} {kind.about}")
        lines += [f"{'':<17} {why}" for why in dict.fromkeys(missing)]
    told = f"* can be drawn of {'this run' if len(runs) == 1 else 'all these runs'}"
    return "\n".join([*lines, told if runs else "what a run has: labonn plot RUN --what list"])


def _draw(args: argparse.Namespace, runs: list[Past]) -> None:
    look = _look(args)
    from labonn.plotting.files import form_of, new_figure, save
    from labonn.plotting.kinds import KINDS, draw
    from labonn.plotting.look import looking
    from labonn.plotting.wanted import Wanted

    if args.what not in KINDS:
        import difflib

        near = difflib.get_close_matches(args.what, KINDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"kinds are {', '.join(KINDS)}"
        raise LabonnError(f"--what {args.what}: no figure is called so; {hint}")
    if not runs:
        raise LabonnError(f"a figure of which run? labonn plot latest --what {args.what}; `labonn runs list` lists them")
    path = args.output or Path(f"{args.what}.pdf")
    form_of(path)
    wanted = Wanted(args.against, args.mean, args.log, args.port, args.image, args.part)
    with looking(look):
        figure = new_figure(look, KINDS[args.what].shape(runs, wanted))
        draw(figure, args.what, runs, wanted)
        save(figure, path)
    print(f"figure: {path}")


def _look(args: argparse.Namespace) -> Look:
    from labonn.plotting.look import Look, length_mm

    for name, (low, high) in SIZES.items():
        value = getattr(args, name)
        if not low <= value <= high:
            raise LabonnError(f"--{name.replace('_', '-')} {value:g}: is outside {low:g} to {high:g}")
    height = None if args.height is None else length_mm(args.height)
    return Look(length_mm(args.width), height, args.font_size, args.dpi, args.style)
