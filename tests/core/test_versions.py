"""Versions in run folders: the commit of a checkout, read from the files that git keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from labonn.versions import commit_of

COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40


def repository(folder: Path, head: str = "ref: refs/heads/main") -> Path:
    (folder / ".git" / "refs" / "heads").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text(f"{head}\n", encoding="utf-8")
    return folder


def test_the_commit_of_a_branch_is_found_in_its_own_file_and_among_the_packed_ones(tmp_path: Path) -> None:
    folder = repository(tmp_path)
    assert commit_of(folder) is None
    (folder / ".git" / "packed-refs").write_text(
        f"# pack-refs\n{OTHER} refs/heads/other/main\n{COMMIT} refs/heads/main\n", encoding="utf-8"
    )
    assert commit_of(folder) == COMMIT
    (folder / ".git" / "refs" / "heads" / "main").write_text(f"{OTHER}\n", encoding="utf-8")
    assert commit_of(folder) == OTHER


def test_a_head_without_a_branch_and_a_worktree_have_commits_too(tmp_path: Path) -> None:
    main = repository(tmp_path / "main", OTHER)
    assert commit_of(main) == OTHER
    inside = main / ".git" / "worktrees" / "tree"
    inside.mkdir(parents=True)
    (inside / "HEAD").write_text("ref: refs/heads/topic\n", encoding="utf-8")
    (inside / "commondir").write_text("../..\n", encoding="utf-8")
    (main / ".git" / "refs" / "heads" / "topic").write_text(COMMIT, encoding="utf-8")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {inside}\n", encoding="utf-8")
    assert commit_of(tree) == COMMIT


@pytest.mark.parametrize("head", ["", "ref: refs/heads/none", "not a commit", "\x00" * 40])
def test_what_is_no_repository_or_a_broken_one_has_no_commit(tmp_path: Path, head: str) -> None:
    assert commit_of(tmp_path) is None
    assert commit_of(repository(tmp_path / "broken", head)) is None
