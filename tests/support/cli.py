"""The command line, run as a person runs it but in this process."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

import cli


def floorpulse(
    dsn: str, *arguments: str, exit_code: int = 0, stdin: str | bytes | None = None
) -> Result:
    """Run a command on a database and check how it ended."""
    settings = {"FLOORPULSE_DSN": dsn}
    result = CliRunner().invoke(cli.app, list(arguments), input=stdin, env=settings)
    assert result.exit_code == exit_code, result.output
    return result


def json_of(
    dsn: str, *arguments: str, exit_code: int = 0, stdin: str | bytes | None = None
) -> dict[str, Any]:
    """The one JSON object that a command prints."""
    result = floorpulse(dsn, *arguments, "--json", exit_code=exit_code, stdin=stdin)
    told: dict[str, Any] = json.loads(result.stdout)
    return told
