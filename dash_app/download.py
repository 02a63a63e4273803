"""The workers of a view as a CSV file, for people who go on in a spreadsheet.

What the table on the page shows, in its order, from the same answer.
"""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from dash_app.data import Data, DatabaseGone
from dash_app.records import LeaderboardRow, Overview
from dash_app.selection import parse
from sql.errors import FloorpulseError, UnknownSite

PATH = "/workers.csv"
HEADS = (
    "Site",
    "Worker",
    "Name",
    "Utilization %",
    "Units",
    "Units per hour",
    "Working h",
    "Idle h",
    "Absent h",
    "Break h",
    "Unobserved h",
)
# Without it Excel takes UTF-8 for something else.
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
# What a spreadsheet would run as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Download:
    """Answers GET /workers.csv?site=...&range=..., the page's own query string."""

    def __init__(self, data: Data) -> None:
        self._data = data

    async def answer(self, request: Request) -> Response:
        """The file; or a sentence, 404 or 503, where there is none."""
        try:
            page = await self._data.overview(parse(request.url.query))
        except UnknownSite as error:
            return PlainTextResponse(error.message, 404)
        except DatabaseGone:
            return PlainTextResponse("The database does not answer.", 503)
        except FloorpulseError as error:
            return PlainTextResponse(error.message, 503)
        headers = {
            "Content-Disposition": f'attachment; filename="{file_name(page)}"',
            "Cache-Control": "no-store",
        }
        text = BYTE_ORDER_MARK + csv_text(page.leaderboard)
        return Response(text, media_type="text/csv", headers=headers)


def csv_text(rows: list[LeaderboardRow]) -> str:
    """A line of heads and one per worker; an empty field where the page has a dash."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADS)
    writer.writerows(list(_fields(row)) for row in rows)
    return text.getvalue()


def file_name(page: Overview) -> str:
    """`workers-hall-a-2026-11-14-to-2026-11-20.csv`, in letters every system takes."""
    zone = ZoneInfo(page.timezone)
    first = page.period.from_date or page.period.starts_at.astimezone(zone).date()
    end = page.period.ends_at - timedelta(microseconds=1)
    last = page.period.to_date or end.astimezone(zone).date()
    parts = ["workers", page.site.site_id if page.site else "all-sites"]
    if page.period.shift_name:
        parts.append(page.period.shift_name)
    parts.append(f"{first}" if first == last else f"{first}-to-{last}")
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(parts)) + ".csv"


def _fields(row: LeaderboardRow) -> Iterator[str]:
    yield from (_text(row.site_id), _text(row.worker_id), _text(row.name))
    yield _rounded(row.utilization, 100)
    yield str(row.units)
    yield _rounded(row.units_per_hour)
    seconds = (row.working_s, row.idle_s, row.absent_s, row.break_s, row.unobserved_s)
    yield from (_rounded(s, 1 / 3600) for s in seconds)


def _text(name: str) -> str:
    return f"'{name}" if name.startswith(FORMULA) else name


def _rounded(value: float | None, factor: float = 1) -> str:
    """In the unit of its head, to two decimals."""
    return "" if value is None else f"{value * factor:.2f}"
