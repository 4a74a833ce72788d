"""Fills in what a draft still lacks: ports, links, a trigger, a simulated light."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from labonn import discovering
from labonn.discovering import Found
from labonn.drafting.draft import Draft
from labonn.drafting.offers import fitting, taken
from labonn.drafting.questions import Asker, ask_links, example_link, new_port
from labonn.errors import BenchFileError, LabonnError
from labonn.planned.world import lit
from labonn.registry import load, registered


def ask_ports(asker: Asker, draft: Draft) -> None:
    """Ports of a bench that no template knows."""
    names = list(registered("labonn.drivers"))
    asker.say(f"drivers: {', '.join(names)}\n")
    while name := asker.ask(f"name of port {len(draft.ports) + 1} (Enter: no more)", "", str):
        driver = asker.choose("  driver", names, "")
        draft.add(new_port(asker, name, driver, load("labonn.drivers", driver)))


def complete(draft: Draft, name: str) -> None:
    """A link for every port, and one trigger."""
    if not draft.ports:
        raise BenchFileError("a bench of type empty needs ports: --port NAME=DRIVER for each; `labonn instruments` lists drivers")
    for port in draft.ports.values():
        driver = load("labonn.drivers", str(port.table["driver"]), BenchFileError, f"--port {port.name}={port.table['driver']}")
        if "link" not in port.table:
            used = [link for other in draft.ports.values() for link in other.links]
            port.table = {"driver": port.table["driver"], "link": example_link(port.table["driver"], driver, used), **port.table}
    if not any(port.table.get("role") == "trigger" for port in draft.ports.values()):
        able = [n for n, port in draft.ports.items() if hasattr(load("labonn.drivers", str(port.table["driver"])), "fire")]
        if not able:
            raise BenchFileError(
                f"{name}: none of {', '.join(draft.ports)} can be the trigger, which starts every shot; add a port that can"
            )
        draft.ports[able[-1]].table["role"] = "trigger"


def put_links(draft: Draft, asker: Asker | None) -> None:
    """Links of instruments that are found."""
    if asker is not None:
        asker.say("looking for instruments (asking only what changes nothing) ...")
    found: Sequence[Found] = discovering.discover()
    drivers = {}
    for name in registered("labonn.drivers"):
        with contextlib.suppress(LabonnError):
            drivers[name] = load("labonn.drivers", name)
    if asker is not None:
        asker.say(f"found {len(found)}" if found else "found none; links can be changed in the file later")
        ask_links(asker, draft, found, drivers)
        return
    left = list(found)
    for port in draft.ports.values():
        known = [one for one in fitting(port, left, drivers) if port.table["driver"] in one.drivers]
        if known and len(port.links) < 2:
            left.remove(known[0])
            if told := taken(port, known[0], drivers):
                print(f"labonn: {port.name}: {told}", file=sys.stderr)


def with_light(draft: Draft, name: str) -> str:
    """The file without comments, with a simulated light; the draft gets that too."""
    plain = draft.plain()
    text, light, borrowed = lit(plain, name)
    if borrowed:
        draft.pieces.append(f'[simulation]  # read only in a dry run\nbench = "{light}"\nseed = 7\n')
    return text
