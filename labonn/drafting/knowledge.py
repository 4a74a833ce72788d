"""What is known of drivers and keys without an instrument: what they are, their options, and the ranges that a driver allows."""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from labonn.benchfile import BenchFile
from labonn.channels import ChannelSpec
from labonn.errors import LabonnError
from labonn.opening import open_port
from labonn.sources import DryRun, source_of

ENTRY = re.compile(r"(?:^|(?<=[.;)] ))((?:\w+, )*\w+): ")


def summary(driver: Any) -> str:
    """What the instrument is: the first line of the driver's module, without its manual."""
    line = (sys.modules[driver.__module__].__doc__ or "").strip().partition("\n")[0]
    return re.split(r", from |; |: |, by | \(drivers/", line)[0].rstrip(".")


def option_notes(driver: Any) -> dict[str, str]:
    """Option -> what it says, from the Attributes of the options' docstrings."""
    found: dict[str, str] = {}
    for cls in reversed(driver.Options.__mro__):
        _, _, text = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
        words = " ".join(line.strip() for line in text.split("\n\n")[0].splitlines())
        parts = ENTRY.split(words)[1:]
        for names, note in zip(parts[::2], parts[1::2], strict=True):
            found.update((name.strip(), note.strip().rstrip(".")) for name in names.split(","))
    return found


@cache
def key_notes() -> Mapping[str, Mapping[str, Any]]:
    """Table -> key -> what it says, of all that is not a driver's option."""
    return tomllib.loads(resources.files(__package__).joinpath("notes.toml").read_text(encoding="utf-8"))


def own_specs(file: BenchFile) -> dict[str, ChannelSpec]:
    """Port -> what its instruments allow by themselves, as their emulators say; ports that cannot be emulated are missing."""
    bare = replace(file, ports={name: replace(port, lower=None, upper=None, slew=None) for name, port in file.ports.items()})
    link_of, _, simulated = source_of(bare, DryRun())
    found = {}
    try:
        for name, port in bare.ports.items():
            with contextlib.suppress(LabonnError):
                device, found[name], _ = open_port(bare, port, link_of)
                device.close()
    finally:
        simulated.close()
    return found
