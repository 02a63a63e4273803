"""What the overview says in words: its range, what it compares with, where to look."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dash_app import formats
from dash_app.records import Overview, Period
from dash_app.selection import Selection, to_search

DASH = formats.DASH
AGAINST = {
    "today": "vs yesterday",
    "yesterday": "vs day before",
    "7d": "vs prior 7 days",
    "30d": "vs prior 30 days",
    "shift": "vs shift before",
    "custom": "vs time before",
}
NAMES = {
    "today": "Today",
    "yesterday": "Yesterday",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "custom": "",
}


def title(page: Overview) -> str:
    """Which site."""
    return page.site.name if page.site else "All sites"


def subtitle(page: Overview, selection: Selection) -> str:
    """Which time, which shift, and up to when it counts."""
    zone = ZoneInfo(page.timezone)
    parts = [_range(page.period, selection, zone)]
    if page.period.shift_name and selection.range != "shift":
        parts.append(f"shift {page.period.shift_name}")
    if page.now is not None and page.period.running:
        parts.append(f"numbers up to {formats.clock(page.now, zone)}")
    return " · ".join(part for part in parts if part)


def against(selection: Selection) -> str:
    """What a change compares with, in the room a card has."""
    return AGAINST[selection.range]


def explained(page: Overview) -> str:
    """What a change compares with, exactly."""
    period, zone = page.period, ZoneInfo(page.timezone)
    if period.running and period.so_far_from and period.so_far_to:
        if period.before_from is None or period.before_to is None:
            return ""
        so_far = _window(period.so_far_from, period.so_far_to, zone)
        return f"Whole hours so far ({so_far}) against " + _window(
            period.before_from, period.before_to, zone
        )
    if period.before_from_date and period.before_to_date:
        first, last = period.before_from_date, period.before_to_date
        return f"Against {formats.day(first)}" + (
            f" {DASH} {formats.day(last)}" if last != first else ""
        )
    if period.before_from and period.before_to:
        return f"Against {_window(period.before_from, period.before_to, zone)}"
    return ""


def link_to_last(page: Overview) -> str | None:
    """The address of the last day with anything in it."""
    if page.last_date is None:
        return None
    start = datetime.combine(page.last_date, datetime.min.time())
    return to_search(
        Selection(
            site=page.site.site_id if page.site else None,
            range="custom",
            from_time=start,
            to_time=start + timedelta(days=1),
        )
    )


def window_of_controls(page: Overview) -> tuple[str, str]:
    """The custom window (else the period) as the pickers take it: wall clock."""
    zone = ZoneInfo(page.timezone)
    start, end = page.period.starts_at, page.period.ends_at
    return (
        f"{start.astimezone(zone):%Y-%m-%d %H:%M:%S}",
        f"{end.astimezone(zone):%Y-%m-%d %H:%M:%S}",
    )


def _range(period: Period, selection: Selection, zone: ZoneInfo) -> str:
    if selection.range == "shift" and period.shift_name and period.from_date:
        state = "Current shift" if period.running else "Last shift"
        hours = _window(period.starts_at, period.ends_at, zone)
        return f"{state}: {period.shift_name}, {hours}"
    if period.from_date is None or period.to_date is None:
        return _window(period.starts_at, period.ends_at, zone)
    name = NAMES["today"] if selection.range == "shift" else NAMES[selection.range]
    if period.from_date == period.to_date:
        return f"{name}, {formats.day(period.to_date)}"
    first = f"{period.from_date:%a} {period.from_date.day} {period.from_date:%b}"
    return f"{name}, {first} {DASH} {formats.day(period.to_date)}"


def _window(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    first, last = start.astimezone(zone), end.astimezone(zone)
    if first.date() == last.date():
        return f"{formats.day(first)}, {first:%H:%M} {DASH} {last:%H:%M}"
    return (
        f"{formats.day(first)}, {first:%H:%M} {DASH} {formats.day(last)}, {last:%H:%M}"
    )
