"""Two clocks: the wall clock, which may be wrong and jump, and the one since boot."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Between the two readings of one instant; longer, and they are taken again.
_APART_US = 100_000
_SECOND_US = 1_000_000
# A Date has whole seconds, and servers make it once a second.
_DATE_US = 2 * _SECOND_US


@dataclass(frozen=True)
class Instant:
    """One instant on both clocks, in microseconds."""

    wall_us: int
    boot_us: int

    @property
    def offset_us(self) -> int:
        """Wall clock minus clock since boot: constant until one of them is moved."""
        return self.wall_us - self.boot_us


@dataclass(frozen=True)
class ServerClock:
    """Bounds of the server's clock minus ours since boot, proven by one answer."""

    low_us: int
    high_us: int

    @property
    def middle_us(self) -> int:
        """The likeliest."""
        return (self.low_us + self.high_us) // 2

    @property
    def width_us(self) -> int:
        """How much is not known."""
        return self.high_us - self.low_us

    def error_us(self, offset_us: int) -> int:
        """What to add to a clock to be right; 0 where it may well be right."""
        if self.low_us - _SECOND_US <= offset_us <= self.high_us + _SECOND_US:
            return 0
        return self.middle_us - offset_us


def server_clock(date_us: int, sent_us: int, received_us: int) -> ServerClock:
    """From an answer's Date and when, on the clock since boot, it was on its way."""
    return ServerClock(date_us - received_us, date_us + _DATE_US - sent_us)


def since_boot_us() -> int:
    """Microseconds of a clock that nobody sets; sleep counts where it can be told."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    return time.monotonic_ns() // 1000


def wall_us() -> int:
    """Microseconds since 1970 by the device's own clock."""
    return time.time_ns() // 1000


def now() -> Instant:
    """This instant, on both clocks."""
    while True:
        before = since_boot_us()
        wall = wall_us()
        if since_boot_us() - before < _APART_US:
            return Instant(wall, before)


def boot_id() -> str:
    """What is the same until the device is started again."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        # Nothing tells: then no clock of an earlier process is known to be ours.
        return uuid.uuid4().hex
