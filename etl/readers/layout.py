"""What the columns of a file may be called, and which of them it must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from etl.shape.rules import FIELDS, REQUIRED


@dataclass(frozen=True)
class Layout:
    """fields: what is read; aliases: other name to field; required: no file without."""

    fields: tuple[str, ...]
    required: tuple[str, ...]
    aliases: Mapping[str, str]


EVENTS = Layout(FIELDS, REQUIRED, {"timestamp": "time"})
