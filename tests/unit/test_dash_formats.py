"""How numbers look: rounded only here, a dash where there is none."""

import pytest

from dash_app import formats


def spaced(text: str) -> str:
    return text.replace(formats.SPACE, " ")


def test_none_is_a_dash() -> None:
    shown = (
        formats.percent(None),
        formats.number(None),
        formats.duration(None),
        formats.signed_percent(None),
        formats.signed_points(None),
        formats.signed_number(None),
        formats.lag(None),
    )
    assert set(shown) == {"\N{EN DASH}"}


def test_percent() -> None:
    assert formats.percent(0.58333) == "58.3%"
    assert formats.percent(1) == "100.0%"
    assert formats.percent(0.5, 0) == "50%"


def test_number() -> None:
    assert formats.number(12345.6) == "12,346"
    assert formats.number(42.857, 1) == "42.9"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 min"),
        (59, "0 min"),
        (3599, "59 min"),
        (3600, "1 h 00 min"),
        (41_340, "11 h 29 min"),
        (360_000, "100 h"),
        (4_000_000, "1,111 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert spaced(formats.duration(seconds)) == text


def test_changes_have_a_sign() -> None:
    assert formats.signed_percent(0.05) == "+5.0%"
    assert formats.signed_percent(-0.131) == "\N{MINUS SIGN}13.1%"
    assert formats.signed_percent(0.0001) == "±0.0%"
    assert spaced(formats.signed_points(0.032)) == "+3.2 pt"
    assert formats.signed_number(3) == "+3"
    assert formats.signed_number(0) == "±0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (4.9, "4 s"), (119, "119 s"), (125, "2 min"), (90_000, "25 h")],
)
def test_lag(seconds: float, text: str) -> None:
    assert spaced(formats.lag(seconds)) == text
