"""The bar on top: the name, the pages, whether they are live, the colour scheme."""

import dash_mantine_components as dmc
from dash import dcc, html

from dash_app.elements import aria, marks


def header() -> html.Header:
    """The bar; live.js writes into `live-state`, page.js into the links."""
    live = html.Span("Connecting", id="live-state", className="fp-live", role="status")
    return html.Header(
        html.Div(
            [
                html.Div([_brand(), _pages()], className="fp-header-left"),
                html.Div([live, _scheme_toggle()], className="fp-header-right"),
            ],
            className="fp-header-inner",
        ),
        className="fp-header",
    )


def _brand() -> html.A:
    mark = html.Img(src="/assets/favicon.svg", className="fp-brand-mark", alt="")
    return html.A([mark, "floorpulse"], href="/", className="fp-brand")


def _pages() -> html.Nav:
    """Within the document: what is loaded stays loaded."""
    links = (("overview", "Overview", "/"), ("models", "Models", "/models"))
    return html.Nav(
        [
            dcc.Link(text, href=path, id=f"nav-{name}", className="fp-nav")
            for name, text, path in links
        ],
        **aria(label="Pages"),
    )


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
