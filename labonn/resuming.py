"""Runs that are to go on: which folder, with which settings, and that nobody else goes on with them."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import IO, Any

from labonn.checkpoints import listed
from labonn.errors import ProcedureError

LATEST = "latest"


def find(wanted: str, out: Path, procedure: str) -> tuple[Path, dict[str, Any]]:
    """(folder, settings) of the run that is meant.

    Args:
        wanted: a folder, the name of one in `out`, or "latest": the newest in `out` of this procedure that has a checkpoint.

    Raises:
        ProcedureError: no such run, or of another procedure.
    """
    folder = _latest(out, procedure) if wanted == LATEST else next((p for p in (Path(wanted), out / wanted) if p.is_dir()), None)
    if folder is None:
        near = ", ".join(sorted(path.name for path in out.glob("*") if listed(path))[-3:]) or "none"
        raise ProcedureError(f"--resume {wanted}: no run that could go on is called so; newest in {out}: {near}")
    try:
        settings: dict[str, Any] = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        name = settings["procedure"]
    except (OSError, ValueError, KeyError) as problem:
        raise ProcedureError(f"--resume {wanted}: {folder} is not the folder of a run: {problem}") from problem
    if name != procedure:
        raise ProcedureError(f"--resume {wanted}: {folder} is a run of {name}, not of {procedure}")
    return folder, settings


def _latest(out: Path, procedure: str) -> Path | None:
    runs = [path for path in out.glob(f"*-{procedure}*") if listed(path)]
    form = re.compile(rf"(.*)-{re.escape(procedure)}(?:-(\d+))?")
    named = [(found[1], int(found[2] or 1), path) for path in runs if (found := form.fullmatch(path.name))]
    return max(named)[2] if named else None


def hold(folder: Path) -> contextlib.AbstractContextManager[Any]:
    """Keep others from going on with this run while we do; the system lets go when we end, however that happens.

    Raises:
        ProcedureError: somebody else has it.
    """
    file: IO[str] = (folder / "events.log").open("a", encoding="utf-8")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows has no such lock; there nobody is kept
        file.close()
        return contextlib.nullcontext()
    except OSError:
        file.close()
        raise ProcedureError(f"{folder}: this run is under way in another process") from None
    return file
