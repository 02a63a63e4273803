"""Time zones, from the pinned tzdata package and never from the machine."""

from __future__ import annotations

import difflib
import zoneinfo
from functools import lru_cache
from importlib import resources

from sql.errors import BadSetting


@lru_cache(maxsize=64)
def zone(name: str) -> zoneinfo.ZoneInfo:
    """Return the zone of an IANA name; BadSetting where there is none.

    ``ZoneInfo(name)`` would ask the operating system first, and two machines
    with different tzdata would cut the same events differently.
    """
    if name not in known_zones():
        raise BadSetting(unknown_zone(name))
    path = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as data:
        return zoneinfo.ZoneInfo.from_file(data, key=name)


@lru_cache(maxsize=1)
def known_zones() -> frozenset[str]:
    """Every zone name of the pinned tzdata."""
    text = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(text.split())


def unknown_zone(name: str) -> str:
    """Say that a zone is unknown and which one may have been meant."""
    by_city = {known.rsplit("/", 1)[-1].lower(): known for known in known_zones()}
    city = name.rsplit("/", 1)[-1].strip().replace(" ", "_").lower()
    close = difflib.get_close_matches(city, by_city, n=1, cutoff=0.75)
    hint = f"; did you mean {by_city[close[0]]}?" if close else ""
    return f"{name!r} is no IANA time zone such as Europe/Berlin{hint}"
