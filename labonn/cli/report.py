"""labonn report: a run as one HTML file, to be mailed, printed and kept."""

from __future__ import annotations

from pathlib import Path

from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError

RUN = "its folder, the folder's name, an unmistakable beginning of that, or `latest`"


class ReportParser(Parser):
    """Bad input is nobody's procedure."""

    problem = LabonnError


def command(arguments: list[str], stop: Stopping) -> int:
    """Write the report of one run."""
    args = _parser().parse_args(arguments)
    from labonn.plotting.files import write_whole
    from labonn.plotting.past import Past
    from labonn.record.finding import find
    from labonn.report.page import default_path, report_of
    from labonn.showing.words import size

    with Past(find(args.run, args.out)) as past:
        content = report_of(past)
        path = args.output or default_path(past)
    write_whole(path, content)
    print(f"report: {path} ({size(len(content))})")
    if args.open:
        _show(path)
    return 0


def _parser() -> ReportParser:
    about = "Write a run as one HTML file: no script, nothing from elsewhere; it opens from a mail and prints on A4."
    parser = ReportParser(prog="labonn report", description=about)
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the report (default: report.html in the run's folder)")
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="where the runs' folders are")
    return parser


def _show(path: Path) -> None:
    import webbrowser

    if not webbrowser.open(path.resolve().as_uri()):
        print("no browser can be opened here; open the file in one yourself")
