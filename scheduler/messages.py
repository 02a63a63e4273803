"""From rows of the outbox to one message: one alert, several, a shift's summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from scheduler.post import Kind, Message
from scheduler.wording import Clock, Row, headline, length, numbers, plain, to_do

MOST_ALERTS = 20
LONGEST_TITLE = 150
LONGEST_NOTE = 500
TAGS = {
    "opened": "New",
    "reopened": "Back again",
    "woken": "Still there",
    "acknowledged": "Taken",
    "snoozed": "Put off",
    "resolved": "Over",
}


@dataclass(frozen=True, slots=True)
class Digest:
    """The shift that `row` names, its alerts, and counts of what came in."""

    row: Row
    alerts: Sequence[Row]
    counts: Row


def compose(
    rows: Sequence[Row], digests: Sequence[Digest], base_url: str | None
) -> Message:
    """One message of all that is due: the last word on every alert, then the digests.

    rows are those of query `contents` that tell of alerts, the oldest first.
    """
    stories = _stories(rows)
    parts = [_one(stories[0], base_url)] if len(stories) == 1 else []
    parts += [_many(stories, base_url)] if len(stories) > 1 else []
    parts += [_digest(digest, base_url) for digest in digests]
    if len(parts) == 1:
        return parts[0]
    title = f"{parts[0].title}, and {len(parts) - 1} more"
    body = "\n\n".join(f"{part.title}\n{part.body}" for part in parts)
    return Message(_title(title), body, parts[0].kind)


def trial_message(channel: str, base_url: str | None) -> Message:
    """What `floorpulse alerts test-channel` says."""
    lines = [
        f"This is a test of the channel {channel}. Alerts will come here.",
        *_link(base_url, None),
    ]
    return Message(f"Test of the channel {channel}", "\n".join(lines), "info")


def _stories(rows: Sequence[Row]) -> list[Row]:
    """The last word on every alert, the worst first."""
    last = {row["alert_id"]: row for row in rows}
    return sorted(
        last.values(),
        key=lambda row: (
            row["transition"] == "resolved",
            row["severity"] != "critical",
            row["opened_at"],
        ),
    )


def _one(row: Row, base_url: str | None) -> Message:
    clock = Clock(row["timezone"])
    said = headline(row["signal"], plain(row["subject"]))
    over = row["transition"] == "resolved"
    lines = [
        f"What: {_sentence(said)}" + (" This is over." if over else ""),
        f"Where: {_site(row)}",
        f"Since: {clock.at(row['opened_at'])} ({row['timezone']})"
        + (f", until {clock.at(row['resolved_at'])}" if _ended(row) else ""),
        f"Numbers: {numbers(row['signal'], row['detail'], clock)}.",
        *_answered(row, clock),
    ]
    if not over:
        lines.append(f"To do: {to_do(row['signal'])}")
    if row["alert_state"] in ("open", "snoozed"):
        lines.append(
            f"To say that you are at it: floorpulse alerts ack {row['alert_id']}"
        )
    lines += _link(base_url, row["site_id"])
    return Message(
        _title(f"{_opening(row)}: {said}", row), "\n".join(lines), _kind([row])
    )


def _many(stories: Sequence[Row], base_url: str | None) -> Message:
    sites = {row["site_id"]: row for row in stories}
    shown = stories[:MOST_ALERTS]
    lines = [
        _line(row, TAGS[row["transition"]], with_site=len(sites) > 1) for row in shown
    ]
    if len(stories) > len(shown):
        lines.append(f"... and {len(stories) - len(shown)} more.")
    lines.append("All of them: floorpulse alerts list")
    lines += _link(base_url, next(iter(sites)) if len(sites) == 1 else None)
    over = sum(row["transition"] == "resolved" for row in stories)
    critical = sum(
        row["severity"] == "critical" and row["transition"] != "resolved"
        for row in stories
    )
    counts = f"{len(stories)} alerts"
    counts += f", {critical} critical" if critical else ""
    counts += f", {over} over" if over else ""
    where = plain(stories[0]["site_name"]) if len(sites) == 1 else f"{len(sites)} sites"
    return Message(_title(f"{where}: {counts}"), "\n".join(lines), _kind(stories))


def _digest(digest: Digest, base_url: str | None) -> Message:
    row, clock = digest.row, Clock(digest.row["timezone"])
    still = [a for a in digest.alerts if a["alert_state"] != "resolved"]
    over = [a for a in digest.alerts if a["alert_state"] == "resolved"]
    lines = [
        f"{_site(row)}, {clock.at(row['digest_from'])} to "
        f"{clock.at(row['digest_to'])} ({row['timezone']})"
    ]
    for name, alerts in (("Open", still), ("Over", over)):
        if alerts:
            lines.append(f"{name}:")
            lines += [
                _line({**row, **alert}, "New" if alert["is_new"] else name)
                for alert in alerts[:MOST_ALERTS]
            ]
        if len(alerts) > MOST_ALERTS:
            lines.append(f"... and {len(alerts) - MOST_ALERTS} more.")
    if not digest.alerts:
        lines.append("No alert was open.")
    stored, parked = digest.counts["stored"], digest.counts["parked"]
    lines.append(f"Events that came in: {stored:,}; rejected: {parked:,}.")
    lines += _link(base_url, row["site_id"])
    shift = plain(row["digest_shift"])
    opened = f"{len(still)} open" if still else "nothing open"
    title = f"{plain(row['site_name'])}: end of shift {shift}, {opened}"
    return Message(_title(title), "\n".join(lines), "info")


def _line(row: Row, tag: str, *, with_site: bool = False) -> str:
    clock = Clock(row["timezone"])
    critical = ", critical" if row["severity"] == "critical" else ""
    where = f" at {plain(row['site_name'])}" if with_site else ""
    until = f" until {clock.at(row['resolved_at'])}" if _ended(row) else ""
    answered = "".join(f" {line}." for line in _answered(row, clock))
    return (
        f"- {tag}{critical}: {headline(row['signal'], plain(row['subject']))}{where}, "
        f"since {clock.at(row['opened_at'])}{until}. "
        f"{numbers(row['signal'], row['detail'], clock)}.{answered} "
        f"(alert {row['alert_id']})"
    )


def _opening(row: Row) -> str:
    severity = str(row["severity"]).capitalize()
    match row["transition"]:
        case "opened":
            return severity
        case "reopened":
            return f"{severity}, back again"
        case "woken":
            return f"{severity}, still there"
        case "acknowledged":
            return f"{_who(row)} is at it"
        case "snoozed":
            return f"Put off by {_who(row)}"
        case _:
            return "Over"


def _answered(row: Row, clock: Clock) -> list[str]:
    """What people said about it, and how it ended."""
    told = []
    if row["acknowledged_by"] and row["alert_state"] != "resolved":
        told.append(f"At it: {plain(row['acknowledged_by'])}")
    if row.get("transition") == "resolved":
        by = f"by {_who(row)}" if row.get("who") else "the checks find nothing any more"
        lasted = (row["resolved_at"] or row["at"]) - row["opened_at"]
        told.append(f"Ended: {by}, after {length(lasted.total_seconds())}")
    elif row["alert_state"] == "resolved" and row.get("transition"):
        told.append(f"Over meanwhile: since {clock.at(row['resolved_at'])}")
    if row.get("note"):
        told.append(f"Note: {plain(row['note'])[:LONGEST_NOTE]}")
    return told


def _ended(row: Row) -> bool:
    return row["alert_state"] == "resolved" and row["resolved_at"] is not None


def _kind(stories: Sequence[Row]) -> Kind:
    going_on = [row for row in stories if row["transition"] != "resolved"]
    if not going_on:
        return "success"
    worst = any(row["severity"] == "critical" for row in going_on)
    return "failure" if worst else "warning"


def _site(row: Row) -> str:
    name, site = plain(row["site_name"]), plain(row["site_id"])
    return name if name == site else f"{name} ({site})"


def _who(row: Row) -> str:
    return plain(row["who"] or "somebody")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _title(text: str, row: Row | None = None) -> str:
    where = f" - {plain(row['site_name'])}" if row is not None else ""
    return f"{text}{where}"[:LONGEST_TITLE]


def _link(base_url: str | None, site: str | None) -> list[str]:
    if base_url is None:
        return []
    search = f"?{urlencode({'site': site})}" if site is not None else ""
    return [f"Dashboard: {base_url.rstrip('/')}/{search}"]
