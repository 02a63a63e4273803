"""Logs of long-running commands: a line a record on stderr, fields at its end."""

from __future__ import annotations

import logging
import sys

LEVELS = ("debug", "info", "warning", "error")
# The last is uvicorn's: its message once more, for terminals.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
}


class Lines(logging.Formatter):
    """`time level logger: message key=value ...`"""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with what the record carries beside its message."""
        line = super().format(record)
        fields = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        head, *rest = line.split("\n", 1)
        return "\n".join([" ".join([head, *_fields(fields)]), *rest])


def _fields(fields: dict[str, object]) -> list[str]:
    return [f"{k}={v!r}" if " " in str(v) else f"{k}={v}" for k, v in fields.items()]


def configure(level: str) -> None:
    """Send every logger's records to stderr from a level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        Lines("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    )
    # It shouts what we say ourselves: that nobody answers.
    logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
