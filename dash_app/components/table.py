"""A plain table for a few rows: the browser's own, readable by everybody."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dash import html

from dash_app.elements import marks

SIDES = {">": "fp-right", "|": "fp-centre"}


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[Any]],
    name: str,
    nothing: str,
    hints: Mapping[str, str] = MappingProxyType({}),
) -> html.Div:
    """`heads` that begin with '>' stand at the right, with '|' in the middle.

    Without rows: `nothing`, a sentence. `name` is for tests and people's tools.
    `hints`: what a head means, where its word is too short to say it.
    """
    if not rows:
        return html.Div(nothing, className="fp-nothing", **marks(table=name))
    sides = [SIDES.get(head[:1], "") for head in heads]
    cells = list(zip(heads, sides, strict=True))
    head = [_head(text.lstrip(">|"), side, hints) for text, side in cells]
    body = [
        html.Tr(
            [html.Td(cell, className=s) for cell, s in zip(row, sides, strict=True)]
        )
        for row in rows
    ]
    return html.Div(
        html.Table([html.Thead(html.Tr(head)), html.Tbody(body)], className="fp-table"),
        className="fp-scroll",
        **marks(table=name),
    )


def _head(text: str, side: str, hints: Mapping[str, str]) -> html.Th:
    return html.Th(text, className=side, scope="col", title=hints.get(text, ""))


def two_lines(first: Any, second: Any) -> html.Div:
    """A cell with something smaller below."""
    return html.Div([first, html.Small(second)], className="fp-two")


def pill(text: str, tone: str) -> html.Span:
    """A word in a frame; tone: good, bad, warn or even."""
    return html.Span(text, className="fp-pill", **marks(tone=tone))
