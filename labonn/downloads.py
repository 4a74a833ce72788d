"""Fetches published data sets: mirrors in turn, size and SHA-256 checked before a file gets its name."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

from labonn import __version__
from labonn.errors import DataError
from labonn.published import SETS, RemoteFile, RemoteSet

TIMEOUT_S = 20.0
BLOCK = 1 << 16
Report = Callable[[str, int, int], None]  # file name, bytes so far, bytes in all


def fetch(
    name: str,
    target: Path,
    mirrors: Sequence[str] | None = None,
    progress: Report | None = None,
    sets: Mapping[str, RemoteSet] = SETS,
    timeout_s: float = TIMEOUT_S,
) -> list[str]:
    """Bring the data set `name` into the folder `target`.

    Args:
        mirrors: base URLs to use in place of the published ones.
        progress: told of every block; called once with all bytes for a file that was there already.
        sets: what is known; names to files.

    Returns:
        The names of the files that were fetched or unpacked; empty if all were there and right.

    Raises:
        DataError: no mirror gave a file of the right size and checksum; nothing half-done is left behind.
    """
    if name not in sets:
        raise DataError(f"no data set is called {name!r}; known are {', '.join(sets)}")
    wanted, report = sets[name], progress or (lambda *_: None)
    bases = [base if base.endswith("/") else base + "/" for base in (mirrors or wanted.mirrors)]
    try:
        target.mkdir(parents=True, exist_ok=True)
        if wanted.members:
            return _fetch_members(wanted, target, bases, report, timeout_s, target / f"{name}.sha256")
        return [file.name for file in wanted.files if _fetch_file(file, target, bases, report, timeout_s)]
    except OSError as problem:
        raise DataError(f"{target}: cannot write there: {problem.strerror or problem}") from problem


def _fetch_file(file: RemoteFile, target: Path, bases: Sequence[str], report: Report, timeout_s: float) -> bool:
    path = target / file.name
    if path.is_file() and path.stat().st_size == file.size and _sha256(path) == file.sha256:
        report(file.name, file.size, file.size)
        return False
    reasons = []
    for base in bases:
        handle, part = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=target)
        try:
            with os.fdopen(handle, "wb") as sink:
                reason = _download(base + file.name, file, sink.write, report, timeout_s)
            if reason is None:
                os.chmod(part, 0o644)
                os.replace(part, path)
                return True
            reasons.append(f"{base + file.name}: {reason}")
        finally:
            Path(part).unlink(missing_ok=True)
    raise DataError(f"{file.name} could not be fetched: " + "; ".join(reasons))


def _download(url: str, file: RemoteFile, write: Callable[[bytes], object], report: Report, timeout_s: float) -> str | None:
    """Write what `url` sends; why it is not the file, or None if it is."""
    digest, received = hashlib.sha256(), 0
    try:
        for block in _blocks(url, timeout_s):
            received += len(block)
            if received > file.size:
                return f"sends more than the {file.size} bytes of the published file"
            digest.update(block)
            write(block)
            report(file.name, received, file.size)
    except _TransferError as problem:
        return f"{problem}{f' after {received} bytes' if received else ''}"
    if received < file.size:
        return f"cut short: {received} of {file.size} bytes"
    if digest.hexdigest() != file.sha256:
        return f"wrong checksum: SHA-256 {digest.hexdigest()[:16]}…, the published file has {file.sha256[:16]}…"
    return None


class _TransferError(Exception):
    """The network failed, told apart from a disk that is full."""


def _blocks(url: str, timeout_s: float) -> Iterator[bytes]:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": f"labonn/{__version__}"})
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            while block := response.read(BLOCK):
                yield block
    except urllib.error.HTTPError as problem:
        problem.close()
        raise _TransferError(f"HTTP {problem.code} {problem.reason}") from None
    except (OSError, HTTPException, ValueError) as problem:
        raise _TransferError(str(getattr(problem, "reason", problem)) or type(problem).__name__) from problem


def _fetch_members(wanted: RemoteSet, target: Path, bases: Sequence[str], report: Report, timeout_s: float, sums: Path) -> list[str]:
    """Fetch a zip file, unpack the wanted members, and note their checksums so that the next call can skip all of it."""
    if _sums_hold(sums):
        return []
    (archive,) = wanted.files
    _fetch_file(archive, target, bases, report, timeout_s)
    names = [member.rpartition("/")[2] for member in wanted.members]
    try:
        with zipfile.ZipFile(target / archive.name) as file:
            for member, name in zip(wanted.members, names, strict=True):
                _write(target / name, file.read(member))
    except (KeyError, zipfile.BadZipFile) as problem:
        raise DataError(f"{target / archive.name}: {problem}") from problem
    _write(sums, "".join(f"{_sha256(target / name)}  {name}\n" for name in names).encode())
    (target / archive.name).unlink()
    return names


def _sums_hold(sums: Path) -> bool:
    try:
        pairs = [line.split("  ", 1) for line in sums.read_text().splitlines()]
        return bool(pairs) and all(_sha256(sums.parent / name) == digest for digest, name in pairs)
    except (OSError, ValueError):
        return False


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
