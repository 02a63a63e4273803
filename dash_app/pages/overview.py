"""The overview: how a site, or all of them, does in the range the address names."""

import logging
from typing import Any

import dash
from dash import Output, html

from dash_app import formats, wording
from dash_app.components.banner import banner
from dash_app.components.empty import empty, no_events, no_site
from dash_app.components.heatmap import heatmap_figure, scale_legend
from dash_app.components.kpi_cards import kpi_cards, skeleton_cards
from dash_app.components.leaderboard import (
    columns,
    grid_height,
    leaderboard,
    row_data,
    tools,
)
from dash_app.components.panel import graph, panel
from dash_app.components.selectors import controls
from dash_app.components.trend import trend_figure, trend_legend
from dash_app.data import Data, DatabaseGone
from dash_app.records import Overview, Site, TrendStep
from dash_app.selection import Selection
from dash_app.timeline import along, timeline
from sql.errors import FloorpulseError, UnknownSite

log = logging.getLogger(__name__)

PATH = "/"

# What one load of the page fills in, in this order.
FILLED = (
    Output("title", "children"),
    Output("subtitle", "children"),
    Output("controls", "data"),
    Output("kpis", "children"),
    Output("trend-figure", "data"),
    Output("heatmap-figure", "data"),
    Output("heatmap-note", "children"),
    Output("leaderboard", "rowData"),
    Output("leaderboard", "columnDefs"),
    Output("leaderboard", "style"),
    Output("leaderboard-note", "children"),
    Output("content", "className"),
    Output("empty", "children"),
    Output("trouble", "children"),
    Output("retry", "disabled"),
)
KEEP = dash.no_update


async def fill(data: Data, selection: Selection) -> tuple[Any, ...]:
    """One load of the page, in the order of FILLED."""
    try:
        sites = await data.sites()
        if not sites:
            return _nothing(no_site(), "floorpulse", sites, selection)
        page = await data.overview(selection)
    except DatabaseGone:
        log.warning("database gone", extra={"action": "load_page"})
        return _failed(
            "The database does not answer.",
            "What you see is what was last read. Trying again every 5 seconds.",
        )
    except UnknownSite as error:
        nothing = empty("Not found", error.message, _home())
        return _nothing(nothing, "Not found", sites, selection)
    except FloorpulseError as error:
        log.warning("page not loaded", extra={"action": "load_page"}, exc_info=True)
        return _failed("No numbers.", f"{error.message} Trying again every 5 seconds.")
    if not page.trend and not page.leaderboard:
        return _empty_range(page, sites, selection)
    return _filled(page, sites, selection)


def _filled(page: Overview, sites: list[Site], selection: Selection) -> tuple[Any, ...]:
    axis = timeline(page)
    course = along(axis.keys, page.trend)
    note = "by time of day" if page.by_time_of_day else "by hour"
    cards = kpi_cards(
        page.kpis,
        _course(page),
        wording.against(selection),
        wording.explained(page),
    )
    return (
        wording.title(page),
        wording.subtitle(page, selection),
        controls(selection, sites, page.site, wording.window_of_controls(page)),
        cards,
        trend_figure(page, axis, course),
        heatmap_figure(page),
        note,
        row_data(page.leaderboard),
        columns(page.leaderboard, several_sites=page.site is None),
        grid_height(len(page.leaderboard)),
        f"{len(page.leaderboard)} seen, times in h:mm",
        "fp-content",
        None,
        None,
        True,
    )


def _course(page: Overview) -> list[TrendStep]:
    """Steps for the small lines; one that still runs would look like a fall, and one
    with a minute's work before the shift like a peak.
    """
    course = page.course[:-1] if page.period.running else page.course
    return [step for step in course if not step.brief] or course


def _empty_range(
    page: Overview, sites: list[Site], selection: Selection
) -> tuple[Any, ...]:
    last = formats.day(page.last_date) if page.last_date else None
    site_id = page.site.site_id if page.site else None
    link = wording.link_to_last(page)
    nothing = no_events(wording.title(page), link, last, site_id)
    shown = _nothing(nothing, wording.title(page), sites, selection)
    shape = controls(selection, sites, page.site, wording.window_of_controls(page))
    return (shown[0], wording.subtitle(page, selection), shape, *shown[3:])


def not_found(path: str) -> tuple[Any, ...]:
    """An address that no page has."""
    nothing = empty("Not found", f"There is no page {path}.", _home())
    return _nothing(nothing, "Not found", [], Selection())


def _nothing(
    instead: Any, title: str, sites: list[Site], selection: Selection
) -> tuple[Any, ...]:
    """No numbers to show: `instead` says why."""
    shape = controls(selection, sites, None, ("", ""))
    return (title, "", shape, *[KEEP] * 8, "fp-hidden", instead, None, True)


def _home() -> html.A:
    return html.A("Show all sites", href=PATH)


def _failed(title: str, text: str) -> tuple[Any, ...]:
    """What is on screen stays, under a banner, and the retry clock runs."""
    return (*[KEEP] * 13, banner(title, text), False)


def content() -> html.Div:
    """The page before its first numbers: everything in its place, as a skeleton."""
    return html.Div(
        [
            html.Div(skeleton_cards(), id="kpis", className="fp-kpis"),
            html.Div(
                [
                    panel(
                        "Utilization and units",
                        trend_legend(),
                        graph("trend", "Chart: utilization and units over time"),
                    ),
                    panel(
                        [
                            "Workstations ",
                            html.Span(id="heatmap-note", className="fp-panel-note"),
                        ],
                        scale_legend(),
                        html.Div(
                            graph("heatmap", "Chart: occupied share of workstations"),
                            className="fp-scroll",
                        ),
                    ),
                ],
                className="fp-row",
            ),
            panel(
                [
                    "Workers ",
                    html.Span(id="leaderboard-note", className="fp-panel-note"),
                ],
                tools(),
                leaderboard(),
            ),
        ],
        id="content",
        className="fp-content is-loading",
    )
