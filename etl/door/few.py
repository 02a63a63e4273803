"""A few plain events past the frames: the same door in a fraction of the fixed cost.

Frames cost some twenty milliseconds however few rows they hold. An event is plain where
it surely breaks no rule: its ids are printable, its values are of the types of JSON and
within their bounds, its time has an offset. This is no second rulebook: whatever is not
plain is not judged here but goes the way of all batches, and so does what the unique
key objects to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import orjson

from etl.door.keys import Arrival, KeyBook, Site
from etl.door.marks import hour_of, latency, notice, range_bounds
from etl.readers.ndjson import text_of
from etl.shape.codes import LONGEST_IDENTIFIER, LONGEST_S, MOST_UNITS
from etl.shape.rules import EVENT_TYPES, FUTURE_US, PRODUCT_COUNT
from etl.shape.time import instant_us
from sql.plant.wall_clock import DAY, micros, moment

_TYPE_CODES = {name: code for code, name in enumerate(EVENT_TYPES)}
_REAL = struct.Struct("f")


class Plain(NamedTuple):
    """An event of one site with its keys; sorts as all writers keep their rows."""

    day: int
    worker_key: int
    time_us: int
    workstation_key: int
    event_type: int
    confidence: float
    units: int
    duration_s: float | None
    model_key: int | None
    camera_key: int | None

    @property
    def identity(self) -> tuple[int, ...]:
        """What tells events apart."""
        return self[:5]


@dataclass(frozen=True, slots=True)
class Known:
    """A site and what is known of it when a few events arrive.

    missing, where it is given, takes the kinds and ids that are not known, and an event
    that lacks nothing else passes as plain: see `unmet`.
    """

    site_id: str
    site_key: int
    arrival: datetime
    from_us: int
    to_us: int
    book: KeyBook
    strict: bool = False
    missing: set[tuple[str, str]] | None = None

    def keys_of(self, kind: str) -> Mapping[str, int]:
        """What was met of a kind."""
        return self.book.known(kind, self.site_key)

    def key(self, kind: str, field: str, document: Mapping[str, Any]) -> int | None:
        """The key of the id in a field; None where it is absent or not known."""
        text = text_of(document.get(field), field)
        if text is None:
            return None
        key = self.keys_of(kind).get(text)
        if key is None and self.missing is not None and _is_identifier(text):
            self.missing.add((kind, text))
            return 0
        return key


def known_sites(arrival: Arrival, book: KeyBook) -> dict[str, Known]:
    """Registered sites, and the times that they take."""
    return {
        site_id: Known(
            site_id,
            site.site_key,
            arrival.at,
            *_bounds(site, arrival),
            book,
            site.strict,
        )
        for site_id, site in arrival.sites.items()
        if site.site_key is not None
    }


def unmet(
    posts: Iterable[Sequence[Mapping[str, Any]]], known: Known
) -> dict[str, list[str]]:
    """Ids of each kind that are all that posts lack to be plain; in their order."""
    found: set[tuple[str, str]] = set()
    for documents in posts:
        asking = replace(known, missing=set())
        if asking.missing is not None and all(plain(d, asking) for d in documents):
            found |= asking.missing
    told: dict[str, list[str]] = {}
    for kind, name in sorted(found):
        told.setdefault(kind, []).append(name)
    return told


def _is_identifier(text: str) -> bool:
    """Surely one; there are others."""
    return text.isprintable() and 1 <= len(text) <= LONGEST_IDENTIFIER


def _bounds(site: Site, arrival: Arrival) -> tuple[int, int]:
    at_us = micros(arrival.at)
    return site.rules.oldest_us(at_us) or 0, at_us + FUTURE_US


def plain(document: Mapping[str, Any], known: Known) -> Plain | None:
    """A JSON object as an event; None: let the rules decide."""
    time = document.get("time")
    time_us = instant_us(time) if type(time) is str else None
    worker_key = known.key("workers", "worker_id", document)
    workstation_key = known.key("workstations", "workstation_id", document)
    event_type = _event_type(document)
    if time_us is None or worker_key is None or workstation_key is None:
        return None
    if event_type is None or not max(known.from_us, 0) <= time_us <= known.to_us:
        return None
    day = time_us // DAY
    if not known.book.has_chunk(day):
        return None
    values = _values(document, event_type)
    optional = _optional(document, known)
    if values is None or optional is None:
        return None
    return Plain(
        day, worker_key, time_us, workstation_key, event_type, *values, *optional
    )


def _event_type(document: Mapping[str, Any]) -> int | None:
    said = document.get("event_type")
    return _TYPE_CODES.get(said) if type(said) is str else None


def _values(
    document: Mapping[str, Any], event_type: int
) -> tuple[float, int, float | None] | None:
    confidence = document.get("confidence")
    if not _is_number(confidence) or not 0 <= confidence <= 1:
        return None
    units = document.get("count")
    if units is None:
        units = 0
    least, most = (1, MOST_UNITS) if event_type == PRODUCT_COUNT else (0, 0)
    if type(units) is not int or not least <= units <= most:
        return None
    duration_s = document.get("duration_s")
    if duration_s is not None and (
        event_type == PRODUCT_COUNT
        or not _is_number(duration_s)
        or not 0 < duration_s <= LONGEST_S
    ):
        return None
    (real,) = _REAL.unpack(_REAL.pack(abs(confidence)))
    return real, units, duration_s


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) is float or type(value) is int


def _optional(
    document: Mapping[str, Any], known: Known
) -> tuple[int | None, int | None] | None:
    model_key = known.key("models", "model_version", document)
    camera_key = known.key("cameras", "camera_id", document)
    if model_key is None and document.get("model_version") is not None:
        return None
    if camera_key is None and document.get("camera_id") is not None:
        return None
    return model_key, camera_key


def ordered(events: Sequence[Plain]) -> list[Plain] | None:
    """In the one order; None where an identity comes twice."""
    rows = sorted(events, key=_identity)
    twice = any(one.identity == other.identity for one, other in pairwise(rows))
    return None if twice else rows


def _identity(event: Plain) -> tuple[int, ...]:
    return event.identity


def parameters(known: Known, events: Sequence[Plain]) -> dict[str, Any]:
    """What the query `admit_few` takes; the events as `ordered` has them."""
    times_us = np.array([event.time_us for event in events])
    late, histogram = latency(times_us, known.arrival)
    counts = {"stored": len(events), "duplicates": 0, "parked": 0}
    return {
        "site_key": known.site_key,
        "site_id": known.site_id,
        "events": _json([_row(event) for event in events]),
        "dirty": _json(_dirty(events, times_us)),
        "hour": hour_of(known.arrival),
        "stored": len(events),
        "late": late,
        "latency_histogram": histogram,
        "payload": notice(known.site_id, int(times_us.max()), counts),
    }


def _row(event: Plain) -> dict[str, Any]:
    return {
        "worker_key": event.worker_key,
        "time": moment(event.time_us),
        "duration_s": event.duration_s,
        "workstation_key": event.workstation_key,
        "confidence": event.confidence,
        "count": event.units,
        "model_key": event.model_key,
        "camera_key": event.camera_key,
        "event_type": event.event_type,
    }


def _dirty(events: Sequence[Plain], times_us: Any) -> list[dict[str, Any]]:
    workers = np.array([event.worker_key for event in events])
    bounds = zip(*(at.tolist() for at in range_bounds(workers, times_us)), strict=True)
    return [
        {
            "worker_key": events[first].worker_key,
            "from_time": moment(events[first].time_us),
            "to_time": moment(events[last].time_us),
            "events": last - first + 1,
        }
        for first, last in bounds
    ]


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
