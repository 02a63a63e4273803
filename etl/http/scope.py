"""What a key may speak of: sites, event types, and groups of cameras."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any

# The field that a key of a camera group must find in every event.
CAMERA = "camera_id"


class Cameras(Collection[str]):
    """A group of cameras: ids, and patterns in which * stands for anything."""

    def __init__(self, patterns: Collection[str]) -> None:
        self.patterns = tuple(patterns)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = [map(re.escape, each.split("*")) for each in self.patterns]
        return re.compile("|".join(".*".join(part) for part in parts), re.DOTALL)

    def __contains__(self, camera: object) -> bool:
        return isinstance(camera, str) and bool(self._pattern.fullmatch(camera))

    def __iter__(self) -> Iterator[str]:
        return iter(self.patterns)

    def __len__(self) -> int:
        return len(self.patterns)


# Of each field, what a key may say there; None: anything.
Limits = Mapping[str, Collection[str] | None]


def breach(field: str, value: Any, known: Collection[str]) -> str | None:
    """Why a key for these may not send this value; None where it may.

    The door reads a number as its digits. What else is no text it parks.
    """
    text = str(value) if type(value) is int else value
    for_these = f"this key is for {', '.join(sorted(known))}"
    if field == CAMERA and (text is None or text == ""):
        return f"no {CAMERA}; {for_these}"
    if isinstance(text, str) and text not in known:
        return f"{field} {text[:64]!r}; {for_these}"
    return None
