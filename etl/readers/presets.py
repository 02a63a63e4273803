"""Other systems' exports as events: which columns they have, and what a row says.

A preset is data: a layout, and for each event that a row may hold an expression a
field. What comes out are the texts that every other file brings; what an event must be
is said in shape and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from etl.batch import Batch
from etl.readers.layout import Layout
from etl.readers.preset_codes import IGNORED, Codes
from etl.shape.codes import WRONG_TYPE
from etl.shape.rules import FIELDS, REQUIRED
from sql.errors import BadSetting

_SAME = {
    name: pl.col(name)
    for name in ("time", "site_id", "confidence", "model_version", "camera_id")
}
_UNASSIGNED = "unassigned"


@dataclass(frozen=True)
class Event:
    """An event that a row holds: an expression a field, and whether it is there."""

    fields: Mapping[str, pl.Expr]
    when: pl.Expr = field(default_factory=lambda: pl.lit(True))


@dataclass(frozen=True)
class Preset:
    """An export: its columns, its events, and which rows are left out (and why).

    codes: what its states mean where nobody says otherwise; None: it has no codes.
    pattern: of each line, for logs without columns; split: see PatternReader.
    """

    name: str
    layout: Layout
    events: tuple[Event, ...]
    left_out: pl.Expr = field(default_factory=lambda: pl.lit(False))
    because: str = ""
    codes: Codes | None = None
    pattern: str | None = None
    split: Callable[[str], list[str]] | None = None


def _given(name: str) -> pl.Expr:
    return (pl.col(name) != "").fill_null(False)


def _seconds(minutes: pl.Expr) -> pl.Expr:
    """Minutes as seconds, to the microsecond; what is no number stays as it is."""
    number = minutes.cast(pl.Float64, strict=False)
    seconds = (number * 60).round(6).cast(pl.String)
    return pl.when(number.is_not_null()).then(seconds).otherwise(minutes)


def _whole(name: str) -> pl.Expr:
    """3 where an integer id has come as 3.0: spreadsheets and pandas do that."""
    return pl.col(name).str.replace(rf"^{WRONG_TYPE}?(-?[0-9]+)\.0$", "$1")


def _units(name: str, who: Mapping[str, pl.Expr], when: pl.Expr) -> Event:
    """The units of a row, counted at its time."""
    count = {"event_type": pl.lit("product_count"), "count": pl.col(name)}
    return Event({**_SAME, **who, **count}, when)


_NO_UNITS = pl.col("units_produced").str.contains(r"^0*(\.0*)?$").fill_null(True)
_IS_COUNT = (pl.col("event_type") == "product_count").fill_null(False)
_IS_WORKER = pl.col("entity_type").str.to_lowercase() == "worker"
_STAY = {
    "worker_id": pl.when(_IS_WORKER).then("entity_id"),
    "workstation_id": pl.when(_given("workstation_id"))
    .then("workstation_id")
    .otherwise(pl.lit(_UNASSIGNED)),
}
SESSIONS = Preset(
    "sessions",
    Layout(
        (
            *("time", "site_id", "entity_type", "entity_id", "workstation_id"),
            *("event_type", "duration_minutes", "units_produced", "confidence"),
            *("model_version", "camera_id"),
        ),
        (
            *("time", "site_id", "entity_type", "entity_id", "event_type"),
            *("duration_minutes", "units_produced", "confidence"),
        ),
        {"timestamp": "time", "start_time": "time"},
    ),
    (
        Event(
            {
                **_SAME,
                **_STAY,
                "event_type": pl.col("event_type"),
                "duration_s": _seconds(pl.col("duration_minutes")),
            },
            ~_IS_COUNT,
        ),
        _units("units_produced", _STAY, _IS_COUNT | ~_NO_UNITS),
    ),
    left_out=_given("entity_type") & ~_IS_WORKER,
    because="the entity_type is another than worker",
)
AI_EVENTS = Preset(
    "ai-events",
    Layout(
        FIELDS,
        REQUIRED,
        {"event_time": "time", "timestamp": "time"},
    ),
    (
        Event(
            {
                **_SAME,
                "worker_id": _whole("worker_id"),
                "workstation_id": _whole("workstation_id"),
                "event_type": pl.col("event_type"),
                # They write a count with every event; of a state it says nothing.
                "count": pl.when(_IS_COUNT).then("count"),
                "duration_s": pl.col("duration_s"),
            }
        ),
    ),
)

# Logs that are written when a state changes: it holds until the next line.
_CODED = {"worker_id": pl.col("worker_id"), "workstation_id": pl.col("workstation_id")}
_STATE = Event(
    {
        **_SAME,
        **_CODED,
        "event_type": pl.col("event_type"),
        "duration_s": pl.col("duration_s"),
    }
)
_LEFT_OUT = pl.col("event_type") == IGNORED
HOME_ASSISTANT = Preset(
    "home-assistant",
    Layout(
        ("time", "site_id", "entity_id", "state"),
        ("time", "site_id", "entity_id", "state"),
        {"last_changed": "time", "last_updated": "time"},
    ),
    (_STATE,),
    left_out=_LEFT_OUT,
    because="the entity or its state is not wanted",
    codes=Codes(
        {"on": "working", "off": "idle", "unavailable": "absent", "unknown": "absent"}
    ),
)
_MACHINE_FIELDS = ("time", "site_id", "entity_id", "state")
MACHINE_STATES = Preset(
    "machine-states",
    Layout(
        (*_MACHINE_FIELDS, "worker_id", "duration_s", "units_produced"),
        _MACHINE_FIELDS,
        {
            **{"timestamp": "time", "start_time": "time", "machine": "entity_id"},
            **{"machine_id": "entity_id", "status": "state", "operator": "worker_id"},
            **{"code": "state", "state_code": "state", "units": "units_produced"},
        },
    ),
    (_STATE, _units("units_produced", _CODED, ~_NO_UNITS)),
    left_out=_LEFT_OUT,
    because="the machine or its state is not wanted",
    codes=Codes({state: state for state in ("working", "idle", "absent")}),
)
# The standard's words for Execution; everything but a running program is a wait.
_EXECUTION = {
    "ACTIVE": "working",
    "UNAVAILABLE": "absent",
    **dict.fromkeys(
        (
            *("READY", "INTERRUPTED", "FEED_HOLD", "STOPPED", "WAIT", "OPTIONAL_STOP"),
            *("PROGRAM_STOPPED", "PROGRAM_COMPLETED", "PROGRAM_OPTIONAL_STOP"),
        ),
        "idle",
    ),
}


def _executions(line: str) -> list[str]:
    """A line of SHDR as one line for each machine whose execution it tells.

    What stands behind the time are names and values in turn; a value may be `exec`.
    """
    time, *said = line.split("|")
    if line.startswith("*") or not said:
        return [line]
    found = [
        f"{time}|{name}|{value}"
        for name, value in zip(said[::2], said[1::2], strict=False)
        if name.rpartition(":")[2].lower() in ("execution", "exec")
    ]
    return found or [f"{time}|"]


MTCONNECT = Preset(
    "mtconnect",
    Layout(_MACHINE_FIELDS, (), {}),
    (_STATE,),
    left_out=_LEFT_OUT | pl.col("state").is_null(),
    because="they say nothing of the machine's execution, or nothing wanted",
    codes=Codes(_EXECUTION),
    # A line as _executions leaves it: a remark, or a time and what a machine executes.
    pattern=r"^(?:\*.*|(?P<time>[^|@*][^|@]*)(?:@[0-9.]*)?\|"
    r"(?:(?:(?P<entity_id>[^|:]*):)?(?i:execution|exec)\|(?P<state>[^|]*)|.*))$",
    split=_executions,
)
PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (SESSIONS, AI_EVENTS, HOME_ASSISTANT, MACHINE_STATES, MTCONNECT)
}


def preset_of(name: str) -> Preset:
    """A preset by its name; BadSetting where there is none of it."""
    if name not in PRESETS:
        raise BadSetting(
            f"no preset is called {name!r}; there are {', '.join(PRESETS)}"
        )
    return PRESETS[name]


def fitting(header: Sequence[str]) -> list[str]:
    """Presets that a file with these columns may be of."""
    return [
        preset.name
        for preset in PRESETS.values()
        if preset.layout.required
        and {"site_id", *(preset.layout.aliases.get(c, c) for c in header)}
        >= set(preset.layout.required)
    ]


def extracted(batch: Batch, preset: Preset, codes: Codes | None) -> tuple[Batch, int]:
    """The events of a batch's rows, and how many rows were left out.

    Row r of the batch becomes the events r * n to r * n + n - 1, n of the preset.
    """
    absent = [f for f in preset.layout.fields if f not in batch.texts.columns]
    texts = batch.texts.with_columns(pl.lit(None, pl.String).alias(f) for f in absent)
    if codes is not None:
        texts = codes.applied(texts)
    kept = texts.filter(~preset.left_out.fill_null(False))
    width = len(preset.events)
    events = pl.concat(
        [
            kept.filter(event.when).select(
                _event_row(width, at),
                **{name: text.cast(pl.String) for name, text in event.fields.items()},
            )
            for at, event in enumerate(preset.events)
        ],
        how="diagonal",
    ).sort("row")

    def origin(rows: pl.Series) -> pl.DataFrame:
        records = rows // width
        found = batch.origin(records.unique(maintain_order=True))
        beside = pl.DataFrame({"event": rows, "row": records})
        return beside.join(found, on="row").drop("row").rename({"event": "row"})

    broken = batch.broken.with_columns(_event_row(width, 0))
    return Batch(events, origin, broken), texts.height - kept.height


def _event_row(width: int, at: int) -> pl.Expr:
    return (pl.col("row") * width + at).alias("row")
