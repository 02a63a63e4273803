"""The shapes of the page of model health, as dash_app/records.py has the overview's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from dash_app.records import Site


@dataclass(frozen=True, slots=True)
class ModelKpis:
    """The figures of the cards; `model_version` is the one `confidence` is of."""

    alerts: int
    critical_alerts: int
    drifting: int
    judged: int
    model_version: str | None
    confidence: float | None
    confidence_baseline: float | None
    versions: int
    validated: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    requests: int
    calls_given_up: int
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class ConfidenceDays:
    """Mean confidence of a version by UTC day."""

    site_id: str
    model_version: str | None
    days: Sequence[date]
    means: Sequence[float]


@dataclass(frozen=True, slots=True)
class CameraDays:
    """The same of a camera, in order of days."""

    site_id: str
    model_version: str | None
    camera_id: str
    means: Sequence[float]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a version is held against; below `threshold` its confidence has dropped."""

    site_id: str
    model_version: str | None
    mean: float
    stddev: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Signal:
    """The weightiest verdict of a signal; `camera_id` None: all cameras."""

    site_id: str
    model_version: str | None
    camera_id: str | None
    signal: str
    span: str
    verdict: str
    current: float | None
    baseline: float | None
    threshold: float | None
    sample: int
    verdict_since: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """What is wrong and not resolved."""

    alert_id: int
    site_id: str
    signal: str
    subject: str
    severity: str
    alert_state: str
    opened_at: datetime
    acknowledged_by: str | None
    note: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """A model version, and how right people found it."""

    site_id: str
    model_version: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    recent_share: float
    recent_cameras: int
    validated: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of two versions side by side, b less a with its 95 % interval."""

    version_a: str | None
    version_b: str | None
    from_time: datetime
    to_time: datetime
    measure: str
    a: float | None
    b: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    a_sample: int
    b_sample: int


@dataclass(frozen=True, slots=True)
class Retraining:
    """A request to train a version anew, and what became of its last export's calls."""

    request_id: int
    site_id: str
    model_version: str | None
    request_state: str
    reason: str
    requested_at: datetime
    requested_by: str | None
    state_at: datetime
    evidence: Mapping[str, Any]
    calls: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """All that the page of model health shows. `site` None: all sites."""

    site: Site | None
    timezone: str
    kpis: ModelKpis
    days: list[ConfidenceDays]
    cameras: list[CameraDays]
    baselines: list[Baseline]
    signals: list[Signal]
    alerts: list[Alert]
    versions: list[Version]
    comparison: list[Measure]
    retraining: list[Retraining]
