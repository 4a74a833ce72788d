"""Finds procedures, by registered name or as a file, and tells what options they have."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from labonn import registry
from labonn.errors import MissingPackageError, ProcedureError

GROUP = "labonn.procedures"


@dataclass(frozen=True)
class FewSteps:
    """How a procedure is asked for few steps in place of all, to see what all would send.

    Attributes:
        options: that differ, by name. times: how many times as many steps there are to be. seconds: most bench time of all steps, if the
            options limit it. like: how many of the last stretches between two rows of metrics the left out ones are like; 0: all.
    """

    options: Mapping[str, Any]
    times: float
    seconds: float | None = None
    like: int = 0


@dataclass(frozen=True)
class Procedure:
    """A module that runs plans on a bench.

    It has a docstring (its first line is the summary), `options(parser)` that adds its own options, and
    `main(bench, args, run)` that returns a result: a mapping or a dataclass of plain values.
    It may have `bench_file(args)`, the TOML text of the bench it wants if no other is given (of several, whose names are in `benches`,
    the one named by `args.bench_name`), and
    `check(args)`, called before anything is opened, which raises a LabonnError for options that make no sense.
    One that goes in steps may have `few_steps(args)`, for `--plan`: FewSteps that show all that it does.
    """

    name: str
    source: str
    module: ModuleType

    @property
    def summary(self) -> str:
        """First line of the module's docstring."""
        return (self.module.__doc__ or "").strip().partition("\n")[0]

    def hook(self, name: str) -> Callable[..., Any] | None:
        """One of its optional functions."""
        found: Callable[..., Any] | None = getattr(self.module, name, None)
        return found


def load(name: str) -> Procedure:
    """The procedure that is registered as `name`, or in the Python file of that path.

    Raises:
        ProcedureError: no such name (nearest ones suggested) or file; it cannot be imported (file and line named);
            or it lacks one of the functions that make a procedure.
    """
    procedure = _from_file(Path(name)) if name.endswith(".py") or "/" in name or "\\" in name else _registered(name)
    for function in ("options", "main"):
        if not callable(procedure.hook(function)):
            wanted = {"options": "options(parser)", "main": "main(bench, args, run)"}[function]
            raise ProcedureError(f"{procedure.source}: a procedure has a function {wanted}; this module has none")
    return procedure


def _registered(name: str) -> Procedure:
    points = registry.registered(GROUP)
    if name not in points:
        hint = f"there is a file {name}.py, to run it write ./{name}.py" if Path(f"{name}.py").exists() else ""
        registry.load(GROUP, name, ProcedureError, hint)
    return Procedure(name, points[name].value, imported(points[name].value, points[name].load))


def _from_file(path: Path) -> Procedure:
    return Procedure(path.stem, str(path), module_of(path, "procedure", "`labonn procedures`"))


def module_of(path: Path, what: str, others: str) -> ModuleType:
    """A Python file as a module; its folder is where its imports are looked for, too.

    Args:
        what: it is to be, such as "procedure". others: where those are listed that are registered.

    Raises:
        ProcedureError: there is no such file, or it cannot be imported.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "no such file"
        raise ProcedureError(f"{path}: {found}; {'an' if what[0] in 'aeiou' else 'a'} {what} is a Python file or one of {others}")
    spec = importlib.util.spec_from_file_location(f"labonn_{what}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ProcedureError(f"{path}: is not a Python file; its name has to end in .py")
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    sys.modules[module.__name__] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    imported(str(path), lambda: loader.exec_module(module))
    return module


def imported(source: str, action: Callable[[], Any]) -> Any:
    """Errors while importing become one line that names the place, which is not always the procedure itself."""
    try:
        return action()
    except MissingPackageError:
        raise
    except SyntaxError as problem:
        raise ProcedureError(f"{source} cannot be imported: {problem.filename}, line {problem.lineno}: {problem.msg}") from problem
    except Exception as problem:
        frames = [f for f in traceback.extract_tb(problem.__traceback__) if f.filename != __file__ and "importlib" not in f.filename]
        place = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
        raise ProcedureError(f"{source} cannot be imported: {place}{type(problem).__name__}: {problem}") from problem


@dataclass(frozen=True)
class OptionRow:
    """One option of a procedure, for a listing."""

    option: str
    default: Any
    choices: list[Any] | None
    help: str


def option_rows(procedure: Procedure) -> list[OptionRow]:
    """What `labonn run <procedure>` takes beside the options of every run."""
    parser = argparse.ArgumentParser(prog=procedure.name, add_help=False, formatter_class=argparse.HelpFormatter)
    options: Callable[..., Any] | None = procedure.hook("options")
    if options is not None:
        options(parser)
    return [_row(action) for action in parser._actions if action.help != argparse.SUPPRESS]


def _row(action: argparse.Action) -> OptionRow:
    name = action.option_strings[-1] if action.option_strings else action.dest
    default = None if action.default is argparse.SUPPRESS else action.default
    text = (action.help or "").replace("%(default)s", str(default)).replace("%%", "%")
    return OptionRow(name, default, list(action.choices) if action.choices is not None else None, text)
