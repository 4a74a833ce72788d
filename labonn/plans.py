"""Looks at a plan without a bench."""

from __future__ import annotations

from typing import Any

from labonn.bench import Plan
from labonn.errors import TableError
from labonn.shots import ShotTable


def first_table(plan: Plan[Any]) -> ShotTable:
    """The table that a plan begins with, to be looked at; the plan is used up by that, and nothing is played.

    Raises:
        TableError: it is no plan, or it ends without a table.
    """
    if not hasattr(plan, "send"):
        raise TableError(f"a plan is a generator that yields shot tables, not {type(plan).__name__}; was the function called?")
    try:
        table = next(plan)
    except StopIteration as end:
        raise TableError(f"the plan ends without a table; its result is {end.value!r}") from None
    finally:
        plan.close()
    if not isinstance(table, ShotTable):
        raise TableError(f"a plan yields shot tables, not {type(table).__name__}")
    return table
