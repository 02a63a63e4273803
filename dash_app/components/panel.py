"""A card with a title, a note beside it, and something in it: a figure, say."""

from typing import Any

from dash import dcc, html

from dash_app.elements import aria


def panel(title: Any, note: Any, body: Any, **attributes: Any) -> html.Section:
    """`note` may be any element; it stands at the right of the title."""
    return html.Section(
        [
            html.Div(
                [html.H2(title, className="fp-panel-title"), note],
                className="fp-panel-head",
            ),
            html.Div(body, className="fp-panel-body"),
        ],
        className="fp-card fp-panel",
        **attributes,
    )


def graph(name: str, said: str) -> html.Div:
    """A figure that fills its card; `said` to those who do not see it."""
    figure = dcc.Graph(id=name, config={"displayModeBar": False, "responsive": True})
    return html.Div(figure, role="img", **aria(label=said))
