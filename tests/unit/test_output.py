"""Tables of the command line: they fit, or every row stands on its own."""

from __future__ import annotations

from typing import Any

import pytest

from commands import output

ROWS: list[dict[str, Any]] = [
    {"worker_id": "W1", "name": None, "working_s": 20_371.0, "units_per_hour": 68.7},
    {"worker_id": "W2", "name": "Ann", "working_s": 5.0, "units_per_hour": None},
]


@pytest.fixture(params=[80, 36, 20])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(output, "WIDE", request.param)
    return int(request.param)


def test_no_number_is_broken(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(ROWS, title="two")
    lines = capsys.readouterr().out.splitlines()
    assert any("5:39:31" in line for line in lines)
    assert max(map(len, lines)) <= max(width, len("units_per_hour  5:39:31"))


def test_a_wide_table_has_one_line_of_heads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_table(ROWS)
    assert capsys.readouterr().out.split("\n")[1].split() == list(ROWS[0])


def test_rows_too_wide_are_told_one_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "WIDE", 20)
    output.print_table(ROWS, title="two")
    assert capsys.readouterr().out.split("\n\n")[1].splitlines() == [
        "worker_id       W1",
        "name            \N{EN DASH}",
        "working_s       5:39:31",
        "units_per_hour  68.70",
    ]
