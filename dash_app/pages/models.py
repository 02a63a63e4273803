"""Model health: alerts, drift against its baseline, versions, retraining."""

import logging
from typing import Any
from zoneinfo import ZoneInfo

from dash import Output, html

from dash_app import formats
from dash_app.components.banner import banner
from dash_app.components.confidence_trend import confidence_figure, confidence_legend
from dash_app.components.empty import empty, no_site
from dash_app.components.health_cards import LABELS, health_cards
from dash_app.components.kpi_cards import skeleton_cards
from dash_app.components.model_tables import (
    alerts_table,
    comparison_table,
    retraining_table,
    versions_table,
)
from dash_app.components.panel import graph, panel
from dash_app.components.selectors import controls
from dash_app.components.signals import signals_legend, signals_note, signals_table
from dash_app.data import Data, DatabaseGone
from dash_app.model_records import ModelHealth
from dash_app.pages import overview
from dash_app.pages.overview import KEEP
from dash_app.records import Site
from dash_app.selection import Selection
from sql.errors import FloorpulseError, UnknownSite

log = logging.getLogger(__name__)

PATH = "/models"
# What one load of the page fills in beside the frame's own, in this order.
FILLED = (
    Output("models-kpis", "children"),
    Output("confidence-figure", "data"),
    Output("confidence-legend", "children"),
    Output("alerts", "children"),
    Output("signals", "children"),
    Output("signals-note", "children"),
    Output("versions", "children"),
    Output("comparison", "children"),
    Output("retraining", "children"),
    Output("models-content", "className"),
)
HIDDEN = (KEEP,) * len(FILLED)
# What the overview fills between the frame's first three outputs and its last three.
_OVERVIEWS = (KEEP,) * (len(overview.FILLED) - 6)


async def fill(data: Data, selection: Selection) -> tuple[Any, ...]:
    """One load of the page: overview.FILLED and then FILLED."""
    try:
        sites = await data.sites()
    except FloorpulseError as error:
        return _failed("No connection.", error)
    if not sites:
        return _nothing(no_site(), "floorpulse", [], selection)
    try:
        page = await data.model_health(selection)
    except UnknownSite as error:
        home = html.A("Show all sites", href=PATH)
        nothing = empty("Not found", error.message, home)
        return _nothing(nothing, "Not found", sites, selection)
    except DatabaseGone as error:
        return _failed("No connection.", error)
    except FloorpulseError as error:
        log.warning("page not loaded", extra={"action": "load_page"}, exc_info=True)
        return _failed("No numbers.", error)
    shape = controls(selection, sites, page.site, ("", ""))
    title = page.site.name if page.site else "All sites"
    frame = (title, _subtitle(page), shape, *_OVERVIEWS, None, None, True)
    return (*frame, *_filled(page))


def _filled(page: ModelHealth) -> tuple[Any, ...]:
    return (
        health_cards(page.kpis),
        confidence_figure(page),
        confidence_legend(page),
        alerts_table(page),
        signals_table(page),
        signals_note(page),
        versions_table(page),
        comparison_table(page),
        retraining_table(page),
        "fp-content",
    )


def _subtitle(page: ModelHealth) -> str:
    checked_at = page.kpis.checked_at
    if checked_at is None:
        return "Model health · drift has not been checked yet"
    local = checked_at.astimezone(ZoneInfo(page.timezone))
    return f"Model health · checked {formats.day(local)}, {local:%H:%M}"


def _nothing(
    instead: Any, title: str, sites: list[Site], selection: Selection
) -> tuple[Any, ...]:
    shape = controls(selection, sites, None, ("", ""))
    frame = (title, "", shape, *_OVERVIEWS, instead, None, True)
    return (*frame, *HIDDEN[:-1], "fp-hidden")


def _failed(title: str, error: FloorpulseError) -> tuple[Any, ...]:
    """What is on screen stays, under a banner, and the retry clock runs."""
    said = f"{error.message} Trying again every 5 seconds."
    frame = (KEEP, KEEP, KEEP, *_OVERVIEWS, KEEP, banner(title, said), False)
    return (*frame, *HIDDEN)


def content() -> html.Div:
    """The page before its first numbers."""
    return html.Div(
        [
            html.Div(skeleton_cards(LABELS), id="models-kpis", className="fp-kpis"),
            html.Div(
                [
                    panel(
                        "Confidence by day",
                        html.Div(id="confidence-legend", className="fp-legend"),
                        graph(
                            "confidence",
                            "Chart: mean confidence of each version by day",
                        ),
                    ),
                    panel("Alerts", None, html.Div(id="alerts")),
                ],
                className="fp-row",
            ),
            panel(
                [
                    "Drift against the baseline ",
                    html.Span(id="signals-note", className="fp-panel-note"),
                ],
                signals_legend(),
                html.Div(id="signals"),
            ),
            html.Div(
                [
                    panel("Versions", None, html.Div(id="versions")),
                    panel("Side by side, last 7 days", None, html.Div(id="comparison")),
                ],
                className="fp-row fp-halves",
            ),
            panel("Retraining", None, html.Div(id="retraining")),
        ],
        id="models-content",
        className="fp-content is-loading",
    )
