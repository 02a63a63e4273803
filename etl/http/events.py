"""A body of events: one object, an array or NDJSON, as elements for the door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate, islice
from typing import Any

import numpy as np
import polars as pl

from etl.batch import BROKEN_SCHEMA, Batch
from etl.elements import DEEPEST, NAMES, NO_OBJECT, SOURCE_SCHEMA, as_json, is_deep
from etl.http.errors import ApiError
from etl.readers.lines import TOO_LONG, numbered
from etl.readers.ndjson import parsed, texts_of
from etl.readers.open import LONGEST_LINE

MOST_EVENTS = 10_000
NDJSON_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")


@dataclass(frozen=True)
class Events:
    """One post: its elements in their order.

    documents: objects, and rows: their positions; broken: position to message of
    what is no event; raw: the bytes of an element; source: who sent them.
    """

    size: int
    documents: Sequence[dict[str, Any]]
    rows: Sequence[int]
    broken: dict[int, str]
    raw: Callable[[int], bytes]
    source: str


def read_events(
    body: bytes, content_type: str, source: str, site: str | None
) -> Events:
    """Elements of a body; site is for those that name none. ApiError 400, 413."""
    media_type = content_type.partition(";")[0].strip().lower()
    ways = (_document, _lines)
    if media_type in NDJSON_TYPES:
        ways = (_lines, _document)
    read = ways[0](body) or ways[1](body)
    if read is None:
        raise ApiError(
            400,
            "bad_json",
            "The body is no JSON: send one event, an array of events, or NDJSON.",
        )
    lines, elements = read
    if len(elements) > MOST_EVENTS:
        there = "more" if lines else f"{len(elements):,}"
        raise ApiError(
            413,
            "too_many",
            f"A post may hold {MOST_EVENTS:,} events, this one has {there}. "
            "Send several, or a file to PUT /api/v1/events/file.",
        )
    return _events(elements, lines, body, source, site)


_Read = tuple[list[bytes] | None, list[Any]]


def _document(body: bytes) -> _Read | None:
    """The elements of one JSON text, an array or an object; None where it is none."""
    value = parsed(body)
    if value is None and body.strip() != b"null":
        return None
    return None, value if isinstance(value, list) else [value]


def _lines(body: bytes) -> _Read | None:
    """Lines that hold anything, and their values; None where this is no NDJSON.

    One line that is no object may be an array, whatever its type says.
    """
    filled = (line for line in map(bytes.strip, BytesIO(body)) if line)
    lines = list(islice(filled, MOST_EVENTS + 1))
    if len(lines) > MOST_EVENTS:
        # Counted, not read: they are refused.
        return lines, [None] * len(lines)
    values = [parsed(line) if len(line) <= LONGEST_LINE else None for line in lines]
    if any(isinstance(value, dict) for value in values):
        return lines, values
    all_json = all(
        value is not None or line == b"null"
        for line, value in zip(lines, values, strict=True)
    )
    return (lines, values) if len(lines) > 1 and all_json else None


def _events(
    elements: Sequence[Any],
    lines: Sequence[bytes] | None,
    body: bytes,
    source: str,
    site: str | None,
) -> Events:
    documents: list[dict[str, Any]] = []
    rows: list[int] = []
    broken: dict[int, str] = {}
    flat, short = _looked_over(body, elements)
    for row, element in enumerate(elements):
        if not isinstance(element, dict):
            _refuse_deep([element], row)
            too_long = lines is not None and len(lines[row]) > LONGEST_LINE
            broken[row] = TOO_LONG if too_long else NO_OBJECT
            continue
        if not flat:
            _refuse_deep(element.values(), row)
        if not short and _length(lines, row, element) > LONGEST_LINE:
            broken[row] = TOO_LONG
            continue
        if site is not None and not element.get("site_id"):
            element["site_id"] = site
        documents.append(element)
        rows.append(row)

    def raw(row: int) -> bytes:
        element = elements[row]
        # With a site of ours in it, the line is not what was sent any more.
        as_sent = lines is not None and (site is None or row in broken)
        return (lines[row] if as_sent and lines else as_json(element))[:LONGEST_LINE]

    return Events(len(elements), documents, rows, broken, raw, source)


def _looked_over(body: bytes, elements: Sequence[Any]) -> tuple[bool, bool]:
    """Whether surely nothing nests, and no element is too long: by counting braces.

    Braces in texts only make us look at each element.
    """
    objects = sum(isinstance(element, dict) for element in elements)
    flat = body.count(b"{") <= objects and body.count(b"[") <= 1
    if len(body) <= LONGEST_LINE:
        return flat, True
    ends = body.split(b"}")
    apart = flat and len(ends) == objects + 1
    return flat, apart and max(map(len, ends)) < LONGEST_LINE


def _length(lines: Sequence[bytes] | None, row: int, element: dict[str, Any]) -> int:
    return len(lines[row]) if lines is not None else len(as_json(element))


def _refuse_deep(values: Iterable[Any], row: int) -> None:
    if is_deep(values):
        raise ApiError(
            400,
            "too_deep",
            f"Element {row} is nested deeper than {DEEPEST} levels; an event is flat.",
        )


def batch_of_posts(posts: Sequence[Events]) -> tuple[Batch, list[int]]:
    """Posts as one batch, one after the other, and at which row each begins."""
    starts = [0, *accumulate(post.size for post in posts)]
    documents = [document for post in posts for document in post.documents]
    texts = numbered(
        texts_of(documents, NAMES),
        np.concatenate(
            [
                np.asarray(post.rows, dtype=np.int64) + start
                for post, start in zip(posts, starts, strict=False)
            ]
        ),
        None,
    )
    broken = {
        start + row: message
        for post, start in zip(posts, starts, strict=False)
        for row, message in post.broken.items()
    }
    told = pl.DataFrame(
        {"row": list(broken), "message": list(broken.values())}, schema=BROKEN_SCHEMA
    )

    def origin(rows: pl.Series) -> pl.DataFrame:
        owners = np.searchsorted(starts, rows.to_numpy(), side="right") - 1
        found = [
            (row, row - starts[at] + 1, posts[at].raw(row - starts[at]), post_source)
            for row, at in zip(rows, owners.tolist(), strict=True)
            for post_source in (posts[at].source,)
        ]
        return pl.DataFrame(found, schema=SOURCE_SCHEMA, orient="row")

    return Batch(texts, origin, told), starts
