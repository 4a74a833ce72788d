"""Guardians of this user: how they are, which runs they serve, and that everything be made safe."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

from labonn.dash.library import Library
from labonn.dash.problems import BadQuestionError
from labonn.errors import LabonnError
from labonn.guardian import asking
from labonn.guardian.places import guardians
from labonn.record import open_record

FRESH_S = 1.0  # an answer is given to all pages that ask within this time
LEASED_S = 5.0  # and while a run has the bench, whose ovens are asked for their temperatures between two of its tables
HOLDER = re.compile(r"process (\d+)")


class Guardians:
    """Asks them, not more often than it takes."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._found: list[dict[str, Any]] = []
        self._pressed, self._due_s = 0, 0.0

    def all(self) -> list[dict[str, Any]]:
        """Every guardian's status, or why it does not answer, and the runs whose process has its lease."""
        if time.monotonic() > self._due_s and self._lock.acquire(blocking=not self._due_s):  # one that hangs delays one page only
            try:
                pressed, found = self._pressed, asking.statuses()
                leased = any(one.get("lease") for one in found)
                processes = self._processes() if leased else {}
                self._found = [{**one, "runs": [name for name, pid in processes.items() if pid == _holder(one)]} for one in found]
                self._due_s = time.monotonic() + (LEASED_S if leased else FRESH_S) * (pressed == self._pressed)
            finally:
                self._lock.release()
        return self._found

    def make_safe(self, address: Any) -> dict[str, Any]:
        """Everything of that guardian safe, now; whoever has its lease loses it.

        Raises:
            BadQuestionError: it is none of this user's guardians. LabonnError: not everything could be made safe.
        """
        known = {one["address"]: one for one in guardians()}
        if not isinstance(address, str) or address not in known:
            there = ", ".join(known) or "none"
            raise BadQuestionError(f"{address}: no guardian of yours is there (any more); there are: {there}. If the bench may be unsafe: "
                                   "labonn safe --bench FILE")  # fmt: skip
        if known[address].get("keys"):
            raise LabonnError(f"{address}: this guardian wants keys: labonn safe --bench '{address}?server_key=FILE&client_key=FILE'")
        told = asking.make_safe(address)
        self._pressed, self._due_s = self._pressed + 1, time.monotonic()
        ports = ", ".join(told["safe"]) or "nothing there can be unsafe"
        taken = f"; the lease of {told['holder']} was taken away" if told["holder"] else ""
        return {"safe": True, "told": f"safe: {ports}{taken}"}

    def _processes(self) -> dict[str, int]:
        """name -> number of the process of every run that is under way."""
        found: dict[str, int] = {}
        for one in self._library.list():
            if one["status"] == "running":
                try:
                    with open_record(self._library.folder / one["name"], briefly=True) as record:
                        rows = record.query("SELECT pid FROM sessions ORDER BY session DESC LIMIT 1")
                except LabonnError:
                    continue
                if rows:
                    found[one["name"]] = int(rows[0][0])
        return found


def _holder(one: dict[str, Any]) -> int | None:
    found = HOLDER.search(str((one.get("lease") or {}).get("who")))
    return int(found[1]) if found else None
