"""A link to a Keysight 33500: commands with binary blocks, their read-back and the error queue in one exchange."""

from __future__ import annotations

import re

from drivers.scpi_line import ERRORS, ScpiLine
from labonn.errors import DesyncError, IdentityError, RefusedError

IDENTITY = re.compile(r"(?:Agilent|Keysight) Technologies,(33[56]\d\d[AB]),([^,;]+),[^,;]+", re.IGNORECASE)


class GeneratorLine(ScpiLine):
    """A link whose commands are bytes.

    Args:
        port: for messages.
    """

    def identify(self, expected: str) -> tuple[str, str]:
        """(maker, model and serial number; the model).

        Raises:
            IdentityError: no generator of this family, or another model than `expected` (if it is one).
        """
        answer = self.ask("*IDN?")
        found = IDENTITY.fullmatch(answer)
        if found is None:
            raise IdentityError(f"{self._port}: answers {answer!r} to '*IDN?'; a generator answers 'Agilent Technologies,33522B,…'")
        model = found[1].upper()
        if expected not in ("", model):
            raise IdentityError(f"{self._port}: is a {model} ({found[2]}); the bench file says {expected}")
        return ",".join(answer.split(",")[:3]), model

    def send(self, commands: bytes, queries: str, count: int) -> list[float]:
        """The numbers that answer `queries` after `commands`; what was in the error queue before is not held against them.

        Raises:
            RefusedError: with the instrument's words. DesyncError: the answer is not what was asked for.
        """
        request = b"*CLS;" + commands + f";{queries};{self._errors}".encode()
        reply = self._link.exchange(request).decode("latin-1").strip()
        found = ERRORS.search(reply)
        if found is None:
            raise DesyncError(f"{self._port}: {reply!r} does not end with the error queue that was asked for")
        if int(found[1]):
            raise RefusedError(f"{self._port}: {_shown(commands)} was refused: {found[0].lstrip(';')}")
        return self._read(reply[: found.start()], count)


def _shown(commands: bytes) -> str:
    """Commands for a message, without the samples in them."""
    text = b"".join(re.split(rb"#\d.*", commands, maxsplit=1, flags=re.DOTALL)).decode("latin-1")
    return repr(text) if text.encode("latin-1") == commands else f"{text!r}… ({len(commands)} bytes)"
