"""labonn init: writes a bench file, by asking or from options, from a template for a type of bench or from drivers alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labonn.cli.parser import Parser
from labonn.cli.stopping import Stopping
from labonn.errors import BenchFileError

if TYPE_CHECKING:
    from labonn.drafting.questions import Asker

ABOUT = """Write a bench file with comments: which instruments a bench has, where they are, and what
they may be set to. On a terminal it asks, port by port; scripts give --bench-type and --yes."""
USUAL = "vapour_cell"


def command(arguments: list[str], stop: Stopping) -> int:
    """Ask, or take options; check the file on simulated instruments; only then write it."""
    args = _parser().parse_args(arguments)
    if args.list:
        return _list()
    asking = sys.stdin.isatty() and not args.yes
    if not asking and (args.bench_type is None or not args.yes):
        told = f"labonn init --bench-type {args.bench_type or USUAL} -o {args.output} --yes"
        raise BenchFileError(f"labonn init asks questions, and this is no terminal; without them: {told} (types: labonn init --list)")
    from labonn.drafting.writing import there_already, write

    if args.output.exists() and not args.force:
        raise BenchFileError(there_already(args.output))
    try:
        text, kind = _asked(args) if asking else _drafted(args, args.bench_type, None)
    except EOFError:
        raise BenchFileError("the answers ended before the questions did; nothing was written") from None
    write(args.output, text, args.force)
    print(
        "\n".join([f"wrote {args.output}; every key in it has a comment, CHANGE marks what depends on your lab", *_next(args, text, kind)])
    )
    return 0


def _parser() -> Parser:
    parser = Parser(prog="labonn init", description=ABOUT)
    parser.problem = BenchFileError
    add = parser.add_argument
    add("--bench-type", metavar="NAME", help="a type of --list, or `empty`: ports from --port alone")
    add("-o", "--output", type=Path, default=Path("bench.toml"), metavar="FILE", help="what to write (default %(default)s)")
    port = "change a port (NAME.link=URL, NAME.upper='10 mA', NAME.channels=8), or add one (NAME=DRIVER); may be repeated"
    add("--port", action="append", default=[], metavar="NAME.KEY=VALUE", help=port)
    add("--discover", action="store_true", help="(--yes) put in the links of instruments that are found; questions always offer them")
    add("--yes", action="store_true", help="no questions: defaults, and what --port says")
    add("--force", action="store_true", help="write over a file that is there")
    add("--list", action="store_true", help="types of bench, and nothing else")
    return parser


def _list() -> int:
    import textwrap

    from labonn.drafting.templates import EMPTY, templates

    rows = [(name, one.title) for name, one in templates().items()]
    for name, title in [*rows, (EMPTY, "ports from drivers of your choice: --port NAME=DRIVER; `labonn instruments` lists them")]:
        print("\n".join(textwrap.wrap(title, 80, initial_indent=f"{name:<19}", subsequent_indent=" " * 19)))
    return 0


def _asked(args: Any) -> tuple[str, str]:
    import textwrap

    from labonn.drafting.questions import Asker
    from labonn.drafting.templates import EMPTY, templates

    asker = Asker(input, print)
    asker.say("Enter takes what stands in [brackets]; Ctrl-C ends this, and nothing is written.\n")
    kind = args.bench_type
    if kind is None:
        known = templates()
        for number, name in enumerate([*known, EMPTY], start=1):
            title = textwrap.shorten(known[name].title, 56, placeholder=" …") if name in known else "ports from drivers of your choice"
            asker.say(f"{number:>3}  {name:<18} {title}")
        kind = asker.choose("type of bench", [*known, EMPTY], USUAL if USUAL in known else EMPTY)
    return _drafted(args, kind, asker)


def _drafted(args: Any, kind: str, asker: Asker | None) -> tuple[str, str]:
    """(text of the file, type of bench)."""
    from labonn.benchfile import parse
    from labonn.drafting.draft import Draft, change
    from labonn.drafting.filling import ask_ports, complete, put_links, with_light
    from labonn.drafting.knowledge import own_specs
    from labonn.drafting.questions import ask_limits
    from labonn.drafting.templates import EMPTY, template
    from labonn.drafting.writing import rendered, verify

    draft = Draft(["# A bench of these instruments.\n"]) if kind == EMPTY else Draft.of(template(kind).text)
    for words in args.port:
        change(draft, words)
    if asker is not None and kind == EMPTY:
        ask_ports(asker, draft)
    complete(draft, args.output.name)
    if asker is not None or args.discover:
        put_links(draft, asker)
    plain = with_light(draft, args.output.name)
    specs = own_specs(parse(plain, args.output.name))
    if asker is not None:
        ask_limits(asker, draft, plain, specs)
    text = rendered(draft, specs, kind, str(args.output))
    verify(text, args.output.name)
    return text, kind


def _next(args: Any, text: str, kind: str) -> list[str]:
    from labonn.drafting.procedures import suited

    procedure = suited(text, kind)
    name = procedure or "PROCEDURE"
    rows = [(f"labonn check --bench {args.output}", "is everything there, and right?")]
    rows += [(f"labonn run {name} --bench {args.output} --plan", "what would be sent")]
    rows += [(f"labonn run {name} --bench {args.output} --dry-run", "on simulated instruments")]
    rows += [(f"labonn run {name} --bench {args.output}", "on yours")]
    width = max(len(line) for line, _ in rows)
    known = [] if procedure else ["  (`labonn procedures` lists what can be run; `labonn/procedures.py` says how to write one)"]
    return ["next:", *(f"  {line:<{width}}  # {what}" if width < 50 else f"  {line}" for line, what in rows), *known]
