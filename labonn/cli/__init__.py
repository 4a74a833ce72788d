"""The command line: one file a command, imported only when that command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from labonn import __version__
from labonn.cli.stopping import Stopping, stoppable
from labonn.errors import LabonnError

COMMANDS = {
    "init": "write a bench file, with comments, by asking",
    "run": "run a procedure on a bench, real or simulated",
    "runs": "list, show and export what runs have recorded",
    "report": "one HTML file of a run, with everything in it, to mail",
    "plot": "figures of runs and calibrations, as PDF, SVG or PNG",
    "dash": "show runs as a web page, live while they go on",
    "reproduce": "published results again, as tables and figures",
    "procedures": "list procedures and their options",
    "check": "open and identify every instrument of a bench; change nothing",
    "data": "fetch or show data sets",
    "discover": "list what is attached to this computer, and what it says it is",
    "instruments": "list drivers, their options, and whether there is an emulator",
    "emulate": "serve emulated instruments to any other program",
    "exec": "run any PyVISA program, unchanged, on a simulated bench",
    "serve": "own a bench's links, and make it safe when its client is gone",
    "safe": "make everything on a bench safe, now",
    "status": "show guardians: who uses the bench, outputs, errors",
    "keys": "make and allow keys for guardians that others can reach",
    "calibrations": "list, show, compare and choose calibrations",
    "completion": "a script that completes all this in bash, zsh or fish",
    "serve-slm": "serve an SLM on a monitor of this computer to benches",
}
HINT = "; to try without instruments add --dry-run"
HELP = """usage: labonn COMMAND …

Train optical neural networks on the hardware itself, or dry-run the same
bytes against simulated instruments.

commands:
{commands}

options:
  -h, --help  this help, or after a command that command's
  --version   the version
  --debug     after any command: show where in the code an error came from

first steps, without any instrument:
  labonn run train_vapour_cell --dry-run
  labonn dash                                    look at it, also while it runs
  labonn report latest                           one file of it, to mail

and with yours:
  labonn init                                    writes bench.toml, by asking
  labonn check --bench bench.toml                is everything there, and right?
  labonn run PROCEDURE --bench bench.toml --plan what would be sent
  labonn run PROCEDURE --bench bench.toml --dry-run
  labonn run PROCEDURE --bench bench.toml"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command: 0 done, 2 bad input or a failing instrument, 128 + signal if it was stopped."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = [argument for argument in given if argument != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    with stoppable() as stop:
        try:
            code = _dispatch(arguments, stop)
        except LabonnError as problem:
            if len(arguments) < len(given):
                import traceback

                traceback.print_exc()
            _report(problem)
            _advise(problem, arguments)
            code = 2
        except KeyboardInterrupt as problem:
            _report(problem, "stopped")
            code = 130
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except BrokenPipeError:
            _forget_stdout()
            code = 141
    return 128 + stop.received if stop.received else code


def _dispatch(arguments: list[str], stop: Stopping) -> int:
    name = arguments[0] if arguments else "--help"
    if name in COMMANDS:
        code: int = import_module(f"labonn.cli.{name.replace('-', '_')}").command(arguments[1:], stop)
        sys.stdout.flush()
        return code
    if name in ("-h", "--help"):
        print(_help())
    elif name == "--version":
        print(f"labonn {__version__}")
    else:
        import difflib

        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"commands are {', '.join(COMMANDS)}"
        raise LabonnError(f"no command is called {name!r}; {hint}")
    return 0


def _help() -> str:
    return HELP.format(commands="\n".join(f"  {name:<12}  {summary}" for name, summary in COMMANDS.items()))


def _report(problem: BaseException, word: str = "error") -> None:
    """One line a problem on stderr, with whatever could not be made safe; what to do instead only once."""
    from labonn.cli.output import paint

    lines = [*str(problem).splitlines(), *getattr(problem, "__notes__", ())]
    for line in lines or ([type(problem).__name__] if word == "error" else []):
        print(f"labonn: {paint(word, 'red' if word == 'error' else 'yellow', sys.stderr)}: {line.removesuffix(HINT)}", file=sys.stderr)
    if any(line.endswith(HINT) for line in lines):
        print(f"labonn: {HINT.removeprefix('; ')}", file=sys.stderr)


def _advise(problem: BaseException, arguments: Sequence[str]) -> None:
    """The next command, where one helps."""
    from labonn.cli.advice import advice

    if line := advice(problem, arguments):
        print(f"labonn: {line}", file=sys.stderr)


def _forget_stdout() -> None:
    """Nobody reads it any more; without this Python complains once more when it ends."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
