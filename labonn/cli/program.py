"""labonn.run: what the command `labonn run` does, from a program or a notebook."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

from labonn.errors import ProcedureError
from labonn.record.reading import Record


def run(procedure: str, **options: Any) -> Record:
    """Run a procedure as the command `labonn run` does: same checks, safety, run folder, record and checkpoints.

        done = labonn.run("train_chip", dry_run=True, steps=20)
        more = labonn.run("train_chip", resume="latest")

    Args:
        procedure: one of `labonn procedures`, or the path of a Python file.
        options: those of `labonn run PROCEDURE --help`, with _ for -; True for what takes no value, False or None: not given.

    Returns:
        The run's record, as `labonn.open_run` has it.

    Raises:
        ProcedureError: no such procedure or option. LabonnError: what went wrong; the bench is safe, the run's folder has what there is.
        KeyboardInterrupt: it was interrupted, and can be resumed.
    """
    from labonn.cli.run import perform
    from labonn.cli.run_options import parser_of
    from labonn.cli.stopping import stoppable
    from labonn.procedures import load
    from labonn.record import open_record

    if options.get("plan"):
        raise ProcedureError(f"plan: nothing is run by that; the command `labonn run {procedure} --plan` prints it")
    arguments = [os.fspath(procedure), *words(parser_of(load(os.fspath(procedure))), options)]
    with stoppable() as stop, _one_blas_thread():
        _, _, done, _, _ = perform(arguments[0], arguments, stop)
    if stop.received:  # when there was nothing left to be stopped; what follows this call is to be
        raise KeyboardInterrupt(signal.Signals(stop.received).name)
    return open_record(done.folder)


def words(parser: argparse.ArgumentParser, options: Mapping[str, Any]) -> list[str]:
    """Options as the command line has them.

    Raises:
        ProcedureError: there is no such option, or it takes no such value.
    """
    by_name = {name: action for action in parser._actions for name in _names(action)}
    found: list[str] = []
    for name, value in options.items():
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, n=1)
            hint = f"did you mean {near[0]}?" if near else f"see `{parser.prog} --help`"
            raise ProcedureError(f"{parser.prog}: there is no option {name} = {value!r}; {hint}")
        found += _given(by_name[name], name, value)
    return found


def _names(action: argparse.Action) -> list[str]:
    """As Python has them: "dry_run", also where the command stores it under another name."""
    options = [option[2:].replace("-", "_") for option in action.option_strings if option.startswith("--")]
    return [name for name in dict.fromkeys([*options, action.dest]) if action.option_strings and name != "help"]


def _given(action: argparse.Action, name: str, value: Any) -> list[str]:
    if value is None or (value is False and not isinstance(action, argparse.BooleanOptionalAction)):
        return []
    option = next(option for option in action.option_strings if option.startswith("--"))
    if isinstance(action, argparse.BooleanOptionalAction):
        return [option if value else f"--no-{option[2:]}"]
    if action.nargs == 0:
        if value is not True:
            raise ProcedureError(f"{name} = {value!r}: True or False is wanted")
        return [option]
    if value is True:
        raise ProcedureError(f"{name} = True: a value is wanted, {action.metavar or 'such as ' + repr(action.default)}")
    several = value if isinstance(value, (list, tuple)) else [value]
    texts = [_text(name, one) for one in several]
    if isinstance(action, argparse._AppendAction):
        return [f"{option}={text}" for text in texts]
    if action.nargs is None and len(texts) == 1:
        return [f"{option}={texts[0]}"]  # a value may begin with a minus
    return [option, *texts]


def _text(name: str, value: Any) -> str:
    if isinstance(value, (str, int, float, os.PathLike)):
        return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if name == "bench":
        raise ProcedureError(
            f"bench = {type(value).__name__}: its file or URL is wanted; the run opens the bench itself, and makes it safe"
        )
    if hasattr(value, "item"):
        return str(value.item())
    raise ProcedureError(f"{name} = {value!r}: text or a number is wanted")


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """For as long as it runs: a second thread slows small matrices down."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
