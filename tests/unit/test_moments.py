"""Instants as people write them on the command line."""

from datetime import datetime

import pytest

from sql.errors import BadSetting
from sql.plant.moments import MINUS_INFINITY, read_since


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-02", "2026-03-01T18:30+00:00"),
        ("2026-03-02T06:00", "2026-03-02T00:30+00:00"),
        ("2026-03-02 06:00+01:00", "2026-03-02T05:00+00:00"),
        ("2026-03-02T06:00Z", "2026-03-02T06:00+00:00"),
    ],
)
def test_times_without_offset_are_the_sites(text: str, instant: str) -> None:
    assert read_since(text, "Asia/Kolkata") == datetime.fromisoformat(instant)


def test_beginning_is_ever_since() -> None:
    assert read_since("Beginning", "UTC") == MINUS_INFINITY
    with pytest.raises(BadSetting, match="is no time"):
        read_since("yesterday-ish", "UTC")
