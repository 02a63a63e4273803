"""How fresh the numbers are, stage by stage, in plain words; and what they run on."""

from zoneinfo import ZoneInfo

from dash import html

from dash_app import formats
from dash_app.elements import marks
from dash_app.records import Engine, Stage

ORDER = ("ingested", "cut", "aggregated", "restating", "drift_checked")
DONE = {
    "ingested": "Last event stored",
    "cut": "Durations up to",
    "aggregated": "Numbers up to",
    "drift_checked": "Models checked",
}


def footer(stages: list[Stage], engine: Engine, timezone: str) -> list[html.Div]:
    """The stages at the left, the engine and the zone at the right."""
    ordered = sorted(
        (s for s in stages if s.stage in ORDER), key=lambda s: ORDER.index(s.stage)
    )
    return [
        html.Div(
            [_stage(stage, ZoneInfo(timezone)) for stage in ordered],
            className="fp-stages",
        ),
        html.Div(f"Times in {timezone} · {engine.label}"),
    ]


def behind(stages: list[Stage], timezone: str) -> str | None:
    """What to say above the page when its numbers are behind, else None."""
    late = next((s for s in stages if s.stage == "aggregated" and not s.ok), None)
    if late is None:
        return None
    if late.last_at is None:
        return "Nothing has been counted yet: the refresh has not run."
    since = formats.moment(late.last_at, late.lag_s, ZoneInfo(timezone))
    return (
        f"They stand at {since}, {formats.lag(late.lag_s)} ago. "
        "What comes in is kept, and counted as soon as the refresh runs again."
    )


def _stage(stage: Stage, zone: ZoneInfo) -> html.Span:
    state = "yes" if stage.ok else "no"
    if stage.stage == "restating":
        text, state = _restating(stage), "yes" if stage.ok else "busy"
    elif stage.last_at is None:
        text, state = f"{DONE[stage.stage]}: never", "never" if stage.ok else "no"
    else:
        age = formats.lag(stage.lag_s)
        when = formats.moment(stage.last_at, stage.lag_s, zone)
        text = f"{DONE[stage.stage]} {when} ({age} ago)"
    return html.Span(text, className="fp-stage", **marks(stage=stage.stage, ok=state))


def _restating(stage: Stage) -> str:
    if stage.ok:
        return "Nothing to recount"
    return f"Counting the past again, {formats.percent(stage.progress, 0)} done"
