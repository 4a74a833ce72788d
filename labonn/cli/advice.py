"""The next command after an error, where there is one that helps; one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labonn.errors import (
    BenchFileError,
    CalibrationError,
    DataError,
    IdentityError,
    LeaseError,
    LimitError,
    LinkError,
    RecordError,
    UnknownStateError,
)


@dataclass(frozen=True)
class Given:
    """What the command line was.

    Attributes:
        command: such as "run". procedure: of `run`. bench: a file's path, "" if there was none. real: instruments, not simulated ones.
    """

    command: str
    procedure: str
    bench: str
    real: bool

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Given:
        """From its words."""
        words = [*arguments, "", ""]
        bench = next((words[i + 1] for i, word in enumerate(words[:-1]) if word == "--bench"), "")
        simulated = {"--dry-run", "--plan", "--replay"} & set(arguments)
        procedure = words[1] if words[0] == "run" and not words[1].startswith("-") else "PROCEDURE"
        return cls(words[0], procedure, "" if "://" in bench else bench, not simulated)


def _safe(given: Given) -> str:
    return f"`labonn safe --bench {given.bench}` makes everything safe" if given.real and given.bench else ""


def _check(given: Given) -> str:
    useful = given.real and given.bench and given.command in ("run", "serve", "safe")
    return f"`labonn check --bench {given.bench}` tells port by port what is wrong" if useful else ""


def _file(given: Given) -> str:
    from pathlib import Path

    useful = given.command in ("run", "serve") and Path(given.bench).is_file()
    return f"`labonn check --bench {given.bench}` tells all that is wrong, file and instruments" if useful else ""


def _plan(given: Given) -> str:
    return f"`labonn run {given.procedure} … --plan` shows all values against their limits" if given.command == "run" else ""


def _calibrate(given: Given) -> str:
    return "`labonn calibrations list` shows what there is, `labonn run calibrate_all` measures it" if given.command == "run" else ""


RULES: tuple[tuple[type[Exception], Callable[[Given], str]], ...] = (
    (UnknownStateError, _safe),
    (LeaseError, lambda given: "`labonn status` shows who has which bench"),
    (LimitError, _plan),
    (CalibrationError, _calibrate),
    (LinkError, _check),
    (IdentityError, _check),
    (BenchFileError, _file),
    (DataError, lambda given: "`labonn data fetch mnist` downloads a set, `--data mini` is the one that came along"),
    (RecordError, lambda given: "" if given.command == "run" else "`labonn runs list` shows which runs there are"),
)


def advice(problem: BaseException, arguments: Sequence[str]) -> str:
    """A line for the user; "" where no command helps, or the message names it already."""
    told = "\n".join([str(problem), *getattr(problem, "__notes__", ())])
    rule = next((rule for kind, rule in RULES if isinstance(problem, kind)), None)
    line = rule(Given.of(arguments)) if rule else ""
    words = " ".join(line.partition("`")[2].split()[:2])
    return "" if not line or words in told else line
