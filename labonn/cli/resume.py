"""labonn run --resume: the settings are those of the run; what is given again has to agree."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from labonn.checkpoints import Orders, newest
from labonn.errors import BenchFileError, ProcedureError
from labonn.procedures import Procedure
from labonn.resuming import find
from labonn.runs import Run, plain
from labonn.sameness import bench_digest, verify

if TYPE_CHECKING:
    from labonn.bench import Bench
    from labonn.cli.stopping import Stopping

CONTROL = {"procedure", "resume", "checkpoint", "force", "json", "quiet", "out", "faults", "real_time", "debug", "guardian", "guarded"}


class Past:
    """A run that is to go on.

    Args:
        args: as parsed. arguments: as given.

    Attributes:
        args: of the run, with what was given anew.

    Raises:
        ProcedureError: no such run, a procedure that cannot go on, or options that are not those of the run.
    """

    def __init__(self, procedure: Procedure, args: argparse.Namespace, parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
        hook = procedure.hook("resumable")
        if hook is None:
            raise ProcedureError(f"--resume: {procedure.name} keeps no checkpoints (it has no function resumable(args))")
        self.folder, self.settings = find(args.resume, args.out, procedure.name)
        self._procedure, self._arguments = procedure, arguments
        self.args = parser.parse_args(shlex.split(self.settings["command"])[2:])
        self._free = CONTROL | set(hook(self.args))
        for action in parser._actions:
            action.default = argparse.SUPPRESS  # from here on only what is given is parsed
        self._later(parser)
        given = vars(parser.parse_args(arguments))
        self._given = given.keys()
        self._agree(given, parser)
        self._faults = given.get("faults", [])  # what went wrong then is not to go wrong again
        vars(self.args).update({name: given.get(name, False) for name in ("json", "quiet", "force")})
        vars(self.args).update((key, given[key]) for key in given.keys() & self._free - {"faults"})
        self._refuse_tapes()

    def _refuse_tapes(self) -> None:
        elsewhere = self.args.served or self.args.record is not None
        if self.args.replay is not None or (self.args.dry_run and elsewhere):
            told = "in a dry run with --served, --record or --replay the bench cannot be saved"
            raise ProcedureError(f"--resume: {self.folder.name} has no checkpoints: {told}")
        self.args.record = None
        if self.args.force and self.args.dry_run:
            raise ProcedureError("--force is about instruments that are not as they were; a dry run goes on exactly, or not at all")

    def _later(self, parser: argparse.ArgumentParser) -> None:
        """What was given anew when the run was resumed before."""
        for session in self.settings.get("resumed", ()):
            given = vars(parser.parse_args(shlex.split(session["command"])[2:]))
            vars(self.args).update((key, given[key]) for key in given.keys() & (self._free - CONTROL | {"checkpoint"}))

    def _agree(self, given: dict[str, Any], parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:
            key = action.dest
            if key in given and key not in self._free and given[key] != getattr(self.args, key):
                option, free = action.option_strings[-1], ", ".join(sorted(f"--{n.replace('_', '-')}" for n in self._free - CONTROL))
                told = f"the run has {getattr(self.args, key)!r}, and a resumed run keeps its settings"
                raise ProcedureError(f"{option} {given[key]}: {told}{f'; what may be given anew is {free}' if free else ''}")

    def run(self) -> Run:
        """Open its folder again, once the options have been checked.

        Raises:
            ProcedureError, BenchFileError: options or bench file are not what they were.
        """
        now = {key: plain(value) for key, value in vars(self.args).items() if key not in self._free | {"record"}}
        then = self.settings["options"]
        for key in now.keys() & then.keys():
            if now[key] != then[key]:
                told = f"this labonn takes {now[key]!r} for what was {then[key]!r} when the run began"
                raise ProcedureError(f"--{key.replace('_', '-')}: {told}; it cannot go on with this version")
        if self.args.bench is not None and self.args.bench.read_bytes() == (self.folder / "bench.toml").read_bytes():
            self.args.bench = None  # its copy
        if self.args.bench is not None and not self.args.force:
            raise BenchFileError(f"--bench {self.args.bench}: has changed since the run began; --force takes it on a real bench")
        run = Run(self.folder, self._procedure.name, int(self.settings["seed"]))
        run.reopened = True
        return run

    def orders(self, run: Run, stop: Stopping) -> Orders:
        """To go on from the newest checkpoint that is whole."""

        def told(text: str) -> None:
            run.event(text)
            print(f"labonn: {text}", file=sys.stderr)

        self._checkpoint = newest(self.folder, told)
        if self._checkpoint.about["bench_file"] != bench_digest(self.folder):
            raise BenchFileError(f"{self.folder / 'bench.toml'}: has been changed since the checkpoint was taken; it has to stay as it was")
        if self.args.dry_run and self.args.guarded != (self._checkpoint.bench is not None):
            ran = "without a guardian; --guardian" if self.args.guarded else "at a guardian; --no-guardian"
            raise ProcedureError(f"--resume: {self.folder.name} ran {ran} is for another run")
        return Orders(self.args.checkpoint, self.args.dry_run, self._checkpoint, self._faults, self.args.force, stop)

    @property
    def _nothing_left(self) -> str:
        """That the run had done all its steps, and how it would go further."""
        free = self._free - CONTROL
        ended = (self.folder / "result.json").is_file() and json.loads((self.folder / "result.json").read_text(encoding="utf-8"))
        if not ended or ended.get("status") != "finished" or free & self._given:
            return ""
        further = f"; {' or '.join(f'--{name} N' for name in sorted(free))} goes further" if free else ""
        return f", its last: it had finished, and only shows its result again{further}"

    def verify(self, bench: Bench, run: Run) -> None:
        """The bench is the same; write into the settings that the run goes on, and how that was asked for."""
        verify(bench, self._checkpoint, self.args.force, run.event)
        session = {"command": shlex.join(["labonn", "run", *self._arguments]), "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        self.settings["resumed"] = [*self.settings.get("resumed", ()), session]
        run.write_settings(self.settings)
        if not self.args.quiet:
            print(f"labonn: {run.folder.name} goes on after step {self._checkpoint.step}{self._nothing_left}", file=sys.stderr)
