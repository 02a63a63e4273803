"""Token buckets: how much a key may send, and how often a stranger may try."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

_SECONDS_AT_ONCE = 10.0
_MOST_BUCKETS = 10_000


class Bucket:
    """Fills at `rate` a second up to ten seconds' worth; may run into debt once.

    So a post costs what it holds, which is known only when it was read, and one that is
    larger than the bucket can still pass.
    """

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._most = max(rate * _SECONDS_AT_ONCE, 1.0)
        self._tokens, self._at = self._most, now

    def wait_s(self, now: float) -> float:
        """Seconds until something may be taken; 0: now."""
        filled = self._tokens + (now - self._at) * self.rate
        self._tokens = min(filled, self._most)
        self._at = now
        return max(0.0, (1.0 - self._tokens) / self.rate)

    def take(self, cost: float) -> None:
        """What something cost; ask wait_s first."""
        self._tokens -= cost


class Buckets:
    """A bucket a key or address, the least used forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def wait_s(self, owner: Hashable, rate: float) -> float:
        """Seconds until the owner may take something; 0: now."""
        return self._of(owner, rate).wait_s(self._clock())

    def take(self, owner: Hashable, rate: float, cost: float) -> None:
        """Take what something cost."""
        self._of(owner, rate).take(cost)

    def _of(self, owner: Hashable, rate: float) -> Bucket:
        bucket = self._buckets.get(owner)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[owner] = Bucket(rate, self._clock())
        self._buckets.move_to_end(owner)
        while len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket
