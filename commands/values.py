"""Option values as people write them: weekdays, times of day, lengths, breaks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.model_health.channels import Quiet
    from sql.plant.calendar import Break

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FULL_DAYS = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
)
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def weekdays(text: str) -> tuple[int, ...]:
    """`mon-fri`, `mon,wed` or both mixed, as numbers from Monday; sat-mon wraps."""
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        low, high = _weekday(first, text), _weekday(last if dash else first, text)
        found |= {(low + i) % 7 for i in range((high - low) % 7 + 1)}
    return tuple(sorted(found))


def _weekday(word: str, text: str) -> int:
    for names in (DAYS, FULL_DAYS):
        if word in names:
            return names.index(word)
    raise typer.BadParameter(
        f"{text!r} names no weekdays: write mon-fri or mon,wed,fri", param_hint="--days"
    )


def days_text(numbers: Sequence[int]) -> str:
    """Weekday numbers as `weekdays` reads them; runs of three and more as a range."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [
        [f"{DAYS[run[0]]}-{DAYS[run[-1]]}"] if len(run) > 2 else [DAYS[n] for n in run]
        for run in runs
    ]
    return ",".join(word for run in words for word in run)


def minute_of_day(text: str, option: str = "--start") -> int:
    """`06:00` as minutes after midnight."""
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text.strip())
    if found is None:
        raise typer.BadParameter(
            f"{text!r} is no time of day: write it as 06:00", param_hint=option
        )
    return int(found[1]) * 60 + int(found[2])


def length(text: str, option: str = "--length") -> int:
    """`8h`, `480m`, `7h30m` or `2d` in minutes."""
    lengths = r"(?:(\d{1,2})d)?(?:(\d{1,3})h)?(?:(\d{1,5})m)?"
    found = re.fullmatch(lengths, text.strip().lower())
    if found is None or not any(found.groups()):
        raise typer.BadParameter(
            f"{text!r} is no length: write it as 8h, 480m, 7h30m or 2d",
            param_hint=option,
        )
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + minutes


def pause(text: str) -> Break:
    """`12:00+30m`: a break by its start and length."""
    from sql.plant.calendar import Break

    start, plus, duration = text.partition("+")
    if not plus:
        raise typer.BadParameter(
            f"{text!r} is no break: write it as 12:00+30m", param_hint="--break"
        )
    return Break(minute_of_day(start, "--break"), length(duration, "--break"))


def quiet_hours(text: str) -> Quiet:
    """`22:00-06:00` (every day), or `sat-sun 00:00-24:00`; 24:00 is the day's end."""
    from sql.model_health.channels import DAY_MIN, Quiet

    days, _, hours = text.strip().rpartition(" ")
    first, dash, last = hours.partition("-")
    if not dash:
        raise typer.BadParameter(
            f"{text!r} are no hours: write 22:00-06:00 or 'sat-sun 00:00-24:00'",
            param_hint="--quiet",
        )
    start = minute_of_day(first, "--quiet")
    end = DAY_MIN if last.strip() == "24:00" else minute_of_day(last, "--quiet")
    if start == end:
        raise typer.BadParameter(
            f"{text!r} begins when it ends: for whole days write 00:00-24:00",
            param_hint="--quiet",
        )
    on = weekdays(days) if days else tuple(range(len(DAYS)))
    return Quiet(on, start, (end - start) % DAY_MIN or DAY_MIN)


def truth(text: str, option: str) -> bool:
    """`true` or `false`."""
    word = text.strip().lower()
    if word not in TRUE + FALSE:
        raise typer.BadParameter(
            f"{text!r} is neither true nor false", param_hint=option
        )
    return word in TRUE


def account() -> str:
    """Who runs this command, for the record."""
    import getpass

    return getpass.getuser()
