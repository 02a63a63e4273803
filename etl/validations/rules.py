"""What a verdict on an event must be: rules, and what the one who mends it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from etl.shape.codes import (
    IDENTIFIERS,
    IDENTITY,
    LONGEST_SHOWN,
    WRONG_TYPE,
    identifier_breach,
)
from etl.shape.rules import EVENT_TYPES, FUTURE_US, SiteRules, with_instants
from etl.shape.time import civil_columns
from sql.plant.wall_clock import micros, moment

FIELDS = (
    *IDENTITY,
    "verdict",
    "right_label",
    "validated_by",
    "validated_at",
    "note",
)
REQUIRED = FIELDS[:6]
VERDICTS = ("right", "wrong")
LABELS = (*EVENT_TYPES, "nothing")
LONGEST_NOTE = 1_000
_DELETE = 127


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody said of an event that may exist; row: its place in the batch.

    right_label None: not told; validated_by and validated_at None: as it came.
    """

    row: int
    site_id: str
    time: datetime
    worker_id: str
    workstation_id: str
    event_type: int
    verdict: str
    right_label: str | None
    validated_by: str | None
    validated_at: datetime | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a line is no verdict, or is one on nothing."""

    row: int
    code: str
    message: str
    site_id: str | None


def verdict_of(said: Mapping[str, Any], arrival: datetime) -> Verdict | Refusal:
    """A line's fields, as `with_times` has them, as a verdict or a refusal."""
    breach = _breach(said, arrival)
    if breach is not None:
        usable = said["site_id_breach"] is False
        return Refusal(said["row"], *breach, said["site_id"] if usable else None)
    at_us = said["at_us"]
    return Verdict(
        row=said["row"],
        site_id=said["site_id"],
        time=moment(said["time_us"]),
        worker_id=said["worker_id"],
        workstation_id=said["workstation_id"],
        event_type=EVENT_TYPES.index(said["event_type"]),
        verdict=said["verdict"],
        # Beside `right` a label only repeats the event's type: not kept.
        right_label=None if said["verdict"] == "right" else said["right_label"] or None,
        validated_by=said["validated_by"] or None,
        validated_at=None if at_us is None else moment(at_us),
        note=said["note"] or None,
    )


def with_times(texts: pl.DataFrame, rules: Mapping[str, SiteRules]) -> pl.DataFrame:
    """Add what is missing of FIELDS, both times in microseconds since 1970 UTC, and
    which ids are none (`<name>_breach`).
    """
    texts = texts.with_columns(
        pl.lit(None, dtype=pl.String).alias(name)
        for name in FIELDS
        if name not in texts.columns
    )
    times = {
        column: with_instants(
            texts.select("site_id", *civil_columns(pl.col(name))), rules, None
        )[0]["time_us"].alias(column)
        for name, column in (("time", "time_us"), ("validated_at", "at_us"))
    }
    breaches = {
        f"{name}_breach": identifier_breach(pl.col(name))
        for name in (*IDENTIFIERS, "validated_by")
    }
    return texts.with_columns(**times, **breaches)


def _is_control(character: str) -> bool:
    code = ord(character)
    return code < 32 or _DELETE <= code < 160


def _breach(said: Mapping[str, Any], arrival: datetime) -> tuple[str, str] | None:
    """The first rule that a line breaks: code and message."""
    missing = [name for name in REQUIRED if said[name] is None]
    if missing:
        needed = ", ".join(REQUIRED)
        return "malformed", f"missing: {' '.join(missing)}; a verdict needs {needed}"
    return _bad_id(said) or _bad_time(said, arrival) or _bad_words(said)


def _bad_id(said: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in (*IDENTIFIERS, "validated_by"):
        # Who says it may be left empty.
        if said[f"{name}_breach"] and (said[name] or name in IDENTIFIERS):
            rule = "must be 1 to 64 characters, none of them a control character"
            return "bad_identifier", f"{name} {_shown(said[name])} {rule}"
    return None


def _bad_time(said: Mapping[str, Any], arrival: datetime) -> tuple[str, str] | None:
    latest = micros(arrival) + FUTURE_US
    for name, column in (("time", "time_us"), ("validated_at", "at_us")):
        if not said[name] and name != "time":
            continue
        if said[column] is None:
            rule = "is no ISO 8601 date and time from 1970 on, such as"
            example = "2026-11-20T06:00:00Z"
            return "bad_time", f"{name} {_shown(said[name])} {rule} {example}"
        if said[column] > latest:
            later = "is more than 5 minutes later than the database's clock"
            return "future_time", f"{name} {_shown(said[name])} {later}"
    return None


def _bad_words(said: Mapping[str, Any]) -> tuple[str, str] | None:
    kind, verdict, label = said["event_type"], said["verdict"], said["right_label"]
    if kind not in EVENT_TYPES:
        rule = "must be working, idle, absent or product_count"
        return "bad_event_type", f"event_type {_shown(kind)} {rule}"
    if verdict not in VERDICTS:
        return "bad_verdict", f"verdict {_shown(verdict)} must be right or wrong"
    if label and label not in LABELS:
        rule = f"must be one of {', '.join(LABELS)}, or empty"
        return "bad_label", f"right_label {_shown(label)} {rule}"
    if label and (verdict == "right") != (label == kind):
        rule = f"contradicts verdict {verdict} on an event {kind}"
        return "bad_label", f"right_label {_shown(label)} {rule}"
    note = said["note"] or ""
    if len(note) > LONGEST_NOTE or any(
        _is_control(c) and c not in "\t\r\n" for c in note
    ):
        rule = f"must be at most {LONGEST_NOTE} characters, none a control character"
        return "bad_note", f"note {_shown(note)} {rule}"
    return None


def _shown(text: str) -> str:
    """A value as a person can read it."""
    text = text.removeprefix(WRONG_TYPE)[:LONGEST_SHOWN]
    shown = ("\N{REPLACEMENT CHARACTER}" if _is_control(c) else c for c in text)
    return f"'{''.join(shown)}'"
