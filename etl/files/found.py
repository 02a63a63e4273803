"""Which files are meant: paths as they are, folders and patterns as what lies there."""

from __future__ import annotations

import glob
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
    inside = [
        path
        for path in Path(folder).rglob("*")
        if path.is_file() and not _is_hidden(path.relative_to(folder))
    ]
    events = sorted(str(path) for path in inside if _suffix(path) in EVENT_SUFFIXES)
    if not events:
        raise InputError(
            f"{folder} holds no event files (*.csv, *.ndjson, *.parquet and the like, "
            f"also .gz and .zst)"
        )
    if others := len(inside) - len(events):
        notices.append(f"{folder}: {others:,} files left out that are no event files")
    return events


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _suffix(path: PurePath) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in _PACKED]
    return suffixes[-1] if suffixes else ""
