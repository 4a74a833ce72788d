"""A calibration as bytes and back: canonical JSON, in which every array stands with its hash, and the arrays beside it.

The file is an .npz: one file is moved into place at once, numpy and any program that opens zip archives read it, and nothing in it can
run. Its member `calibration.json` is the canonical content; the id is the beginning of its SHA-256, so that one flipped bit anywhere
(arrays included, by their hashes) is another id than the file's name says.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy

from labonn.calibration.calibration import LEFT_OUT, Calibration, Coefficient, DriftCheck, LightBefore, Verification
from labonn.errors import CalibrationError

FORMAT = "labonn-calibration/1"
MEMBER = "calibration.json"
TYPES = ("<f8", "<f4", "<i8", "<i4", "|b1", "|u1", "|i1")
ID_DIGITS = 12
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of members of the archive, so that the same content is the same file

Arrays = dict[str, np.ndarray[Any, Any]]


def id_of(text: bytes) -> str:
    """The id of a calibration of this canonical content."""
    return hashlib.sha256(text).hexdigest()[:ID_DIGITS]


def content(calibration: Calibration) -> tuple[bytes, Arrays]:
    """(canonical JSON, the arrays that it names).

    Raises:
        CalibrationError: something in it cannot be kept: NaN outside of arrays, an array of objects, an unknown type.
    """
    arrays: Arrays = {}
    try:
        tree = {"format": FORMAT, **_tree(calibration, "", arrays)}
        return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(), arrays
    except (TypeError, ValueError) as problem:
        raise CalibrationError(f"{calibration.kind} of {calibration.port}: cannot be kept: {problem}") from None


def _tree(value: Any, path: str, arrays: Arrays) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {f: getattr(value, f.name) for f in dataclasses.fields(value)}
        kept = {f.name: part for f, part in parts.items() if part is not None or LEFT_OUT not in f.metadata}
        return {name: _tree(part, f"{path}{name}.", arrays) for name, part in kept.items()}
    if isinstance(value, np.ndarray):
        return _array(value, path.rstrip("."), arrays)
    if isinstance(value, Mapping):
        return {str(key): _tree(item, f"{path}{key}.", arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tree(item, f"{path}{i}.", arrays) for i, item in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{path.rstrip('.')} is a {type(value).__name__}")


def _array(value: np.ndarray[Any, Any], name: str, arrays: Arrays) -> dict[str, Any]:
    array = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).reshape(value.shape)
    if array.dtype.str not in TYPES:
        raise TypeError(f"{name} is an array of {value.dtype}; known are {', '.join(TYPES)}")
    if name in arrays:
        raise ValueError(f"two arrays would be called {name}")
    arrays[name] = array
    return {"array": name, "dtype": array.dtype.str, "shape": list(array.shape), "sha256": _digest(array)}


def _digest(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def packed(calibration: Calibration) -> bytes:
    """The whole file."""
    text, arrays = content(calibration)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(MEMBER, _EPOCH), text, zipfile.ZIP_DEFLATED)
        for name, array in arrays.items():
            part = io.BytesIO()
            npy.write_array(part, array, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), part.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpacked(data: bytes, wanted: str, where: str) -> Calibration:
    """The calibration in a file.

    Args:
        data: of the file. wanted: the id that it must have. where: the file, for messages.

    Raises:
        CalibrationError: it is corrupt, or another than its name says.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            text = archive.read(MEMBER)
            if id_of(text) != wanted:
                raise CalibrationError(f"{where}: corrupt: its content is that of {id_of(text)}, not of {wanted}; it is not used")
            tree = json.loads(text)
            if tree.get("format") != FORMAT:
                raise CalibrationError(f"{where}: is of format {tree.get('format')!r}; this labonn reads {FORMAT}")
            return _calibration(_resolved(tree, archive, where))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, OSError, NotImplementedError, RuntimeError) as problem:
        raise CalibrationError(f"{where}: corrupt: {type(problem).__name__}: {problem}; it is not used") from None
    except Exception as problem:  # zlib.error has no common parent with the others
        if isinstance(problem, CalibrationError):
            raise
        raise CalibrationError(f"{where}: corrupt: {type(problem).__name__}: {problem}; it is not used") from None


def _resolved(tree: Any, archive: zipfile.ZipFile, where: str) -> Any:
    if isinstance(tree, list):
        return [_resolved(item, archive, where) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if set(tree) != {"array", "dtype", "shape", "sha256"}:
        return {key: _resolved(item, archive, where) for key, item in tree.items()}
    length = math.prod(tree["shape"]) * np.dtype(tree["dtype"]).itemsize
    info = archive.getinfo(f"{tree['array']}.npy")
    if tree["dtype"] not in TYPES or info.file_size > length + 4096:  # a header is shorter than that
        raise CalibrationError(f"{where}: corrupt: {tree['array']} is not what it should be; it is not used")
    array = npy.read_array(io.BytesIO(archive.read(info)), allow_pickle=False)
    if _digest(np.ascontiguousarray(array)) != tree["sha256"] or list(array.shape) != tree["shape"] or array.dtype.str != tree["dtype"]:
        raise CalibrationError(f"{where}: corrupt: the hash of {tree['array']} is another one; it is not used")
    array.flags.writeable = False
    return array


def _calibration(tree: dict[str, Any]) -> Calibration:
    del tree["format"]
    tree["channels"], tree["parameters"], tree["parents"] = (tuple(tree[key]) for key in ("channels", "parameters", "parents"))
    tree["coefficients"] = {name: Coefficient(**found) for name, found in tree["coefficients"].items()}
    tree["verification"] = Verification(**tree["verification"])
    tree["check"] = _check(tree["check"]) if tree["check"] is not None else None
    return Calibration(**tree)


def _check(tree: dict[str, Any]) -> DriftCheck:
    return DriftCheck(**tree | ({"before": LightBefore(**tree["before"])} if "before" in tree else {}))
