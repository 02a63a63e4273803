"""The command line before any database: values, help, environment, wrong use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

import cli
from commands import values
from commands.output import shown
from sql.plant.calendar import Break

COMMANDS = {
    "up",
    "db",
    "load",
    "refresh",
    "site",
    "shift",
    "worker",
    "workstation",
    "serve",
    "schedule",
    "simulate",
    "metrics",
    "rejects",
    "key",
    "export",
    "doctor",
    "drift",
    "alerts",
    "edge",
}


def options(command: Any, path: str = "floorpulse") -> Iterator[tuple[str, Any]]:
    """Every option of every command, with the command's name."""
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield path, parameter
    for name, child in getattr(command, "commands", {}).items():
        yield from options(child, f"{path} {name}")


OPTIONS = [
    pytest.param(path, parameter, id=f"{path} {parameter.opts[0]}")
    for path, parameter in options(get_command(cli.app))
    # --install-completion and --show-completion are acts, and no settings.
    if not parameter.is_eager and "completion" not in parameter.opts[0]
]


def test_the_commands_of_the_interface_are_there() -> None:
    assert {*get_command(cli.app).commands} >= COMMANDS  # type: ignore[attr-defined]


@pytest.mark.parametrize(("path", "parameter"), OPTIONS)
def test_every_option_is_a_variable_that_help_shows(path: str, parameter: Any) -> None:
    option = parameter.opts[0]
    variable = "FLOORPULSE_" + option.removeprefix("--").replace("-", "_").upper()
    assert parameter.envvar == variable
    result = CliRunner().invoke(cli.app, [*path.split()[1:], "--help"])
    assert variable in result.stdout.replace("\n", "").replace(" ", "")


def test_help_loads_nothing_heavy() -> None:
    """A newcomer's first command, and every completion, must come at once."""
    said = subprocess.run(
        [sys.executable, "-X", "importtime", cli.__file__, "--help"],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(cli.__file__).parent,
    )
    assert "load" in said.stdout
    loaded = {line.split("|")[-1].strip() for line in said.stderr.splitlines()}
    heavy = {"polars", "numpy", "pandas", "psycopg", "dash", "fastapi", "rich"}
    assert not heavy & loaded


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-fri", (0, 1, 2, 3, 4)),
        ("mon,tue", (0, 1)),
        ("Mon-Wed, sat", (0, 1, 2, 5)),
        ("sat-mon", (0, 5, 6)),
        ("sunday", (6,)),
        ("mon-sun", (0, 1, 2, 3, 4, 5, 6)),
    ],
)
def test_weekdays(text: str, days: tuple[int, ...]) -> None:
    assert values.weekdays(text) == days
    assert values.weekdays(values.days_text(days)) == days


@pytest.mark.parametrize(
    ("text", "minutes"), [("8h", 480), ("480m", 480), ("7h30m", 450), ("24h", 1440)]
)
def test_lengths(text: str, minutes: int) -> None:
    assert values.length(text) == minutes


def test_breaks() -> None:
    assert values.pause("12:00+30m") == Break(720, 30)
    assert values.pause("2:00+1h") == Break(120, 60)


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (values.weekdays, "mon-foo", "--days|weekdays"),
        (values.weekdays, "", "weekdays"),
        (values.length, "8", "is no length"),
        (values.length, "h", "is no length"),
        (values.length, "", "is no length"),
        (values.minute_of_day, "24:00", "is no time of day"),
        (values.minute_of_day, "6", "is no time of day"),
        (values.pause, "12:00", "is no break"),
    ],
)
def test_values_that_nobody_can_read(read: Any, text: str, said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        read(text)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("utilization", 0.58333, "58.3 %"),
        ("working_s", 3909.4, "1:05:09"),
        ("units_per_hour", 42.857, "42.86"),
        ("events_per_s", 5000.0, "5000"),
        ("utilization", None, "\N{EN DASH}"),
        ("count_breaks", True, "yes"),
    ],
)
def test_how_values_are_shown(name: str, value: object, text: str) -> None:
    assert shown(name, value) == text


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["refresh", "--now", "2026-03-02T12:00Z"],
        ["shift", "add", "plant", "day", "--days", "x", "--start", "6:00"],
        ["shift", "change", "plant", "day"],
        ["site", "set", "plant", "--count-breaks", "maybe"],
        ["site", "set", "plant", "--timezone", "Berlin"],
        ["export", "worker_hourly", "--format", "xls"],
        ["load"],
    ],
)
def test_wrong_use_is_exit_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 2, result.output
    assert "Error" in result.stderr
    assert result.stdout == ""


def commands(command: Any, path: str = "") -> Iterator[str]:
    """Every command that does something, by its full name."""
    children = getattr(command, "commands", {})
    if not children:
        yield path.strip()
    for name, child in children.items():
        yield from commands(child, f"{path} {name}")


@pytest.mark.parametrize("name", sorted(commands(get_command(cli.app))))
def test_every_command_is_in_the_docs(name: str) -> None:
    text = (Path(cli.__file__).parent / "docs" / "cli.md").read_text("utf-8")
    group, _, command = name.partition(" ")
    assert group in text
    assert f"`floorpulse {name}" in text or f"`{command}`" in text or name in text


def test_lists_of_commands_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = CliRunner().invoke(cli.app, ["--help"]).output
    said = " ".join(shown.split())
    assert "twice is harmless, and what was cut off is continued." in said
    assert "..." not in shown.replace("[ARGS]...", "")


def test_it_tells_its_version() -> None:
    assert CliRunner().invoke(cli.app, ["-V"]).output.startswith("floorpulse 0.")
