"""A card with a title, a note beside it, and something in it: a figure, say."""

from typing import Any

from dash import dcc, html


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


def graph(name: str) -> dcc.Graph:
    """A figure that fills its card, without a tool bar."""
    return dcc.Graph(
        id=name,
        config={"displayModeBar": False, "responsive": True},
    )
