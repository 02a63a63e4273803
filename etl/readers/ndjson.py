"""NDJSON event files: one object a line; a line that is none is parked by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

import numpy as np
import orjson
import polars as pl

from etl.readers.lines import TOO_LONG, Spans, block_of, line_spans, numbered
from etl.readers.open import LONGEST_LINE, Block
from etl.shape.codes import IDENTIFIERS, WRONG_TYPE

TEXT_ONLY = {*IDENTIFIERS, "model_version", "camera_id", "event_type", "time"}
_NO_OBJECT = "the line is no JSON object"


@dataclass(frozen=True)
class NdjsonReader:
    """Objects, a line each: names is the name in the file to the field it holds."""

    name: str
    names: Mapping[str, str]
    site: str | None = None

    def read(self, data: bytes, line: int, *, last: bool) -> Block:
        """Take whole lines from the front of `data`: see Reader."""
        body = data if last else data[: data.rfind(b"\n") + 1]
        spans = _filled(body, line_spans(body))
        documents: list[dict[str, Any]] = []
        rows: list[int] = []
        broken: dict[int, str] = {}
        bounds = zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)
        for row, (start, end) in enumerate(bounds):
            if end - start > LONGEST_LINE:
                broken[row] = TOO_LONG
                continue
            document = parsed(body[start:end])
            if isinstance(document, dict):
                documents.append(document)
                rows.append(row)
            else:
                broken[row] = _NO_OBJECT
        texts = texts_of(documents, self.names)
        texts = numbered(texts, np.array(rows, dtype=np.int64), self.site)
        return block_of(body, line, texts, broken, lambda: spans)


def parsed(text: bytes) -> Any:
    """The value of a JSON text; None where it is none.

    What orjson refuses and Python's json reads (lone surrogates, NaN, endless integers)
    is parsed, so that only the field that holds it breaks a rule.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def texts_of(
    documents: Iterable[Mapping[str, Any]], names: Mapping[str, str]
) -> pl.DataFrame:
    """Fields of JSON objects as text columns, null where absent or null."""
    documents = list(documents)
    columns: dict[str, list[str | None]] = {}
    for name, field in names.items():
        texts = _texts([document.get(name) for document in documents], field)
        said = columns.get(field)
        columns[field] = (
            texts
            if said is None
            else [a if a is not None else b for a, b in zip(said, texts, strict=True)]
        )
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _texts(values: list[Any], field: str) -> list[str | None]:
    """Values of one field as texts; most columns hold plain text, or nothing."""
    kinds = set(map(type, values))
    if kinds == {NoneType}:
        return values
    if kinds <= {str, NoneType} and "".join(filter(None, values)).isascii():
        return values
    return [text_of(value, field) for value in values]


def text_of(value: Any, field: str) -> str | None:
    """A JSON value as the text that shape reads; WRONG_TYPE before what cannot be."""
    if type(value) is str:
        if value.isascii() or _encodable(value):
            return value
        return WRONG_TYPE + value.encode("utf-8", "backslashreplace").decode()
    if value is None:
        return None
    if type(value) is int:
        return str(value)
    if type(value) is float and field not in TEXT_ONLY:
        return repr(value)
    return WRONG_TYPE + json.dumps(value)


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _filled(body: bytes, spans: Spans) -> Spans:
    """Without lines that hold nothing but white space."""
    bounds = zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)
    kept = np.array([not body[a : min(b, a + 64)].isspace() for a, b in bounds], bool)
    return Spans(spans.starts[kept], spans.ends[kept])
