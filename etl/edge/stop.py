"""The wish to end: something to ask, to wait for, and to wake a select."""

from __future__ import annotations

import os
import threading


class Stop:
    """Set once, for ever."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reading, self._writing = os.pipe()

    def set(self) -> None:
        """Have everybody end what he does."""
        self._event.set()
        os.write(self._writing, b"x")

    def is_set(self) -> bool:
        """Whether it is time to end."""
        return self._event.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Rest for so long, or until it is time to end; whether it is."""
        return self._event.wait(seconds)

    def fileno(self) -> int:
        """Readable from then on."""
        return self._reading
