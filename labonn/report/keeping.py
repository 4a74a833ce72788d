"""The end of a report: versions, how to repeat the run, and the folder's files with their hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from labonn.plotting.past import Past
from labonn.report.markup import Html, code, facts, paragraph, section, table
from labonn.showing.words import size

OWN = ("report.html",)
MOST_HASHED = 4 << 30  # bytes of all files together
MOST_FILES = 200


def versions(past: Past) -> Html:
    """Of what decides a result."""
    found: Any = past.settings.get("versions") or (past.sessions[0].get("versions") if past.sessions else None)
    pairs = [(str(name), value) for name, value in found.items()] if isinstance(found, dict) else []
    for later in past.sessions[1:]:
        changed = {name: value for name, value in (later.get("versions") or {}).items() if found and found.get(name) != value}
        pairs += [(f"{name}, when it went on", value) for name, value in changed.items()]
    return section("Versions", facts(pairs) if pairs else paragraph("Versions are not on record.", kind="bad"))


def repeat(past: Past) -> Html:
    """Exact commands."""
    command = str(past.settings.get("command") or (past.sessions[0]["command"] if past.sessions else "") or "")
    parts, given = list[object](), past.options.get("bench")
    version = past.settings.get("versions", {}).get("labonn") if isinstance(past.settings.get("versions"), dict) else None
    if not command:
        return section("How to repeat it", paragraph("The command is not on record.", kind="bad"))
    parts += [paragraph(f"With labonn {version}:" if version else "Again:"), code(command)]
    folder = past.folder.name
    if isinstance(given, str) and "://" not in given:
        parts.append(paragraph(f"The bench file {given} may have changed since; as it was then, it is bench.toml in the run's folder:"))
        parts.append(code(command.replace(given, f"{folder}/bench.toml", 1)))
    if past.options.get("data") not in (None, "mini"):
        parts.append(paragraph(f"The data set is not in the folder: {past.options['data']}.", kind="soft"))
    if past.options.get("calibrations"):
        kept = "calibrations are not in the folder; those that count are named above by their content"
        parts.append(paragraph(f"The {kept}: {past.options['calibrations']}.", kind="soft"))
    if past.summary.status in ("interrupted", "failed", "died") and any((past.folder / "checkpoints").glob("[0-9]*.npz")):
        parts += [paragraph("To go on from its last checkpoint:"), code(f"labonn run {past.procedure} --resume {folder}")]
    parts += [
        paragraph("Its record as tables, and its figures:"),
        code(f"labonn runs export {folder} --csv tables\nlabonn plot {folder} --what list"),
    ]
    return section("How to repeat it", *parts)


def files(past: Past, hashed: bool = True) -> Html:
    """Of the folder, with size and SHA-256; those of a run that is still going change."""
    try:
        paths = sorted(path for path in past.folder.rglob("*") if path.is_file() and path.name not in OWN)
    except OSError as problem:
        return section("Files", paragraph(f"The folder cannot be read: {problem.strerror or problem}", kind="bad"))
    rows, left = list[list[object]](), MOST_HASHED
    for path in paths[:MOST_FILES]:
        told, count = _file(path, left if hashed else 0)
        left -= count
        rows.append([path.relative_to(past.folder), size(count), told])
    parts: list[object] = [table(("file", "size", "SHA-256"), rows, (1,), kind="hash")]
    parts += [] if hashed else [paragraph("The run is still writing them; hashes are for files that stay.", kind="soft")]
    parts += [paragraph(f"and {len(paths) - MOST_FILES:,} more", kind="soft")] if len(paths) > MOST_FILES else []
    return section("Files", *parts)


def _file(path: Path, left: int) -> tuple[str, int]:
    try:
        count = path.stat().st_size
        if not left:
            return "-", count
        if count > left:
            return "too large", count
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), count
    except OSError as problem:
        return f"cannot be read: {problem.strerror or problem}", 0
