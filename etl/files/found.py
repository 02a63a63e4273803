"""Which files are meant: paths as they are, folders and patterns as what lies there."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from etl.readers.open import STDIN
from sql.errors import InputError

EVENT_SUFFIXES = {".csv", ".tsv", ".txt", ".log", ".ndjson", ".jsonl", ".json"}
EVENT_SUFFIXES |= {".parquet", ".pq"}
_PACKED = {".gz", ".zst"}


def found(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Files in the order of their names, each once; and notices of what is left out.

    A folder stands for the event files below it, known by their suffix; what is hidden
    is not looked at. A path that does not exist is a pattern if it has one of *?[.
    Raises InputError for a folder or pattern in which nothing lies.
    """
    files: dict[str, None] = {}
    notices: list[str] = []
    for path in paths:
        files |= dict.fromkeys(_meant(path, notices))
    return list(files), notices


def _meant(path: str, notices: list[str]) -> Iterator[str]:
    if path == STDIN:
        yield path
    elif Path(path).is_dir():
        yield from _below(path, notices)
    elif glob.has_magic(path) and not Path(path).exists():
        matches = sorted(glob.glob(path, recursive=True))
        if not matches:
            raise InputError(f"{path}: no file is called so")
        for match in matches:
            if Path(match).is_dir():
                yield from _below(match, notices)
            else:
                yield match
    else:
        yield path


def _below(folder: str, notices: list[str]) -> list[str]:
    inside = list(_files(folder, notices))
    events = sorted(str(path) for path in inside if _suffix(path) in EVENT_SUFFIXES)
    if not events:
        raise InputError(
            f"{folder} holds no event files (*.csv, *.ndjson, *.parquet and the like, "
            f"also .gz and .zst)"
        )
    if others := len(inside) - len(events):
        notices.append(f"{folder}: {others:,} files left out that are no event files")
    return events


def _files(folder: str, notices: list[str]) -> Iterator[Path]:
    """All that is not hidden; a folder that cannot be read, or is gone, is a notice."""

    def left_out(error: OSError) -> None:
        notices.append(f"{error.filename} is left out: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=left_out):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        paths = (Path(place, name) for name in names if not _is_hidden(name))
        yield from (path for path in paths if path.is_file())


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _suffix(path: PurePath) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in _PACKED]
    return suffixes[-1] if suffixes else ""
