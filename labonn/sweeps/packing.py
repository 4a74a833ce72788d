"""A folder as bytes, to send it from one computer to another."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from pathlib import Path

from labonn.errors import SweepError

COMPRESSION = 3  # records become a third, quickly


def packed(folder: Path) -> bytes:
    """What is in it; names that begin with a dot are left out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=COMPRESSION) as tar:
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                tar.add(path, path.name)
    return buffer.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Replace the folder by that: whole, or not at all.

    Raises:
        SweepError: it is not what `packed` makes. OSError: it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
            tar.extractall(part, filter="data")
        part.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except (tarfile.TarError, EOFError) as problem:
        raise SweepError(f"{folder}: what a worker has sent cannot be unpacked: {problem}") from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)
