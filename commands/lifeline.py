"""A child of `floorpulse up` ends when `up` does, however that came to its end.

`up` holds the writing end of a pipe for life; its children wait for the end of it.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "FLOORPULSE_LIFELINE_FD"


def watch() -> None:
    """Send ourselves SIGTERM when the process that started us is gone; else nothing."""
    number = os.environ.pop(VARIABLE, "")
    if not number.isdigit():
        return
    thread = threading.Thread(target=_wait, args=(int(number),), daemon=True)
    thread.start()


def _wait(reading_end: int) -> None:
    # Nothing is ever written: this returns at the end of the pipe alone.
    os.read(reading_end, 1)
    os.kill(os.getpid(), signal.SIGTERM)
