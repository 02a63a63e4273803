"""How much events take."""

from __future__ import annotations

from dataclasses import dataclass

# What an event takes in the spool beside its own bytes, its index entry included.
OVERHEAD = 64


@dataclass(frozen=True)
class Size:
    """How many events, and the bytes they take."""

    events: int = 0
    bytes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.events + other.events, self.bytes + other.bytes)

    def __sub__(self, other: Size) -> Size:
        return Size(self.events - other.events, self.bytes - other.bytes)

    def exceeds(self, other: Size) -> bool:
        """Whether it is more than the other, in events or in bytes."""
        return self.events > other.events or self.bytes > other.bytes
