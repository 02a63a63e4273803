"""A card with a title, a note beside it, and something in it."""

from typing import Any

from dash import html


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
