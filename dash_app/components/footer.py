"""How fresh the numbers are, stage by stage, in plain words; and what they run on."""

from zoneinfo import ZoneInfo

from dash import html

from dash_app import formats
from dash_app.elements import marks
from dash_app.records import Engine, Stage

ORDER = ("ingested", "cut", "aggregated", "restating", "drift_checked")
DONE = {
    "ingested": "Last event stored",
    "cut": "Durations cut up to",
    "aggregated": "Numbers up to",
    "drift_checked": "Drift checked",
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


def troubles(stages: list[Stage]) -> list[str]:
    """One sentence for each stage that is not well."""
    return [_trouble(stage) for stage in stages if not stage.ok]


def _stage(stage: Stage, zone: ZoneInfo) -> html.Span:
    state = "yes" if stage.ok else "no"
    if stage.stage == "restating":
        text = "Nothing to restate" if stage.ok else _trouble(stage)
    elif stage.last_at is None:
        text, state = f"{DONE[stage.stage]}: never", "never" if stage.ok else "no"
    else:
        age = formats.lag(stage.lag_s)
        text = f"{DONE[stage.stage]} {formats.clock(stage.last_at, zone)} ({age} ago)"
    return html.Span(text, className="fp-stage", **marks(stage=stage.stage, ok=state))


def _trouble(stage: Stage) -> str:
    if stage.stage == "restating":
        done = formats.percent(stage.progress, 0)
        return f"Restating the past, {done} done"
    return f"{DONE[stage.stage]}: {formats.lag(stage.lag_s)} ago"
