"""The overview: how a site, or all of them, does in the range the address names."""

import logging
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from dash_app import wording
from dash_app.components.banner import banner
from dash_app.components.empty import empty, no_events, no_site
from dash_app.components.footer import behind, footer
from dash_app.components.header import header
from dash_app.components.heatmap import heatmap_figure, scale_legend
from dash_app.components.kpi_cards import kpi_cards, skeleton_cards
from dash_app.components.leaderboard import (
    columns,
    grid_height,
    leaderboard,
    legend,
    row_data,
)
from dash_app.components.panel import panel
from dash_app.components.selectors import controls, own_window, selectors
from dash_app.components.trend import trend_figure, trend_legend
from dash_app.data import Data, DatabaseGone
from dash_app.records import Overview, Site, TrendStep
from dash_app.selection import Selection, parse
from dash_app.theme import MANTINE, templates
from dash_app.timeline import along, timeline
from sql.errors import FloorpulseError, UnknownSite

log = logging.getLogger(__name__)

PATH = "/"
LOOK_AGAIN_MS = 30_000
RETRY_MS = 5_000

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


def layout() -> dmc.MantineProvider:
    """The page before its first numbers: everything in its place, as a skeleton."""
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="live"),
            dcc.Store(id="controls"),
            dcc.Store(id="scheme"),
            dcc.Store(id="templates", data=templates()),
            dcc.Store(id="trend-figure"),
            dcc.Store(id="heatmap-figure"),
            dcc.Interval(id="look-again", interval=LOOK_AGAIN_MS),
            dcc.Interval(id="retry", interval=RETRY_MS, disabled=True),
            header(),
            html.Main(
                [
                    _toolbar(),
                    html.Div(id="trouble"),
                    html.Div(id="staleness"),
                    html.Div(id="empty"),
                    _content(),
                    html.Footer(id="footer", className="fp-footer"),
                ],
                className="fp-page",
            ),
        ],
        theme=MANTINE,
        defaultColorScheme="auto",
    )


def register(app: Dash, data: Data) -> None:
    """Attach the page's callbacks."""

    async def load(search: str, path: str, *_again: Any) -> tuple[Any, ...]:
        if path not in (None, PATH):
            nothing = empty("Not found", f"There is no page {path}.", _home())
            return _nothing(nothing, "Not found", [], Selection())
        return await fill(data, parse(search))

    async def look(search: str, *_again: Any) -> tuple[Any, Any]:
        return await freshness(data, parse(search))

    again = [Input("live", "data"), Input("retry", "n_intervals")]
    again.append(Input("look-again", "n_intervals"))
    address = [Input("url", "search"), Input("url", "pathname")]
    app.callback(*FILLED, *address, *again)(load)
    app.callback(
        Output("footer", "children"),
        Output("staleness", "children"),
        Input("url", "search"),
        *again,
    )(look)
    _register_in_browser(app)


def _register_in_browser(app: Any) -> None:
    """What needs no server: the address, the live channel, the colour scheme."""
    page = "page"
    app.clientside_callback(
        ClientsideFunction(page, "showControls"),
        Output("window", "className"),
        Input("controls", "data"),
    )
    app.clientside_callback(
        ClientsideFunction(page, "writeAddress"),
        Output("url", "search"),
        [Input(name, "value") for name in ("site", "range", "shift", "from", "to")],
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(page, "watchScheme"),
        Output("scheme", "data"),
        Input("templates", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("live", "start"),
        Output("live", "data"),
        Input("templates", "data"),
    )
    for name in ("trend", "heatmap"):
        app.clientside_callback(
            ClientsideFunction(page, "paint"),
            Output(name, "figure"),
            Input(f"{name}-figure", "data"),
            Input("scheme", "data"),
            State("templates", "data"),
        )


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


async def freshness(data: Data, selection: Selection) -> tuple[Any, Any]:
    """The footer, and a banner where a stage is behind."""
    try:
        sites = await data.sites()
        stages = await data.freshness(selection.site)
        engine = await data.engine()
    except FloorpulseError:
        return KEEP, None  # the page's own load says what is wrong
    zones = {s.timezone for s in sites if selection.site in (None, s.site_id)}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    said = behind(stages, zone)
    late = banner("Numbers are behind.", said) if said else None
    return footer(stages, engine, zone), late


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
        f"{len(page.leaderboard)} seen",
        "fp-content",
        None,
        None,
        True,
    )


def _course(page: Overview) -> list[TrendStep]:
    """Steps for the small lines; one that still runs would look like a fall."""
    return page.course[:-1] if page.period.running else page.course


def _empty_range(
    page: Overview, sites: list[Site], selection: Selection
) -> tuple[Any, ...]:
    last = f"{page.last_date:%d %b %Y}" if page.last_date else None
    nothing = no_events(wording.title(page), wording.link_to_last(page), last)
    shown = _nothing(nothing, wording.title(page), sites, selection)
    shape = controls(selection, sites, page.site, wording.window_of_controls(page))
    return (shown[0], wording.subtitle(page, selection), shape, *shown[3:])


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


def _toolbar() -> html.Div:
    return html.Div(
        [
            html.H1("\N{NO-BREAK SPACE}", id="title", className="fp-title"),
            selectors(),
            html.Div(id="subtitle", className="fp-subtitle"),
            own_window(),
        ],
        className="fp-toolbar",
    )


def _content() -> html.Div:
    return html.Div(
        [
            html.Div(skeleton_cards(), id="kpis", className="fp-kpis"),
            html.Div(
                [
                    panel("Utilization and units", trend_legend(), _graph("trend")),
                    panel(
                        [
                            "Workstations ",
                            html.Span(id="heatmap-note", className="fp-panel-note"),
                        ],
                        scale_legend(),
                        html.Div(_graph("heatmap"), className="fp-scroll"),
                    ),
                ],
                className="fp-row",
            ),
            panel(
                [
                    "Workers ",
                    html.Span(id="leaderboard-note", className="fp-panel-note"),
                ],
                legend(),
                leaderboard(),
            ),
        ],
        id="content",
        className="fp-content is-loading",
    )


def _graph(name: str) -> dcc.Graph:
    return dcc.Graph(
        id=name,
        config={"displayModeBar": False, "responsive": True},
    )
