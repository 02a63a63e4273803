"""What both pages stand in: header, selectors, banners, footer, and who fills them."""

from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from dash_app.components.banner import banner
from dash_app.components.footer import behind, footer
from dash_app.components.header import header
from dash_app.components.selectors import own_window, selectors
from dash_app.data import Data
from dash_app.pages import models, overview
from dash_app.selection import Selection, parse
from dash_app.theme import MANTINE, templates
from sql.errors import FloorpulseError

LOOK_AGAIN_MS = 30_000
RETRY_MS = 5_000
FIGURES = ("trend", "heatmap", "confidence")


def layout() -> dmc.MantineProvider:
    """The pages before their first numbers; the address says which one is in sight."""
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="live"),
            dcc.Store(id="controls"),
            dcc.Store(id="scheme"),
            dcc.Store(id="templates", data=templates()),
            *(dcc.Store(id=f"{name}-figure") for name in FIGURES),
            dcc.Interval(id="look-again", interval=LOOK_AGAIN_MS),
            dcc.Interval(id="retry", interval=RETRY_MS, disabled=True),
            header(),
            html.Main(
                [
                    _toolbar(),
                    html.Div(id="trouble"),
                    html.Div(id="staleness"),
                    html.Div(id="empty"),
                    overview.content(),
                    models.content(),
                    html.Footer(id="footer", className="fp-footer"),
                ],
                id="page",
                className="fp-page",
            ),
        ],
        theme=MANTINE,
        defaultColorScheme="auto",
    )


def register(app: Dash, data: Data) -> None:
    """Attach the callbacks. The overview's outputs come first, models' own follow."""

    async def load(search: str, path: str | None, *_again: Any) -> tuple[Any, ...]:
        if path == models.PATH:
            return await models.fill(data, parse(search))
        if path not in (None, overview.PATH):
            return (*overview.not_found(path), *models.HIDDEN)
        return (*await overview.fill(data, parse(search)), *models.HIDDEN)

    async def look(search: str, *_again: Any) -> tuple[Any, Any]:
        return await freshness(data, parse(search))

    again = [Input("live", "data"), Input("retry", "n_intervals")]
    again.append(Input("look-again", "n_intervals"))
    address = [Input("url", "search"), Input("url", "pathname")]
    app.callback(*overview.FILLED, *models.FILLED, *address, *again)(load)
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
        ClientsideFunction(page, "showPage"),
        Output("page", "className"),
        Input("url", "pathname"),
        Input("url", "search"),
    )
    app.clientside_callback(
        ClientsideFunction(page, "showTitle"),
        Input("title", "children"),
        Input("subtitle", "children"),
    )
    app.clientside_callback(
        ClientsideFunction(page, "findWorkers"),
        Input("find", "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(page, "offerFinding"),
        Output("find", "className"),
        Input("leaderboard", "rowData"),
    )
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
    for name in FIGURES:
        app.clientside_callback(
            ClientsideFunction(page, "paint"),
            Output(name, "figure"),
            Input(f"{name}-figure", "data"),
            Input("scheme", "data"),
            State("templates", "data"),
        )


async def freshness(data: Data, selection: Selection) -> tuple[Any, Any]:
    """The footer, and a banner where a stage is behind."""
    try:
        sites = await data.sites()
        stages = await data.freshness(selection.site)
        engine = await data.engine()
    except FloorpulseError:
        return overview.KEEP, None  # the page's own load says what is wrong
    zones = {s.timezone for s in sites if selection.site in (None, s.site_id)}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    said = behind(stages, zone)
    late = banner("Numbers are behind.", said) if said else None
    return footer(stages, engine, zone), late


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
