"""The questions of `labonn init`, port by port, each with a default; an answer that cannot be is asked again."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from functools import partial
from typing import Any, TypeVar

from labonn.benchfile import BenchFile, parse
from labonn.channels import ChannelSpec
from labonn.discovering import Found
from labonn.drafting.draft import Draft, PortDraft, value_of
from labonn.drafting.knowledge import key_notes
from labonn.drafting.offers import fitting, taken
from labonn.errors import LabonnError
from labonn.opening import tightened
from labonn.units import format_quantity, format_range

Answer = TypeVar("Answer")
LIMITED = ("V", "A", "W", "degC")
EXAMPLES = {
    "serial": "serial:///dev/ttyUSB0?baud=115200", "zmq": "zmq://127.0.0.1:5570", "tcp": "tcp://192.168.0.10:5025",
    "visa": "visa://TCPIP0::192.168.0.10::5025::SOCKET", "slmpynet": "slmpynet://192.168.0.11:5600",
}  # fmt: skip


def example_link(name: str, driver: Any, used: Collection[str]) -> str:
    """A URL for this driver that no other port has; of an SDK, which has links of its own, as the driver's documents write them."""
    told = re.search(r"[a-z]\w*://[^\s`?,;)\"]+", f"{sys.modules[driver.__module__].__doc__} {driver.__doc__}")
    link = EXAMPLES.get(driver.transport) or (told[0] if told else f"{name.partition('_')[0]}://Dev1")
    while link in used:
        place, query, rest = link.partition("?")
        link = re.sub(r"\d+(?=\D*$)", lambda number: str(int(number[0]) + 1), place) + query + rest
    return link


class Asker:
    """Asks.

    Args:
        read: gives an answer to a prompt, without the end of the line. say: shows a line.
    """

    def __init__(self, read: Callable[[str], str], say: Callable[[str], None]) -> None:
        self._read, self.say = read, say

    def ask(self, question: str, default: str, taken_as: Callable[[str], Answer]) -> Answer:
        """The answer as `taken_as` takes it; asked again as long as that raises a LabonnError or ValueError. Nothing typed: the default."""
        while True:
            text = self._read(f"{question} [{default}]: " if default else f"{question}: ").strip() or default
            try:
                return taken_as(text)
            except (LabonnError, ValueError) as problem:
                self.say(f"  {problem}")

    def choose(self, question: str, names: Sequence[str], default: str) -> str:
        """One of several, by number or name."""

        def chosen(text: str) -> str:
            if text.isdecimal() and 1 <= int(text) <= len(names):
                return names[int(text) - 1]
            if text not in names:
                raise ValueError(f"{text!r}: a number from 1 to {len(names)}, or a name of the list")
            return text

        return self.ask(question, default, chosen)


def ask_links(asker: Asker, draft: Draft, found: Sequence[Found], drivers: Mapping[str, Any]) -> None:
    """Where every port is; instruments that were found are offered once each."""
    left, moved = list(found), {link: link for port in draft.ports.values() for link in port.links}
    for port in draft.ports.values():
        offers, links = fitting(port, left, drivers), port.links
        asker.say(f"\n{port.name}" + (f": {port.comment}" if port.comment else "") + f" ({port.table['driver']})")
        for number, one in enumerate(offers, start=1):
            asker.say(f"  {number}  {one.link}  {(one.identity or one.note.partition(';')[0])[:50]}")
        known = offers[0].identity if offers and len(port.links) < 2 else ""
        default = "1" if known else " ".join(moved[link] for link in links)  # sides of one instrument move together
        answer = asker.ask(f"  link{', or number' if offers else ''}", default, partial(_place, offers))
        if isinstance(answer, Found):
            left.remove(answer)
            if told := taken(port, answer, drivers):
                asker.say(f"  note: {told}")
        else:
            if answer != links:
                port.remarks["link"] = key_notes()["port"]["link_given"]
            port.table["link"] = answer[0] if len(answer) == 1 else answer
        moved.update(zip(links, port.links, strict=False))


def ask_limits(asker: Asker, draft: Draft, text: str, specs: Mapping[str, ChannelSpec]) -> None:
    """Limits of every port that drives something, within what its instrument allows.

    Args:
        text: of the file so far. specs: what instruments allow by themselves.
    """
    file = parse(text, "bench.toml")
    for port in draft.ports.values():
        spec, device = specs.get(port.name), file.ports[port.name].driver
        if spec is None or spec.unit not in LIMITED or not hasattr(device, "load"):
            continue
        low, high = float(spec.lower.min()), float(spec.upper.max())
        asker.say(f"\n{port.name}: the instrument allows {format_range(low, high, spec.unit)}")
        for key, bound in (("lower", low), ("upper", high)):
            if isinstance(port.table.get(key), list) or (key == "lower" and bound == 0 and key not in port.table):
                continue  # one a channel is for the file; below zero it cannot go
            default = str(port.table.get(key, format_quantity(bound, spec.unit)))
            port.table[key] = asker.ask(f"  {key} limit", default, partial(_limit, file, port, key, spec))


def new_port(asker: Asker, name: str, driver_name: str, driver: Any) -> PortDraft:
    """A port of a driver alone: the options that it cannot do without are asked for."""
    port = PortDraft(name, "", {"driver": driver_name})
    for one in fields(driver.Options):
        if one.default is MISSING and one.default_factory is MISSING:
            port.table[one.name] = asker.ask(f"  {one.name}", "", lambda text: _given(text))
    return port


def _given(text: str) -> Any:
    if not text:
        raise ValueError("this driver cannot do without")
    return value_of(text)


def _place(offers: Sequence[Found], text: str) -> Found | list[str]:
    if text.isdecimal() and offers:
        if not 1 <= int(text) <= len(offers):
            raise ValueError(f"{text}: a number from 1 to {len(offers)}, or a URL")
        return offers[int(text) - 1]
    words = text.replace(",", " ").split()
    for word in words or [""]:
        scheme, found, rest = word.partition("://")
        if not found or not rest or not scheme.isidentifier():
            raise ValueError(f"{word!r}: a URL is wanted, such as serial:///dev/ttyUSB0?baud=115200 or visa://TCPIP0::10.0.0.7::INSTR")
    return words


def _limit(file: BenchFile, port: PortDraft, key: str, spec: ChannelSpec, given: str) -> Any:
    """The limit, as it goes into the file.

    Raises:
        BenchFileError: another unit, wider than the instrument's, or nothing is left between lower and upper.
    """
    value = value_of(given)
    ends: dict[str, Any] = {"lower": port.table.get("lower") if key == "upper" else None, "upper": None, key: value}
    tightened(file, replace(file.ports[port.name], **ends), spec)
    return value
