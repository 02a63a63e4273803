"""A line without axes, as a mask: the page's colours show through in both schemes."""

from collections.abc import Sequence
from urllib.parse import quote

from dash import html

from dash_app.elements import aria, marks

WIDTH = 200
HEIGHT = 32
MARGIN = 2
LEAST_SPAN = 0.3
BELOW = 0.4


def sparkline(values: Sequence[float], tone: str = "accent") -> html.Div:
    """Values in order of time; without any (a day's first hour) its room, empty."""
    return html.Div(
        className="fp-spark",
        style=_mask(_drawing(values)) if values else {"visibility": "hidden"},
        **marks(tone=tone),
        **aria(hidden="true"),
    )


def _mask(drawing: str) -> dict[str, str]:
    address = f'url("data:image/svg+xml,{quote(drawing)}")'
    return {"maskImage": address, "WebkitMaskImage": address}


def _drawing(values: Sequence[float]) -> str:
    points = _points([*values, *values] if len(values) == 1 else values)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'preserveAspectRatio="none"><polygon points="0,{HEIGHT} {path} '
        f'{WIDTH},{HEIGHT}" fill="#000" fill-opacity=".12"/>'
        f'<polyline points="{path}" fill="none" stroke="#000" stroke-width="1.7" '
        'stroke-linejoin="round" vector-effect="non-scaling-stroke"/></svg>'
    )


def _points(values: Sequence[float]) -> list[tuple[float, float]]:
    """Scaled from the smallest to the largest, but a ripple is not drawn as a wave."""
    low, high = min(values), max(values)
    span = max(high - low, LEAST_SPAN * abs(high)) or 1
    floor = min(low, (low + high - span) / 2) - span * BELOW
    step = WIDTH / (len(values) - 1)
    scale = (HEIGHT - 2 * MARGIN) / (span * (1 + BELOW))
    return [
        (place * step, HEIGHT - MARGIN - (value - floor) * scale)
        for place, value in enumerate(values)
    ]
