"""The bar on top: the name, whether the page is live, the colour scheme."""

import dash_mantine_components as dmc
from dash import html

from dash_app.elements import aria, marks


def header() -> html.Header:
    """The bar; live.js writes into `live-state`."""
    live = html.Span("Connecting", id="live-state", className="fp-live", role="status")
    return html.Header(
        html.Div(
            [
                _brand(),
                html.Div([live, _scheme_toggle()], className="fp-header-right"),
            ],
            className="fp-header-inner",
        ),
        className="fp-header",
    )


def _brand() -> html.A:
    mark = html.Img(src="/assets/favicon.svg", className="fp-brand-mark", alt="")
    return html.A([mark, "floorpulse"], href="/", className="fp-brand")


def _scheme_toggle() -> dmc.ColorSchemeToggle:
    return dmc.ColorSchemeToggle(
        lightIcon=html.Span(className="fp-icon", **marks(icon="sun")),
        darkIcon=html.Span(className="fp-icon", **marks(icon="moon")),
        id="scheme-toggle",
        variant="subtle",
        color="gray",
        size="lg",
        **aria(label="Switch between light and dark"),
    )
