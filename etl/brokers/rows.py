"""Messages read one by one: each is an event, an array of events or NDJSON."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from etl.batch import BROKEN_SCHEMA, Batch
from etl.brokers.stream import Message
from etl.elements import DEEPEST, NAMES, NO_OBJECT, SOURCE_SCHEMA, as_json, is_deep
from etl.readers.lines import TOO_LONG, numbered
from etl.readers.ndjson import parsed, texts_of
from etl.readers.open import LONGEST_LINE

# Of a message that holds no events at all, so much is kept.
LONGEST_PARKED = 1 << 20
_NO_JSON = "the message is no JSON: neither an event, nor an array of them, nor NDJSON"
_NO_OBJECT_LINE = "the line is no JSON object"
_DEEP = f"the message is nested deeper than {DEEPEST} levels; an event is flat"
Raw = Callable[[int], bytes]


@dataclass
class Rows:
    """Rows so far; starts: at which row each message begins that holds any.

    raws: from a row's place in its message to its bytes, None: the message's own.
    """

    site: str | None
    documents: list[dict[str, Any]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    raws: list[Raw | None] = field(default_factory=list)
    size: int = 0

    def add(self, message: Message) -> None:
        """Read one message."""
        value = parsed(message.payload)
        if type(value) is dict and self.site is None and _is_plain(message.payload):
            self._begin(message, None)
            self.documents.append(value)
            self.rows.append(self.size)
            self.size += 1
        elif value is not None:
            self._elements(message, value if isinstance(value, list) else [value])
        elif message.payload.strip():
            self._lines(message)

    def _begin(self, message: Message, raw: Raw | None) -> None:
        self.starts.append(self.size)
        self.messages.append(message)
        self.raws.append(raw)

    def _elements(self, message: Message, elements: Sequence[Any]) -> None:
        """Elements of an array, or an object as the only one."""
        if is_deep([elements]):
            self._whole(message, _DEEP)
            return
        self._begin(message, lambda at: as_json(elements[at])[:LONGEST_LINE])
        long = len(message.payload) > LONGEST_LINE
        for element in elements:
            said = None
            if not isinstance(element, dict):
                said = NO_OBJECT
            elif long and len(as_json(element)) > LONGEST_LINE:
                said = TOO_LONG
            self._row(element, said)

    def _lines(self, message: Message) -> None:
        """NDJSON, where any line is an object; else one broken row."""
        lines = [line.strip() for line in message.payload.split(b"\n")]
        lines = [line for line in lines if line]
        values = [parsed(line) if len(line) <= LONGEST_LINE else None for line in lines]
        if not any(isinstance(value, dict) for value in values):
            self._whole(message, _NO_JSON)
            return
        if is_deep(values):
            self._whole(message, _DEEP)
            return

        def raw(at: int) -> bytes:
            # With a site of ours in it, the line is not what was sent any more.
            named = self.site is not None and isinstance(values[at], dict)
            return as_json(values[at]) if named else lines[at][:LONGEST_LINE]

        self._begin(message, raw)
        for line, value in zip(lines, values, strict=True):
            said = TOO_LONG if len(line) > LONGEST_LINE else _NO_OBJECT_LINE
            self._row(value, None if isinstance(value, dict) else said)

    def _whole(self, message: Message, said: str) -> None:
        self._begin(message, lambda _: message.payload[:LONGEST_PARKED])
        self._row(None, said)

    def _row(self, element: Any, said: str | None) -> None:
        if said is not None:
            self.broken[self.size] = said
        else:
            if self.site is not None and not element.get("site_id"):
                element["site_id"] = self.site
            self.documents.append(element)
            self.rows.append(self.size)
        self.size += 1

    def batch(self) -> Batch:
        """What was read, as a batch."""
        at = np.asarray(self.rows, dtype=np.int64)
        texts = numbered(texts_of(self.documents, NAMES), at, None)
        said = {"row": list(self.broken), "message": list(self.broken.values())}
        broken = pl.DataFrame(said, schema=BROKEN_SCHEMA)
        return Batch(texts, self.origin, broken)

    def origin(self, rows: pl.Series) -> pl.DataFrame:
        """Where rows came from: see Batch."""
        found = []
        for row in rows:
            at = bisect_right(self.starts, row) - 1
            message, raw = self.messages[at], self.raws[at]
            place = row - self.starts[at]
            data = message.payload if raw is None else raw(place)
            found.append((row, place + 1, data, message.source))
        return pl.DataFrame(found, schema=SOURCE_SCHEMA, orient="row")


def _is_plain(payload: bytes) -> bool:
    """Whether an object certainly holds no other and no list, and is not too long."""
    return (
        payload.find(b"{", 1) < 0
        and b"[" not in payload
        and len(payload) <= LONGEST_LINE
    )
