"""Which of the instruments that were found could be a port of a draft, and what it then says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from labonn.discovering import Found
from labonn.drafting.draft import PortDraft
from labonn.drafting.knowledge import key_notes

USED_OPTIONS = ("channels", "instances", "shape")


def fitting(port: PortDraft, found: Sequence[Found], drivers: Mapping[str, Any]) -> list[Found]:
    """Those that the port's driver knows, then those of another driver of its kind, then places that nobody asked."""
    own = drivers.get(str(port.table.get("driver")))
    kind, transport = getattr(own, "kind", None), getattr(own, "transport", None)
    same = [one for one in found if port.table.get("driver") in one.drivers]
    alike = [one for one in found if one not in same and any(getattr(drivers.get(d), "kind", "") == kind for d in one.drivers)]
    unasked = [one for one in found if not one.drivers and not one.identity and urlsplit(one.link).scheme == transport]
    return [*same, *alike, *unasked]


def taken(port: PortDraft, one: Found, drivers: Mapping[str, Any]) -> str:
    """Let the port be this instrument; what the user should know of it.

    What the template says of channels stays: its light, and the procedures, are made for so many.
    """
    name = str(port.table["driver"])
    own = drivers[name]
    if one.drivers and name not in one.drivers:
        other = next(driver for driver in one.drivers if getattr(drivers.get(driver), "kind", "") == own.kind)
        known = {field.name for field in fields(drivers[other].Options)}
        kept = {key: value for key, value in port.table.items() if key in known or key in ("lower", "upper", "role", "slew", "reconnect")}
        port.table = {"driver": other, "link": one.link, **one.options, **{k: v for k, v in kept.items() if k not in ("driver", "link")}}
    port.table["link"] = _link(port, one)
    notes = key_notes()["port"]
    port.remarks["link"] = f"{one.identity} {notes['link_found']}" if one.identity else notes["link_given"]
    differ = [key for key in USED_OPTIONS if key in one.options and port.table.get(key, one.options[key]) != one.options[key]]
    return "; ".join(f"it has {key} = {one.options[key]}, this type of bench wants {port.table[key]}" for key in differ)


def _link(port: PortDraft, one: Found) -> str:
    """Its URL, with the template's speed where it tells none."""
    query = next((link.partition("?")[2] for link in port.links if urlsplit(link).scheme == "serial"), "")
    return f"{one.link}?{query}" if one.link.startswith("serial://") and "?" not in one.link and query else one.link
