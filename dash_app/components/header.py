"""The bar on top: the name, whether the page is live, the colour scheme."""

import dash_mantine_components as dmc
from dash import html

from dash_app.elements import aria, marks


def header() -> html.Header:
    """The bar; live.js writes into `live-state`."""
    return html.Header(
        html.Div(
            [
                html.A(
                    [
                        html.Img(
                            src="/assets/favicon.svg",
                            className="fp-brand-mark",
                            alt="",
                        ),
                        "floorpulse",
                    ],
                    href="/",
                    className="fp-brand",
                ),
                html.Div(
                    [
                        html.Span(
                            "Connecting",
                            id="live-state",
                            className="fp-live",
                            role="status",
                        ),
                        dmc.ColorSchemeToggle(
                            lightIcon=html.Span(
                                className="fp-icon", **marks(icon="sun")
                            ),
                            darkIcon=html.Span(
                                className="fp-icon", **marks(icon="moon")
                            ),
                            id="scheme-toggle",
                            variant="subtle",
                            color="gray",
                            size="lg",
                            **aria(label="Switch between light and dark"),
                        ),
                    ],
                    className="fp-header-right",
                ),
            ],
            className="fp-header-inner",
        ),
        className="fp-header",
    )
