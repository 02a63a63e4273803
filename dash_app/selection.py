"""What the reader chose, as it stands in the address: site, range, shift, window."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo

RangeName = Literal["shift", "today", "yesterday", "7d", "30d", "custom"]
RANGES: tuple[RangeName, ...] = get_args(RangeName)
DEFAULT_RANGE: RangeName = "today"
YEARS = range(1970, 2200)


@dataclass(frozen=True)
class Selection:
    """One view of the plant. `site` None: all sites, or the only one.

    The times of a custom window are instants, or naive: the site's wall clock.
    """

    site: str | None = None
    range: RangeName = DEFAULT_RANGE
    shift: str | None = None
    from_time: datetime | None = None
    to_time: datetime | None = None

    def with_site(self, site: str | None) -> "Selection":
        """The same view of another site; shifts belong to a site and are dropped."""
        return replace(self, site=site, shift=None)


def parse(search: str | None) -> Selection:
    """Read an address' query string; what it does not understand takes its default."""
    fields = {
        key: values[-1] for key, values in parse_qs((search or "").lstrip("?")).items()
    }
    name = _range(fields.get("range"))
    from_time = to_time = None
    if name == "custom":
        from_time, to_time = _time(fields.get("from")), _time(fields.get("to"))
        if from_time is None or to_time is None:
            name, from_time, to_time = DEFAULT_RANGE, None, None
    return Selection(
        site=_identifier(fields.get("site")),
        range=name,
        shift=_identifier(fields.get("shift")),
        from_time=from_time,
        to_time=to_time,
    )


def to_search(selection: Selection) -> str:
    """The query string of a view: defaults left out, so that addresses stay short."""
    fields: dict[str, str] = {}
    if selection.site is not None:
        fields["site"] = selection.site
    if selection.range != DEFAULT_RANGE:
        fields["range"] = selection.range
    if selection.shift is not None:
        fields["shift"] = selection.shift
    if selection.from_time is not None and selection.to_time is not None:
        fields["from"] = _text(selection.from_time)
        fields["to"] = _text(selection.to_time)
    return f"?{urlencode(fields, safe=':')}" if fields else ""


def utc_window(
    selection: Selection, zone: ZoneInfo
) -> tuple[datetime, datetime] | tuple[None, None]:
    """The custom window, widened to whole UTC hours; None, None when there is none.

    A time without an offset is the zone's wall clock, its first occurrence.
    """
    from_time, to_time = selection.from_time, selection.to_time
    if from_time is None or to_time is None:
        return None, None
    start, end = _instant(from_time, zone), _instant(to_time, zone)
    if start >= end:
        return None, None
    return _hour(start), _hour(end + timedelta(hours=1, microseconds=-1))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _instant(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.replace(tzinfo=moment.tzinfo or zone).astimezone(UTC)


def _range(text: str | None) -> RangeName:
    return next((name for name in RANGES if name == text), DEFAULT_RANGE)


def _identifier(text: str | None) -> str | None:
    """An id as metrics.md allows it; what no id can be is cut to what one can."""
    return None if text is None else "".join(filter(str.isprintable, text))[:64]


def _time(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.year in YEARS else None


def _text(moment: datetime) -> str:
    """To the minute: with Z when it is an instant, bare when it is a wall clock."""
    if moment.tzinfo is None:
        return f"{moment:%Y-%m-%dT%H:%M}"
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
