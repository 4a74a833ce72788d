"""Versions of what decides a result, for run folders and tapes."""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    found = {"python": platform.python_version(), "platform": f"{sys.platform} {platform.machine()}"}
    for package in ("labonn", "numpy", "scipy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    commit = commit_of(Path(__file__).resolve().parents[1])
    return {**found, "labonn commit": commit} if commit else found


def commit_of(folder: Path) -> str | None:
    """The commit that is checked out in a git repository, read without git; None if that cannot be had."""
    try:
        git = folder / ".git"
        if git.is_file():  # of a worktree: where the repository has its files
            git = folder / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        shared = git / "commondir"
        common = git / shared.read_text(encoding="utf-8").strip() if shared.is_file() else git
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        name = head.removeprefix("ref: ")
        found = head if name == head else _branch(common, name)
    except (OSError, ValueError):
        return None
    return found if found is not None and COMMIT.fullmatch(found) else None


def _branch(git: Path, name: str) -> str | None:
    """A branch's commit, from its own file, or the one of all branches."""
    if (git / name).is_file():
        return (git / name).read_text(encoding="utf-8").strip()
    lines = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
    return next((line.partition(" ")[0] for line in lines if line.endswith(f" {name}")), None)
