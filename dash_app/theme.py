"""Colours and type of the figures in both schemes; the page's own: theme.css."""

from typing import Any, Literal

Scheme = Literal["light", "dark"]

FONT = 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'

# The Mantine theme: teal of our own, so that controls and figures speak one language.
ACCENT = [
    "#eef9f7",
    "#d8efec",
    "#aedfd9",
    "#80cec6",
    "#59bfb5",
    "#3fb5aa",
    "#2aa096",
    "#0f8f86",
    "#0b7a75",
    "#06605c",
]

DARK = [
    "#e8ebf0",
    "#a5afbd",
    "#8792a2",
    "#5c6675",
    "#2f3845",
    "#262d37",
    "#1b2129",
    "#151a20",
    "#10141a",
    "#0d1014",
]

MANTINE: dict[str, Any] = {
    "fontFamily": FONT,
    "primaryColor": "floor",
    "primaryShade": {"light": 8, "dark": 5},
    "colors": {"floor": ACCENT, "dark": DARK},
    "defaultRadius": "md",
    "cursorType": "pointer",
    "respectReducedMotion": True,
}

_INK = {"light": "#12161c", "dark": "#e8ebf0"}
_MUTED = {"light": "#636c79", "dark": "#8792a2"}
_GRID = {"light": "#eef0f3", "dark": "#1f262f"}
_LINE = {"light": "#d5dae1", "dark": "#323b47"}
_SURFACE = {"light": "#ffffff", "dark": "#1b2129"}
_WORKING = {"light": "#0f8f86", "dark": "#2fb3a8"}
_UNITS = {"light": "#8491bb", "dark": "#6f80b3"}
_SOFT = {"light": "rgba(15, 143, 134, 0.10)", "dark": "rgba(47, 179, 168, 0.13)"}
_SCALE = {
    "light": [
        [0.0, "#f0f4f4"],
        [0.25, "#c3e4e0"],
        [0.5, "#7fcac1"],
        [0.75, "#2ea297"],
        [1.0, "#075e5a"],
    ],
    "dark": [
        [0.0, "#1b2427"],
        [0.25, "#14403f"],
        [0.5, "#12706a"],
        [0.75, "#2aa79c"],
        [1.0, "#8ee6db"],
    ],
}


def template(scheme: Scheme) -> dict[str, Any]:
    """A plotly template: figures carry data only and are painted in the browser."""
    axis = _axis(scheme)
    return {
        "layout": {
            "font": {"family": FONT, "size": 12, "color": _INK[scheme]},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": [_WORKING[scheme], _WORKING[scheme], _UNITS[scheme]],
            "xaxis": {**axis, "showgrid": False},
            "yaxis": axis,
            "margin": {"l": 44, "r": 8, "t": 8, "b": 28},
            "showlegend": False,
            "hoverlabel": {
                "bgcolor": _SURFACE[scheme],
                "bordercolor": _LINE[scheme],
                "font": {"family": FONT, "size": 12.5, "color": _INK[scheme]},
            },
            "annotationdefaults": {
                "font": {"color": _MUTED[scheme], "size": 12},
                "showarrow": False,
            },
            "coloraxis": {
                "colorscale": _SCALE[scheme],
            },
            "separators": ".,",
        },
        "data": {
            "scatter": [
                {
                    "line": {"width": 2.2},
                    "fillcolor": _SOFT[scheme],
                }
            ],
            "heatmap": [{"xgap": 2, "ygap": 2}],
        },
    }


def _axis(scheme: Scheme) -> dict[str, Any]:
    return {
        "gridcolor": _GRID[scheme],
        "linecolor": _LINE[scheme],
        "tickcolor": _LINE[scheme],
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        "tickfont": {"color": _MUTED[scheme], "size": 12},
        "title": {"font": {"color": _MUTED[scheme], "size": 12}},
    }


def templates() -> dict[str, dict[str, Any]]:
    """Both, as the browser keeps them."""
    return {"light": template("light"), "dark": template("dark")}
