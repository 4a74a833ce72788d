"""KEY=VALUE pairs of a command line as lines of a bench file's [simulation] table."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence

from labonn.errors import ProcedureError

OWN = ("bench", "seed", "ideal_except")  # that the text of the bench has already


def simulated(pairs: Sequence[str], spared: Sequence[str] = ()) -> str:
    """Lines that follow a text whose last table is [simulation]; settings hold with `--ideal` too, which switches all others off.

    Args:
        pairs: KEY=VALUE or PART.KEY=VALUE; a value is TOML, or a bare word. spared: what else `--ideal` is to leave alone.

    Raises:
        ProcedureError: no such pair, or a key that is given twice.
    """
    tables: dict[str, dict[str, str]] = {"": {}}
    for pair in pairs:
        name, found, value = pair.partition("=")
        part, _, key = name.rpartition(".")
        if not found or not re.fullmatch(r"([A-Za-z_]\w*\.)?[A-Za-z_]\w*", name):
            raise ProcedureError(f"--simulate {pair}: KEY=VALUE or PART.KEY=VALUE is wanted")
        if name in OWN or key in tables.get(part, {}):
            told = "given twice" if name not in OWN else "not a setting of the light; the seed is that of --seed"
            raise ProcedureError(f"--simulate {pair}: {name} is {told}")
        tables.setdefault(part, {})[key] = _toml(pair, value)
    own = tables.pop("")
    names = [*spared, *own, *(f"{part}.{key}" for part, table in tables.items() for key in table)]
    lines = [f"ideal_except = {json.dumps(names)}  # what --ideal leaves on\n"] if names else []
    lines += [f"{key} = {value}\n" for key, value in own.items()]
    for part, table in tables.items():
        lines += [f"\n[simulation.{part}]\n", *(f"{key} = {value}\n" for key, value in table.items())]
    return "".join(lines)


def _toml(pair: str, value: str) -> str:
    try:
        if list(tomllib.loads(f"value = {value}")) == ["value"]:
            return value
    except tomllib.TOMLDecodeError:
        if re.fullmatch(r"[A-Za-z_][\w-]*", value):
            return json.dumps(value)
    raise ProcedureError(f"--simulate {pair}: {value!r} is no value; a number, true, a word, or a [list] is wanted")
