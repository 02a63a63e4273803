"""What the reader can choose: site, range, shift, and a window of one's own."""

from typing import Any

import dash_mantine_components as dmc
from dash import html

from dash_app.elements import aria
from dash_app.records import Site
from dash_app.selection import Selection

RANGE_LABELS = {
    "shift": "Shift",
    "today": "Today",
    "yesterday": "Yesterday",
    "7d": "7 days",
    "30d": "30 days",
    "custom": "Custom",
}
# What stands in a selector for "no choice": an empty value would show its placeholder.
EVERY = ""


def selectors() -> html.Div:
    """Empty until the first load says which sites and shifts there are."""
    return html.Div(
        [
            _select("site", "Site", 200),
            _select("shift", "Shift", 140),
            html.Div(
                dmc.SegmentedControl(
                    id="range",
                    data=[
                        {"value": key, "label": text}
                        for key, text in RANGE_LABELS.items()
                    ],
                    value="today",
                    size="sm",
                    fullWidth=True,
                    **aria(label="Range"),
                ),
                className="fp-ranges",
            ),
        ],
        className="fp-controls",
    )


def own_window() -> html.Div:
    """From when to when, in sight while the range is a custom one."""
    return html.Div(
        [_moment("from", "From"), html.Span("to"), _moment("to", "To")],
        id="window",
        className="fp-window fp-hidden",
    )


def controls(
    selection: Selection, sites: list[Site], site: Site | None, window: tuple[str, str]
) -> dict[str, Any]:
    """What the selectors show for a view; `window` in the site's wall clock."""
    names = [{"value": s.site_id, "label": s.name} for s in sites]
    if len(sites) != 1:
        names.insert(0, {"value": EVERY, "label": "All sites"})
    shifts = _shifts(sites, site)
    return {
        "sites": names,
        "site": site.site_id if site else EVERY,
        "range": selection.range,
        "shifts": [
            {"value": EVERY, "label": "All shifts"},
            *({"value": name, "label": name} for name in shifts),
        ],
        "shift": selection.shift or EVERY,
        "from": window[0],
        "to": window[1],
    }


def _shifts(sites: list[Site], site: Site | None) -> list[str]:
    chosen = [site] if site else sites
    return sorted({name for s in chosen for name in s.shifts})


def _select(name: str, label: str, width: int) -> dmc.Select:
    return dmc.Select(
        id=name,
        data=[],
        size="sm",
        w={"base": "100%", "xs": width},
        allowDeselect=False,
        checkIconPosition="right",
        searchable=False,
        comboboxProps={"shadow": "md"},
        **aria(label=label),
    )


def _moment(name: str, label: str) -> dmc.DateTimePicker:
    return dmc.DateTimePicker(
        id=name,
        size="sm",
        w=190,
        valueFormat="D MMM YYYY HH:mm",
        placeholder=label,
        **aria(label=label),
    )
