"""Which files of a folder are loaded, and what is told of the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from etl.files.found import found


def test_hidden_and_other_files_are_left_out(tmp_path: Path) -> None:
    for name in ("b.csv", "a.ndjson.gz", ".c.csv", "_d.csv", "readme.md"):
        (tmp_path / name).touch()
    for folder in ("deep", ".git"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "e.parquet").touch()
    files, notices = found([str(tmp_path)])
    names = [str(Path(file).relative_to(tmp_path)) for file in files]
    assert names == ["a.ndjson.gz", "b.csv", "deep/e.parquet"]
    assert notices == [f"{tmp_path}: 1 files left out that are no event files"]


def test_a_folder_that_goes_while_it_is_read_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").touch()
    gone = tmp_path / "gone"
    gone.mkdir()
    really = os.scandir

    def scandir(path: str) -> object:
        if str(path) == str(tmp_path):
            entries = list(really(path))
            gone.rmdir()
            return Entries(entries)
        return really(path)

    monkeypatch.setattr(os, "scandir", scandir)
    files, notices = found([str(tmp_path)])
    assert files == [str(tmp_path / "a.csv")]
    assert notices == [f"{gone} is left out: No such file or directory"]


class Entries:
    """What os.scandir gives, read beforehand."""

    def __init__(self, entries: list[os.DirEntry[str]]) -> None:
        self.entries = iter(entries)

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __iter__(self) -> Entries:
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self.entries)
