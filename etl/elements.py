"""JSON values on their way to the door: what HTTP posts and messages have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson
import polars as pl

from etl.batch import ORIGIN_SCHEMA
from etl.shape.rules import FIELDS

DEEPEST = 16
NAMES = {name: name for name in FIELDS} | {"timestamp": "time"}
NO_OBJECT = "the element is no JSON object"
SOURCE_SCHEMA = pl.Schema([*ORIGIN_SCHEMA.items(), ("source", pl.String)])


def as_json(element: Any) -> bytes:
    """An element as JSON; what orjson cannot write, Python's json can."""
    try:
        return orjson.dumps(element)
    except (TypeError, orjson.JSONEncodeError):
        return json.dumps(element).encode()


def is_deep(values: Iterable[Any]) -> bool:
    """Whether values nest deeper than DEEPEST: an event is flat, this is an attempt."""
    level = [v for v in values if isinstance(v, dict | list)]
    for _ in range(DEEPEST if level else 1):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return True
