"""How numbers look on screen; nothing here computes, a missing value is a dash."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """0.5833 -> '58.3%'."""
    return DASH if fraction is None else f"{fraction * 100:.{digits}f}%"


def number(value: float | None, digits: int = 0) -> str:
    """12345.6 -> '12,346'."""
    return DASH if value is None else f"{value:,.{digits}f}"


def duration(seconds: float | None) -> str:
    """Hours and minutes, hours only from a hundred hours on; rounded down."""
    if seconds is None:
        return DASH
    hours, rest = divmod(int(seconds), 3600)
    if hours >= 100:
        return f"{hours:,}{SPACE}h"
    minutes = rest // 60
    return (
        f"{hours}{SPACE}h{SPACE}{minutes:02d}{SPACE}min"
        if hours
        else f"{minutes}{SPACE}min"
    )


def signed_percent(fraction: float | None) -> str:
    """A relative change: 0.05 -> '+5.0%'."""
    return _signed(None if fraction is None else fraction * 100, "%")


def signed_points(difference: float | None) -> str:
    """A change of a share, in percentage points: 0.032 -> '+3.2 pt'."""
    return _signed(None if difference is None else difference * 100, f"{SPACE}pt")


def signed_number(difference: float | None) -> str:
    """A change of a count: 3 -> '+3'."""
    text = _signed(difference, "")
    return text.removesuffix(".0")


def _signed(value: float | None, unit: str) -> str:
    if value is None:
        return DASH
    text = f"{abs(value):,.1f}"
    sign = "±" if text == "0.0" else (MINUS if value < 0 else "+")
    return f"{sign}{text}{unit}"


def lag(seconds: float | None) -> str:
    """An age in its largest unit: '4 s', '12 min', '3 h', '5 d'."""
    if seconds is None:
        return DASH
    age = timedelta(seconds=max(0.0, seconds))
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if age.total_seconds() >= 2 * unit:
            return f"{int(age.total_seconds() // unit)}{SPACE}{name}"
    return f"{int(age.total_seconds())}{SPACE}s"


def clock(moment: datetime | None, zone: ZoneInfo) -> str:
    """A time of day in the site's zone."""
    return DASH if moment is None else f"{moment.astimezone(zone):%H:%M:%S}"


def moment(at: datetime, lag_s: float | None, zone: ZoneInfo) -> str:
    """A time of day, with its date where it was not lately."""
    if lag_s is not None and lag_s < 43200:
        return clock(at, zone)
    local = at.astimezone(zone)
    return f"{day(local)}, {local:%H:%M}"


def day(moment: date) -> str:
    """'Fri 20 Nov 2026'."""
    return f"{moment:%a} {moment.day} {moment:%b %Y}"


def in_figure(name: str, longest: int | None = None) -> str:
    """A name as plotly shows it: no markup of its own, and no longer than its room."""
    if longest is not None and len(name) > longest:
        # Cut in the middle: what tells Station 1 from Station 2 stands at the end.
        end = longest // 3
        name = f"{name[: longest - 1 - end]}\N{HORIZONTAL ELLIPSIS}{name[-end:]}"
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
