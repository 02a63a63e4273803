"""How parked events are mended, as options of the command line say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from etl.shape.mend import Mend

_SHIFT = re.compile(r"([+-]?)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d+)?)s)?")


def mend_of(
    replace: Sequence[str] | None, shift: str | None, scale: Sequence[str] | None
) -> Mend:
    """What --replace, --shift and --scale ask for."""
    from etl.shape.mend import Mend

    words: dict[str, dict[str, str]] = {}
    for said in replace or ():
        name, colon, change = said.partition(":")
        old, equals, new = change.partition("=")
        if not colon or not equals:
            raise typer.BadParameter(
                f"{said!r}: write it as worker_id:cam-7=W7", param_hint="--replace"
            )
        words.setdefault(name, {})[old] = new
    return Mend(
        words, _seconds(shift) if shift else 0.0, dict(map(_factor, scale or ()))
    )


def _seconds(text: str) -> float:
    found = _SHIFT.fullmatch(text.strip().lower())
    if found is None or not any(found.groups()[1:]):
        raise typer.BadParameter(
            f"{text!r} is no length: write it as 1h, -7h30m or 90s",
            param_hint="--shift",
        )
    hours, minutes, seconds = (float(part or 0) for part in found.groups()[1:])
    total = hours * 3600 + minutes * 60 + seconds
    return -total if found[1] == "-" else total


def _factor(said: str) -> tuple[str, float]:
    name, _, text = said.partition("=")
    try:
        return name, float(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{said!r}: write it as confidence=0.01", param_hint="--scale"
        ) from error
