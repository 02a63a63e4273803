"""The quick reading of plain times says what the general one says, on any text."""

from __future__ import annotations

import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.shape.civil import _FEW, civil
from etl.shape.time import civil_columns

DIGITS = "0123456789"
# Times at the edges, plain and not, of which others are made by changing characters.
EDGES = [
    "2026-11-20T06:00:00Z",
    "2026-02-29T06:00:00Z",
    "2024-02-29 23:59:59.9Z",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00.000001Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-11-20T06:00:60Z",
    "2026-11-20T24:00:00.25Z",
    "2026-13-01T00:00:00",
    "2026-11-31 00:00:00",
    "2026-11-20T06:00:00.123456+05:30",
    "2026-11-20T06:00:00-23:59",
    "2026-11-20T06:00:00+24:00",
    "2026-11-20T06:00:00.1234567Z",
    "2026-11-20t06:00:00z",
    "2026-11-20T06:00Z",
    "2026-11-20T06:00:00,25Z",
    "2026-11-20T06:00:00\N{DEGREE SIGN}",
    "",
]


def assert_same(texts: list[str | None]) -> None:
    time = pl.Series("time", texts, dtype=pl.String)
    expected = time.to_frame().select(civil_columns(pl.col("time")))
    assert pl.DataFrame(civil(time)).equals(expected)


@st.composite
def columns(draw: st.DrawFn) -> list[str | None]:
    """Enough rows of one form or several, a few of them spoiled."""
    forms = draw(st.lists(st.sampled_from(EDGES), min_size=1, max_size=3))
    dice = random.Random(draw(st.integers(0, 2**32)))
    rows: list[str | None] = [dice.choice(forms) for _ in range(_FEW)]
    for _ in range(draw(st.integers(0, 60))):
        at = dice.randrange(_FEW)
        text = rows[at] or "?"
        place = dice.randrange(len(text) or 1)
        new = dice.choice(DIGITS * 3 + "-:.TZ+ \u00e9")
        rows[at] = text[:place] + new + text[place + 1 :]
    if draw(st.booleans()):
        rows[dice.randrange(_FEW)] = None
    return rows


@given(columns())
@settings(max_examples=60, deadline=None)
def test_any_column_is_read_as_the_general_way_reads_it(
    texts: list[str | None],
) -> None:
    assert_same(texts)


def test_every_edge_and_every_day_of_four_years() -> None:
    for edge in EDGES:
        assert_same([edge] * _FEW)
    days = [
        f"{year}-{month:02}-{day:02}T12:00:00Z"
        for year in (1970, 2000, 2024, 2100)
        for month in range(14)
        for day in range(33)
    ]
    assert_same([*days])
    assert_same([])
    assert_same([None] * _FEW)
