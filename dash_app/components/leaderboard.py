"""Workers, the most utilized first, with all their time in sight: nobody is judged by
silence."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import html

from dash_app.elements import aria
from dash_app.records import LeaderboardRow

ROW_HEIGHT = 40
AROUND = 38
LARGEST_HEIGHT = 560
WIDEST_NAME = 180
# field, header, format of grid.js, tooltip, least width
NUMBERS = (
    ("units", "Units", "fpUnits", "Units counted, also in breaks", 80),
    ("units_per_hour", "Units / h", "fpRate", "Units per hour of working time", 80),
    ("working_s", "Working", "fpHm", "Hours and minutes", 80),
    ("idle_s", "Idle", "fpHm", "At a workstation and not working", 80),
    ("absent_s", "Absent", "fpHm", "Seen to be away from the workstation", 80),
    ("break_s", "Break", "fpHm", "In a break of the shift: not judged", 80),
    (
        "unobserved_s",
        "Unobserved",
        "fpHm",
        "Of the shifts this worker was seen in: no camera says anything",
        104,
    ),
)
FIELDS = tuple(field.name for field in fields(LeaderboardRow))
STATES = (
    ("Working", "working"),
    ("Idle", "idle"),
    ("Absent", "absent"),
    ("Break", "break"),
    ("Unobserved", "unobserved"),
)


def leaderboard() -> dag.AgGrid:
    """The empty grid; rows come with the page's data."""
    return dag.AgGrid(
        id="leaderboard",
        columnDefs=columns(several_sites=False),
        rowData=[],
        getRowId="params.data.site_id + ' ' + params.data.worker_id",
        defaultColDef={
            "sortable": True,
            "resizable": False,
            "suppressMovable": True,
            "suppressHeaderMenuButton": True,
            "suppressHeaderFilterButton": True,
            "sortingOrder": ["desc", "asc"],
            "flex": 1,
            "minWidth": 84,
            "getQuickFilterText": {"function": "''"},
        },
        dashGridOptions={
            "theme": {"function": "fpTheme(themeQuartz)"},
            "animateRows": False,
            "suppressCellFocus": True,
            "suppressNoRowsOverlay": True,
            "enableCellTextSelection": True,
            "localeText": {"noMatchingRows": "No worker of that name"},
        },
        style={"height": AROUND + 6 * ROW_HEIGHT},
        dangerously_allow_code=False,
    )


def grid_height(rows: int) -> dict[str, int]:
    """As high as its rows, up to a limit; from there it scrolls."""
    return {"height": min(LARGEST_HEIGHT, AROUND + max(1, rows) * ROW_HEIGHT)}


def row_data(rows: list[LeaderboardRow]) -> list[dict[str, Any]]:
    """Rows as the grid takes them."""
    # Not asdict: it copies deeply, which takes ten times as long.
    return [{name: getattr(row, name) for name in FIELDS} for row in rows]


def tools() -> html.Div:
    """Beside the title: the colours' meaning, a worker to find, the file."""
    return html.Div([legend(), _find(), _download()], className="fp-tools")


def _find() -> dmc.TextInput:
    """In sight where there are more workers than the eye counts (page.js)."""
    return dmc.TextInput(
        id="find",
        value="",
        placeholder="Find a worker",
        size="xs",
        w=160,
        className="fp-find fp-hidden",
        **aria(label="Find a worker"),
    )


def _download() -> html.A:
    """page.js writes the address: the file is of the view in sight."""
    return html.A(
        "Download CSV",
        href="/workers.csv",
        id="download",
        className="fp-download",
        download="",
        title="These workers as a file for a spreadsheet",
    )


def legend() -> html.Div:
    """What the colours of the time bar mean."""
    return html.Div(
        [
            html.Span(text, style={"--tone": f"var(--fp-{name})"})
            for text, name in STATES
        ],
        className="fp-legend",
    )


def columns(
    rows: Sequence[LeaderboardRow] = (), *, several_sites: bool
) -> list[dict[str, Any]]:
    """The grid's columns; the site stands in one of its own where there are several."""
    site = {"field": "site_id", "headerName": "Site", "minWidth": 100}
    return [
        {
            "field": "name",
            "headerName": "Worker",
            "cellRenderer": "FpWorker",
            "width": _name_width(rows),
            "flex": 0,
            "pinned": "left",
            "getQuickFilterText": {
                "function": "params.data.name + ' ' + params.data.worker_id"
            },
            "sortingOrder": ["asc", "desc"],
        },
        *([site] if several_sites else []),
        {
            "field": "utilization",
            "headerName": "Utilization",
            "cellRenderer": "FpShare",
            "minWidth": 114,
            "flex": 1.5,
            "initialSort": "desc",
            "comparator": {"function": "fpRank"},
            "headerTooltip": "Working time as a share of working and idle time; "
            "under ten minutes of these stand below, unranked",
        },
        {
            "headerName": "Time spent",
            "field": "working_s",
            "colId": "time",
            "cellRenderer": "FpTime",
            "sortable": False,
            "minWidth": 100,
            "flex": 2.4,
        },
        *(_number(*column) for column in NUMBERS),
    ]


def _name_width(rows: Sequence[LeaderboardRow]) -> int:
    """Room for the longest name, within reason; a phone has little to give."""
    longest = max((len(_shown_name(row)) for row in rows), default=0)
    return min(WIDEST_NAME, max(92, 32 + 8 * longest))


def _shown_name(row: LeaderboardRow) -> str:
    return row.name if row.name == row.worker_id else f"{row.name} {row.worker_id}"


def _number(
    field: str, name: str, form: str, hint: str, least_width: int
) -> dict[str, Any]:
    return {
        "field": field,
        "headerName": name,
        "type": "rightAligned",
        "valueFormatter": {"function": f"{form}(params.value)"},
        "comparator": {"function": "fpNullsLast"},
        "headerTooltip": hint,
        "minWidth": least_width,
    }
