"""A bench file that is being written: the ports of a template as tables that can be changed, all else as it stands there."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

from labonn.errors import BenchFileError, LabonnError

TABLE = re.compile(r"^\[ports\.(?:\"([^\"]+)\"|([\w-]+))\]\s*(?:#\s*(.*))?$")
KEY = re.compile(r"^([\w-]+)\s*=\s*(.*)$")


@dataclass
class PortDraft:
    """One port.

    Attributes:
        comment: what it is. table: its keys. remarks: key -> what the template says beside it, or what is known of the answer.
    """

    name: str
    comment: str
    table: dict[str, Any]
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def links(self) -> list[str]:
        """Its URLs."""
        link = self.table.get("link", [])
        return [link] if isinstance(link, str) else list(link)


@dataclass
class Draft:
    """A bench file in pieces, in the order of the file: text as it stands, and ports."""

    pieces: list[str | PortDraft]

    @classmethod
    def of(cls, text: str) -> Draft:
        """Cut up a template.

        Raises:
            LabonnError: it is not TOML.
        """
        try:
            tables = tomllib.loads(text).get("ports", {})
        except tomllib.TOMLDecodeError as problem:
            raise LabonnError(f"the template is not TOML: {problem}") from problem
        pieces: list[str | PortDraft] = []
        for block in re.split(r"(?m)^(?=\[)", text):
            head, _, body = block.partition("\n")
            if (found := TABLE.match(head)) and (name := found[1] or found[2]) in tables:
                pieces.append(PortDraft(name, found[3] or "", dict(tables[name]), _remarks(body)))
            else:
                pieces.append(block.rstrip() + "\n")
        return cls(pieces)

    @property
    def ports(self) -> dict[str, PortDraft]:
        """By name."""
        return {piece.name: piece for piece in self.pieces if isinstance(piece, PortDraft)}

    def add(self, port: PortDraft) -> None:
        """One more port, behind the others."""
        last = max((i for i, piece in enumerate(self.pieces) if isinstance(piece, PortDraft)), default=0)
        self.pieces.insert(last + 1, port)

    def plain(self) -> str:
        """The file without remarks on keys."""
        return "\n".join(piece if isinstance(piece, str) else _plain(piece) for piece in self.pieces)


def toml_value(value: Any) -> str:
    """As TOML writes it, which is as JSON does for numbers, texts, truth and lists."""
    return json.dumps(value, ensure_ascii=False)


def toml_key(name: str) -> str:
    """A port's name in a table's head."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def value_of(text: str) -> Any:
    """What somebody typed, as TOML reads it; plain text where that is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def change(draft: Draft, words: str) -> None:
    """`NAME.KEY=VALUE` changes a port, `NAME=DRIVER` adds one.

    Raises:
        BenchFileError: neither of them, or no such port.
    """
    where, equals, text = words.partition("=")
    name, dot, key = where.rpartition(".")
    if not equals or not where or not text:
        raise BenchFileError(f"--port {words}: NAME.KEY=VALUE, or NAME=DRIVER for a new port, is wanted")
    if not dot:
        if where in draft.ports:
            draft.ports[where].table["driver"] = text
        else:
            draft.add(PortDraft(where, "", {"driver": text}))
        return
    if name not in draft.ports:
        raise BenchFileError(f"--port {words}: no port is called {name!r}; ports are {', '.join(draft.ports) or 'none yet'}")
    draft.ports[name].table[key] = value_of(text)
    draft.ports[name].remarks.pop(key, None)


def _remarks(body: str) -> dict[str, str]:
    found = {}
    for line in body.splitlines():
        if key := KEY.match(line):
            value, hash_, comment = key[2].rpartition("#")
            if hash_ and value.count('"') % 2 == 0:
                found[key[1]] = comment.strip()
    return found


def _plain(port: PortDraft) -> str:
    lines = [f"{key} = {toml_value(value)}" for key, value in port.table.items()]
    return "\n".join([f"[ports.{toml_key(port.name)}]", *lines, ""])
