"""What the states of a log mean, and who they are of: the file that --codes names."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from sql.errors import InputError

IGNORED = "ignore"
STATES = ("working", "idle", "absent")
LONGEST_HOLD_S = 86_400
_KEYS = ("states", "entities", "entity", "hold_s", "confidence")
_ENTITY_KEYS = ("worker_id", "workstation_id")
_PAGE = "see docs/presets.md"


@dataclass(frozen=True)
class Codes:
    """states: code to state or `ignore`; entities: id in the log to worker and bench.

    Where entities are named, others are left out; where none is, each stands for
    itself. entity: of lines that name none. hold_s: how long a state holds where no
    line follows; confidence: of every event.
    """

    states: Mapping[str, str]
    entities: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    entity: str | None = None
    hold_s: float = LONGEST_HOLD_S
    confidence: float = 1.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def applied(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Add what codes say: event_type, worker_id, workstation_id, duration_s."""
        entity = pl.col("entity_id")
        if self.entity is not None:
            entity = pl.when(entity != "").then(entity).otherwise(pl.lit(self.entity))
        texts = texts.with_columns(
            entity_id=entity,
            event_type=self._meant(),
            confidence=pl.lit(str(self.confidence)),
            model_version=pl.lit(None, pl.String),
            camera_id=pl.lit(None, pl.String),
        )
        hold = pl.lit(str(self.hold_s))
        texts = texts.with_columns(
            workstation_id=self._of_entity("workstation_id"),
            worker_id=_own(texts, "worker_id", self._of_entity("worker_id")),
            duration_s=_own(texts, "duration_s", hold),
        )
        if not self.entities:
            return texts
        is_wanted = pl.col("entity_id").is_in(list(self.entities)).fill_null(True)
        event_type = pl.when(is_wanted).then("event_type").otherwise(pl.lit(IGNORED))
        return texts.with_columns(event_type=event_type)

    def _meant(self) -> pl.Expr:
        """The state of a code. One that nobody knows stays: it is no event type.

        10.0 is the code 10 where it is none itself: pandas and spreadsheets write so.
        """
        code = pl.col("state")
        whole = code.str.replace(r"^(-?[0-9]+)\.0$", "$1")
        known = code.is_in(list(self.states)).fill_null(True)
        return pl.when(known).then(code).otherwise(whole).replace(self.states)

    def _of_entity(self, name: str) -> pl.Expr:
        said = {key: of[name] for key, of in self.entities.items() if name in of}
        return pl.col("entity_id").replace(said) if said else pl.col("entity_id")


def read_codes(path: str, default: Codes) -> Codes:
    """A codes file (TOML) over what a preset says itself; InputError if it is none."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}; {_PAGE}") from error
    return codes_told(text, path, default)


def codes_told(text: str, path: str, default: Codes) -> Codes:
    """The text of a codes file; path is what it is called."""
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}; {_PAGE}") from error
    return codes_of(said, path, default)


def codes_of(said: Mapping[str, Any], path: str, default: Codes) -> Codes:
    """Codes as a file or the books of a load tell them."""
    for key in said:
        _check(key in _KEYS, path, f"{key!r} is none of {', '.join(_KEYS)}")
    states = _table(said, "states", path)
    for code, state in states.items():
        wanted = (*STATES, IGNORED)
        _check(state in wanted, path, f"states.{code} must be one of {wanted}")
    entities = _table(said, "entities", path)
    for name, of in entities.items():
        fits = isinstance(of, dict) and all(
            key in _ENTITY_KEYS and isinstance(value, str) for key, value in of.items()
        )
        _check(fits, path, f"entities.{name} must say worker_id and workstation_id")
    entity = said.get("entity", default.entity)
    _check(entity is None or isinstance(entity, str), path, "entity must be a text")
    return Codes(
        {**default.states, **states},
        entities or default.entities,
        entity,
        _number(said, "hold_s", path, default.hold_s, LONGEST_HOLD_S),
        _number(said, "confidence", path, default.confidence, 1),
    )


def _own(texts: pl.DataFrame, name: str, otherwise: pl.Expr) -> pl.Expr:
    """What a line says itself goes before what codes say."""
    if name not in texts.columns:
        return otherwise
    return pl.when(pl.col(name) != "").then(pl.col(name)).otherwise(otherwise)


def _table(said: Mapping[str, Any], key: str, path: str) -> dict[str, Any]:
    table = said.get(key, {})
    _check(isinstance(table, dict), path, f"{key} must be a table")
    return dict(table)


def _number(
    said: Mapping[str, Any], key: str, path: str, default: float, most: float
) -> float:
    value = said.get(key, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = is_number and 0 < value <= most
    _check(fits, path, f"{key} must be a number above 0, at most {most}")
    return float(value)


def _check(fits: bool, path: str, rule: str) -> None:
    if not fits:
        raise InputError(f"{path}: {rule}; {_PAGE}")
