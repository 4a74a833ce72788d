"""labonn dash: runs as a web page of this computer, live while they go on."""

from __future__ import annotations

import argparse
from pathlib import Path

from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import LabonnError

ABOUT = """Show runs as a web page: live while a run goes on in another process, and
afterwards. Everything comes from this computer, nothing from the internet;
folders of runs are only read. The page has a button that makes a bench safe,
through its guardian."""


def command(arguments: list[str], stop: Stopping) -> int:
    """Print where, and serve until Ctrl-C."""
    args = _parser().parse_args(arguments)
    if args.runs.exists() and not args.runs.is_dir():
        raise LabonnError(f"--runs {args.runs}: is a file; the folder that holds runs' folders is wanted")
    from labonn.dash.guarding import Door
    from labonn.dash.serving import bound, serve, url_of

    door = Door(args.host, args.token)
    made = bound(args.host, args.port)

    def ready() -> None:
        print(f"dashboard: {url_of(args.host, made)} (Ctrl-C ends it)", flush=True)
        if not args.runs.is_dir():
            print(f"there is no folder {args.runs} yet: runs will show once it is there (labonn run … --out {args.runs})", flush=True)
        if not door.local:
            what = "with the token also make benches safe" if door.given else "not make benches safe (--token SECRET would let them)"
            print(f"everybody who reaches {args.host} can read all runs in {args.runs}, and {what}", flush=True)
        if args.open:
            import webbrowser

            webbrowser.open(url_of(args.host, made))

    serve(args.runs, made, door, ready)
    return 0


def _parser() -> Parser:
    parser = Parser(prog="labonn dash", description=ABOUT)
    parser.problem = LabonnError
    add = parser.add_argument
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where the runs' folders are")
    add("--port", type=port, metavar="N", help="where the page is (8080, or the next free one)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="beyond 127.0.0.1 other computers can read all runs, without a password")
    add("--token", metavar="SECRET", help="what the safe button asks for; without it, with --host beyond this computer, there is no button")
    add("--open", action="store_true", help="open the page in the browser")
    return parser


def port(text: str) -> int:
    """A number from 1 to 65535."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 1 to 65535 is wanted")
    return int(text)
