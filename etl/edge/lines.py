"""What sources hand over: lines, when they came, and how far their source is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from etl.edge.clock import Instant
from etl.edge.size import OVERHEAD, Size

# The server parks longer ones, and keeps as much of them.
LONGEST_LINE = 65_536
_CUT = LONGEST_LINE + 1
NO_EVENT, STATE, PRODUCT_COUNT = 0, 1, 2


@dataclass(frozen=True)
class Mark:
    """How far a file is read: stored with the lines it speaks of."""

    inode: str
    path: str
    head: bytes
    done: int


@dataclass(frozen=True)
class Chunk:
    """Lines that came at once. durable is called when they are safe on disk."""

    lines: list[bytes]
    came: Instant
    mark: Mark | None = None
    durable: Callable[[], None] | None = None

    @property
    def size(self) -> Size:
        """What the lines take."""
        return Size(len(self.lines), sum(len(line) + OVERHEAD for line in self.lines))

    def parts(self, most: int) -> list[Chunk]:
        """The same in chunks of so many lines at most; the last tells the source."""
        starts = range(0, len(self.lines), most)
        parts = [Chunk(self.lines[at : at + most], self.came) for at in starts]
        last = parts[-1].lines if parts else []
        return [*parts[:-1], replace(self, lines=last)]


class Splitter:
    """Cuts a stream into lines; blank ones are none, endless ones are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in what has come."""
        if self._skipping:
            _, found, data = data.partition(b"\n")
            if not found:
                return []
            self._skipping = False
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _CUT:
            whole.append(self._rest)
            self._rest, self._skipping = b"", True
        return whole_lines(whole)

    def end(self) -> list[bytes]:
        """What is left when no more comes."""
        rest, self._rest, self._skipping = self._rest, b"", False
        return whole_lines([rest])


def whole_lines(lines: list[bytes]) -> list[bytes]:
    """Without white space around them and without blank ones."""
    stripped = (line.strip() for line in lines)
    return [line[:_CUT] for line in stripped if line]


def lines_of(payload: bytes) -> list[bytes]:
    """Lines of a message: one event, an array of events, or NDJSON."""
    if not payload.lstrip().startswith(b"["):
        document = parsed(payload)
        if isinstance(document, dict) and b"\n" in payload.strip():
            return [json.dumps(document).encode()]
        return whole_lines(payload.split(b"\n"))
    elements = parsed(payload)
    if not isinstance(elements, list):
        return whole_lines(payload.split(b"\n"))
    return [json.dumps(element).encode()[:_CUT] for element in elements]


def parsed(text: bytes) -> Any:
    """The value of a JSON text; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def rank_of(line: bytes) -> int:
    """What may go first when there is no room: the lowest rank."""
    document = parsed(line)
    if not isinstance(document, dict) or "event_type" not in document:
        return NO_EVENT
    return PRODUCT_COUNT if document["event_type"] == "product_count" else STATE
