"""A line that says what is wrong and what happens next."""

from typing import Any

from dash import html


def banner(title: str, *text: Any) -> html.Div:
    """A title in bold and its sentence."""
    return html.Div(
        html.Div([html.B(f"{title} "), *text]), className="fp-banner", role="alert"
    )
