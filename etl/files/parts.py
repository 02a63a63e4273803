"""Large files in parts that several processes can load: the same parts in every run.

A part begins at the first line behind a multiple of PART_BYTES. Its content is the
header and its lines, so that it is a load like any other, continued like any other.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from etl.files.reading import Reading
from etl.readers.header import Opening
from etl.readers.open import STDIN, is_packed
from sql.errors import InputError

PART_BYTES = 32 << 20
_PIECE = 1 << 20


@dataclass(frozen=True)
class Part:
    """Bytes [start, end) of a file behind its first `header` bytes.

    lines_before is how many lines of the file lie between the two.
    """

    header: int
    start: int
    end: int
    lines_before: int

    @property
    def bytes(self) -> int:
        return self.end - self.start


def parts_of(path: str, reading: Reading, part_bytes: int = PART_BYTES) -> list[Part]:
    """Parts of a file; none where it has to be read as a whole.

    Whole: what is packed, no lines of text, or quoted, for a line may then end
    anywhere; and what is too small to be worth it.
    """
    if path == STDIN or not Path(path).is_file() or is_packed(path):
        return []
    if Path(path).stat().st_size < 2 * part_bytes:
        return []
    with Path(path).open("rb") as file:
        opening = _opening(file.read(_PIECE), path, reading)
        if opening is None:
            return []
        return _split(file, opening, part_bytes)


def _opening(first: bytes, path: str, reading: Reading) -> Opening | None:
    """How the file begins; None where it is not lines or no event file."""
    if first.startswith(b"PAR1"):
        return None
    try:
        return reading.opened(first, path)
    except InputError:
        # Whoever loads it says so.
        return None


def _split(file: io.BufferedReader, opening: Opening, part_bytes: int) -> list[Part]:
    starts: list[tuple[int, int]] = []
    at = lines = 0
    file.seek(0)
    for piece in iter(lambda: file.read(min(_PIECE, part_bytes)), b""):
        if opening.format == "csv" and b'"' in piece:
            return []
        due = (len(starts) + 1) * part_bytes
        if at + len(piece) > due:
            newline = piece.find(b"\n", max(0, due - at))
            if newline >= 0:
                before = lines + piece.count(b"\n", 0, newline + 1)
                starts.append((at + newline + 1, before))
        lines += piece.count(b"\n")
        at += len(piece)
    header = opening.bytes
    begins = [(header, 0), *((start, n - opening.lines) for start, n in starts)]
    ends = [start for start, _ in starts] + [at]
    return [
        Part(header, start, end, before)
        for (start, before), end in zip(begins, ends, strict=True)
        if end > start
    ]


class PartStream(io.RawIOBase):
    """The header of a file, then the bytes of a part: use it in a `with`."""

    def __init__(self, path: str, part: Part) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115 - closed by close()
        self._ranges = [(0, part.header), (part.start, part.end)]

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes of what is left."""
        pieces: Iterator[bytes] = self._pieces(size)
        return b"".join(pieces)

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size and self._ranges:
            start, end = self._ranges[0]
            self._file.seek(start)
            piece = self._file.read(min(end - start, size) if size > 0 else end - start)
            if not piece:
                self._ranges.pop(0)
                continue
            self._ranges[0] = (start + len(piece), end)
            size -= len(piece) if size > 0 else 0
            yield piece
