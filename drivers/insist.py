"""How `safe` gets its way: what it does is done again after a late or lost reply, a refusal, or a read-back that is not safe."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from labonn.errors import LinkClosedError, LinkError, RefusedError, UnknownStateError

P = ParamSpec("P")
TRIES = 4  # after a lost reply, its late coming and the one behind it may be in the way


def insistent(action: Callable[P, object]) -> Callable[P, None]:
    """`action`, which may be repeated, done until it succeeds; raises at once on a link that is gone, else what the last try raised."""

    @wraps(action)
    def until_done(*args: P.args, **kwargs: P.kwargs) -> None:
        for left in reversed(range(TRIES)):
            try:
                action(*args, **kwargs)
                return
            except LinkClosedError:
                raise
            except (LinkError, RefusedError, UnknownStateError):
                if not left:
                    raise

    return until_done
