"""One zone's wall clock as a table: instants to local time and back, by arrays.

All times are integers: microseconds since 1970, UTC for instants, local for walls.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Micros = NDArray[np.int64]

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
ALWAYS = -(2**61)
NEVER = 2**61
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A margin of two days: zones are asked for local times, which Python bounds as well.
FIRST_INSTANT = (datetime(1, 1, 3, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
LAST_INSTANT = (datetime(9999, 12, 29, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """An aware datetime as microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """Microseconds since 1970 as an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=us)


class WallClock:
    """What a zone's clocks show over [start, end), with days to spare on both sides."""

    def __init__(self, zone: ZoneInfo, start: int, end: int) -> None:
        changes, offsets = _offset_changes(
            zone,
            max(start - 4 * DAY, FIRST_INSTANT),
            min(end + 4 * DAY, LAST_INSTANT),
        )
        self.changes: Micros = np.array([ALWAYS, *changes], dtype=np.int64)
        self.offsets: Micros = np.array(offsets, dtype=np.int64)
        # The wall clock just before each change; after a step back the earlier reading
        # has already been shown, hence the running maximum.
        last_shown = np.array(changes, dtype=np.int64) + self.offsets[:-1]
        self._shown: Micros = np.maximum.accumulate(last_shown)

    def wall(self, instants: Micros) -> Micros:
        """Local time shown at each instant."""
        span = np.searchsorted(self.changes, instants, side="right") - 1
        walls: Micros = instants + self.offsets[span]
        return walls

    def instants(self, walls: Micros) -> Micros:
        """The first instant at which each wall time, or a later one, is shown.

        That is metrics.md's rule for boundaries: of a repeated time the first
        occurrence, for a skipped one the instant of the change.
        """
        span = np.searchsorted(self._shown, walls, side="right")
        found: Micros = np.maximum(walls - self.offsets[span], self.changes[span])
        return found

    def date_changes(self, start: int, end: int) -> Micros:
        """Instants in [start, end) at which the local date becomes another."""
        walls = self.wall(np.array([start, end], dtype=np.int64))
        midnights = np.arange(walls[0] // DAY, walls[1] // DAY + 2) * DAY
        readings = (midnights[:, None] - self.offsets[None, :]).ravel()
        found = np.unique(np.concatenate([readings, self.changes[1:]]))
        found = found[(found >= start) & (found < end)]
        changed = self.wall(found) // DAY != self.wall(found - 1) // DAY
        kept: Micros = found[changed]
        return kept


def _offset_changes(
    zone: ZoneInfo, start: int, end: int
) -> tuple[list[int], list[int]]:
    """Instants of (start, end] at which the offset changes, and all offsets in turn.

    Samples twice a day and halves where two differ: no zone has ever changed its
    offset there and back within half a day.
    """
    samples = [*range(start, end, DAY // 2), end]
    read = [_offset(zone, at) for at in samples]
    changes: list[int] = []
    offsets = [read[0]]
    for i in range(1, len(samples)):
        if read[i] != read[i - 1]:
            changes.append(_halve(zone, samples[i - 1], samples[i]))
            offsets.append(read[i])
    return changes, offsets


def _offset(zone: ZoneInfo, at: int) -> int:
    """Microseconds that the zone's clocks are ahead of UTC."""
    offset = moment(at).astimezone(zone).utcoffset() or timedelta()
    return offset // timedelta(microseconds=1)


def _halve(zone: ZoneInfo, low: int, high: int) -> int:
    """The first instant of (low, high] that has the offset of `high`."""
    after = _offset(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(zone, middle) == after else (middle, high)
    return high
