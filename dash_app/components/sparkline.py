"""A line without axes, as a mask: the page's colours show through in both schemes."""

from collections.abc import Sequence
from urllib.parse import quote

from dash import html

from dash_app.elements import aria, marks

WIDTH = 200
HEIGHT = 32
MARGIN = 2


def sparkline(values: Sequence[float | None], tone: str = "accent") -> html.Div:
    """Values in order of time; None leaves a gap. Scaled from 0 to the largest."""
    return html.Div(
        className="fp-spark",
        style=_mask(_drawing(values)),
        **marks(tone=tone),
        **aria(hidden="true"),
    )


def _mask(drawing: str) -> dict[str, str]:
    address = f'url("data:image/svg+xml,{quote(drawing)}")'
    return {"maskImage": address, "WebkitMaskImage": address}


def _drawing(values: Sequence[float | None]) -> str:
    shapes = "".join(_stretch(points) for points in _stretches(values))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'preserveAspectRatio="none">{shapes}</svg>'
    )


def _stretches(values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    """Runs of values as points of the drawing."""
    largest = max((v for v in values if v is not None), default=0) or 1
    step = WIDTH / max(1, len(values) - 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            height = (HEIGHT - 2 * MARGIN) * value / largest
            runs[-1].append((place * step, HEIGHT - MARGIN - height))
    return [run for run in runs if run]


def _stretch(points: list[tuple[float, float]]) -> str:
    if len(points) == 1:
        x, y = points[0]
        points = [(x - 1, y), (x + 1, y)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    first, last = points[0][0], points[-1][0]
    return (
        f'<polygon points="{first:.1f},{HEIGHT} {path} {last:.1f},{HEIGHT}" '
        'fill="#000" fill-opacity=".14"/>'
        f'<polyline points="{path}" fill="none" stroke="#000" stroke-width="1.6" '
        'stroke-linejoin="round" vector-effect="non-scaling-stroke"/>'
    )
