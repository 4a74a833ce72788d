"""Where the guardians of this user are: a small file for each in a folder that only this user can enter."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import zmq

from labonn.errors import LabonnError

try:
    import fcntl
except ImportError:  # Windows: files that dead guardians left stay, and are told as silent
    fcntl = None  # type: ignore[assignment]

LONGEST_SOCKET_PATH = 100


def runtime_folder() -> Path:
    """The folder, made if it is not there: $LABONN_RUNTIME_DIR, or labonn in $XDG_RUNTIME_DIR, or labonn-USER in the temporary folder.

    Raises:
        LabonnError: it is somebody else's, or others may enter it.
    """
    user = os.getuid() if hasattr(os, "getuid") else None
    own = os.environ.get("LABONN_RUNTIME_DIR")
    shared = os.environ.get("XDG_RUNTIME_DIR")
    temporary = Path(tempfile.gettempdir()) / f"labonn-{'guardians' if user is None else user}"
    folder = Path(own) if own else Path(shared) / "labonn" if shared else temporary
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as problem:
        raise LabonnError(f"{folder}: no folder for guardians can be made there: {problem.strerror or problem}") from None
    if not stat.S_ISDIR(found.st_mode) or (user is not None and (found.st_uid != user or found.st_mode & 0o077)):
        raise LabonnError(f"{folder}: must be a folder of yours that nobody else may enter (chmod 700); set LABONN_RUNTIME_DIR to another")
    return folder


def socket_address() -> str:
    """Where a guardian for this user alone may be bound: a socket file in the folder, or any free port on loopback."""
    path = runtime_folder() / f"{os.getpid()}.ipc"
    return f"ipc://{path}" if zmq.has("ipc") and len(str(path)) <= LONGEST_SOCKET_PATH else "tcp://127.0.0.1:*"


@contextlib.contextmanager
def listed(about: Mapping[str, Any]) -> Iterator[None]:
    """This process is told of as a guardian as long as this lasts; the file is locked, which ends with the process however that ends."""
    folder = runtime_folder()
    path, part = folder / f"{os.getpid()}.json", folder / f".{os.getpid()}.part"
    with part.open("w", encoding="utf-8") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(dict(about)))
        file.flush()
        os.replace(part, path)
        try:
            yield
        finally:
            for left in (path, folder / f"{os.getpid()}.ipc"):
                left.unlink(missing_ok=True)


def guardians() -> list[dict[str, Any]]:
    """What is told of all that run; files that dead ones left are removed."""
    found = []
    for path in sorted(runtime_folder().glob("*.json")):
        try:
            with path.open(encoding="utf-8") as file:
                alive, about = _locked(file), json.loads(file.read())
        except (OSError, ValueError):
            continue
        if alive:
            found.append(about)
        else:
            for left in (path, path.with_suffix(".ipc")):
                left.unlink(missing_ok=True)
    return found


def guardian_of(path: Path) -> dict[str, Any] | None:
    """The guardian of this user and this computer that has the real instruments of this bench file; None: there is none."""
    found = [about for about in guardians() if about.get("bench") == str(path.resolve()) and not about.get("dry_run")]
    return found[0] if found else None


def _locked(file: IO[str]) -> bool:
    """Whether whoever wrote the file lives; a process that has ended may keep its number until somebody has asked for its end."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
