"""`floorpulse doctor`: what is wrong with this installation, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from commands.options import Json
from commands.output import console, print_json

if TYPE_CHECKING:
    from commands.checks import Finding

SOMETHING_WRONG = 1
STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red"}


def doctor(as_json: Json = False) -> None:
    """Tell what is wrong with this installation, and how to mend it.

    Exit code 1 if something is wrong.
    """
    from commands.checks import examine

    findings = examine()
    well = all(finding.level != "wrong" for finding in findings)
    if as_json:
        print_json({"ok": well, "findings": [f.as_dict() for f in findings]})
    else:
        _show(findings)
    if not well:
        raise typer.Exit(SOMETHING_WRONG)


def _show(findings: list[Finding]) -> None:
    from rich.text import Text

    out = console()
    for finding in findings:
        line = Text()
        line.append(f"{finding.level:<6}", style=STYLES[finding.level])
        line.append(f"{finding.check}: {finding.found}")
        out.print(line, soft_wrap=True)
        if finding.to_do:
            out.print(Text(f"      {finding.to_do}"), soft_wrap=True)
