"""The checks of `floorpulse doctor`, each a function from the database to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from commands.output import duration
from commands.session import is_local

if TYPE_CHECKING:
    from sql.connect import Connection

Level = Literal["ok", "note", "wrong"]
# A site whose last refresh is older than this has a scheduler that does not come round.
IDLE_S = 60.0
PARKED_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; `to_do` is empty where nothing is to be done."""

    check: str
    level: Level
    found: str
    to_do: str = ""

    def as_dict(self) -> dict[str, str]:
        """The finding for JSON."""
        return asdict(self)


Check = Callable[["Connection"], Iterator[Finding]]


def examine() -> list[Finding]:
    """All findings. What needs a server or a schema is left out where there is none."""
    from sql.connect import connect, place_of, resolve_dsn
    from sql.errors import FloorpulseError
    from sql.migrate import status

    try:
        dsn = resolve_dsn()
        state = status(dsn)
        conn = connect(dsn)
    except FloorpulseError as error:
        return [Finding("server", "wrong", error.message)]
    findings = [Finding("server", "ok", f"{place_of(dsn)} answers")]
    with conn:
        if not state.applied or state.pending:
            return [*findings, _not_migrated(bool(state.applied))]
        if state.stale:
            stale = f"{len(state.stale)} routines or views are not this version's"
            findings.append(Finding("schema", "wrong", stale, MIGRATE))
        else:
            findings.append(Finding("schema", "ok", "this version's"))
        for check in CHECKS:
            findings += check(conn)
    return [*findings, *_disk()]


MIGRATE = "Run `floorpulse db migrate`."


def _not_migrated(applied: bool) -> Finding:
    found = "older than this version" if applied else "not there yet"
    return Finding("schema", "wrong", found, MIGRATE)


def _rows(conn: Connection, query: str) -> list[dict[str, Any]]:
    from sql.plant.sites import rows_of
    from sql.queries import load

    return rows_of(conn, load("doctor")[query], {})


def roles(conn: Connection) -> Iterator[Finding]:
    """Roles that analysts, the dashboard and ingestion log in as."""
    missing = [row["name"] for row in _rows(conn, "roles")]
    if missing:
        to_do = "Let a superuser run `floorpulse db migrate` once."
        found = f"missing on this server: {', '.join(missing)}"
        yield Finding("roles", "note", found, to_do)


def engine(conn: Connection) -> Iterator[Finding]:
    """A server that could do more than this installation uses."""
    from commands.db_status import could_do_more
    from sql.connect import server_facts

    facts = server_facts(conn)
    more = could_do_more(conn, facts)
    for sentence in more:
        yield Finding("engine", "note", sentence)
    if not more:
        extension = (
            f", TimescaleDB {facts.timescaledb} ({facts.license})"
            if facts.timescaledb
            else ""
        )
        yield Finding("engine", "ok", f"PostgreSQL {facts.version}{extension}")


def scheduler(conn: Connection) -> Iterator[Finding]:
    """Whether somebody refreshes and keeps house, and which jobs fail."""
    jobs = _rows(conn, "jobs")
    start = "Run `floorpulse schedule`, or `floorpulse up`."
    if not jobs:
        yield Finding("scheduler", "wrong", "it has never run here", start)
        return
    late = [job for job in jobs if not job["ok"]]
    heartbeat = next((job for job in late if job["job"] == "heartbeat"), None)
    if heartbeat is not None:
        last = heartbeat["last_ok_at"]
        found = (
            f"it does not run; last seen {last:%Y-%m-%d %H:%M} UTC"
            if last
            else ("it does not run")
        )
        yield Finding("scheduler", "wrong", found, start)
        return
    for job in late:
        said = f"job {job['job']} is late"
        if job["last_error"]:
            said = f"job {job['job']} fails: {job['last_error']}"
        yield Finding("scheduler", "wrong", said, "The scheduler's log tells more.")
    if not late:
        yield Finding("scheduler", "ok", f"{len(jobs)} jobs run in time")


def freshness(conn: Connection) -> Iterator[Finding]:
    """Sites whose metrics lag behind."""
    rows = _rows(conn, "freshness")
    for row in rows:
        lag = "never" if row["lag_s"] is None else f"{duration(row['lag_s'])} ago"
        found = f"site {row['site_id']}: {row['stage']} {lag}"
        to_do = "Start the scheduler, or run `floorpulse refresh`."
        yield Finding("freshness", "wrong", found, to_do)
    if not rows:
        yield Finding("freshness", "ok", "every site is up to date")


def backlog(conn: Connection) -> Iterator[Finding]:
    """Work that waits, and whether somebody is at it."""
    rows = _rows(conn, "backlog")
    for row in rows:
        since = row["since_cut_s"]
        waits = []
        if row["ranges"]:
            waits.append(f"{row['events']} events in {row['ranges']} ranges to cut")
        if row["hours"]:
            waits.append(f"{row['hours']} hours to aggregate")
        if row["restatements"]:
            done = (row["progress"] or 0.0) * 100
            waits.append(f"{row['restatements']} restatements, {done:.0f} % done")
        found = f"site {row['site_id']}: {', '.join(waits)}"
        if since is not None and since <= IDLE_S:
            yield Finding("backlog", "note", f"{found}; the refresh is at it")
        else:
            to_do = "Start the scheduler, or run `floorpulse refresh`."
            yield Finding("backlog", "wrong", found, to_do)
    if not rows:
        yield Finding("backlog", "ok", "nothing waits")


def retention(conn: Connection) -> Iterator[Finding]:
    """Sites whose old events should have gone."""
    for row in _rows(conn, "retention"):
        found = (
            f"site {row['site_id']}: events of before {row['goal']:%Y-%m-%d} are kept"
        )
        if row["waits_for"] is None:
            to_do = "The scheduler deletes them within the hour."
            yield Finding("retention", "note", found, to_do)
        else:
            to_do = f"They wait for {row['waits_for']}: see the jobs and the backlog."
            yield Finding("retention", "wrong", found, to_do)


def zones(conn: Connection) -> Iterator[Finding]:
    """Sites that were loaded before their time zone was set."""
    for row in _rows(conn, "zones"):
        site, events, timezone = row["site_id"], row["events"], row["timezone"]
        found = (
            f"site {site}: {events} events without an offset were read as UTC, for its "
            "time zone was not set"
        )
        to_do = (
            f"They stay as they were read. If they were not in UTC, set the zone of a "
            f"site of another name to {timezone or 'theirs'} and load them there."
        )
        if timezone is None:
            to_do += f" If they were: `floorpulse site set {site} --timezone UTC`."
        yield Finding("time zone", "wrong", found, to_do)


def parked(conn: Connection) -> Iterator[Finding]:
    """The share of events that broke a rule lately."""
    (row,) = _rows(conn, "parked")
    codes = ", ".join(f"{c['code']} {c['rows']}" for c in _rows(conn, "parked_codes"))
    if not row["parked"]:
        yield Finding("parked", "ok", "nothing in the last 24 hours")
        return
    share = row["parked"] / max(row["read"], 1)
    found = f"{share * 100:.1f} % of events in the last 24 hours ({codes})"
    level: Level = "wrong" if share > PARKED_SHARE else "note"
    to_do = "`floorpulse rejects list` shows them; mended, `rejects retry` sends them."
    yield Finding("parked", level, found, to_do)


def loads(conn: Connection) -> Iterator[Finding]:
    """Files that were not loaded to their end."""
    for row in _rows(conn, "loads_cut_off"):
        error = f": {row['error']}" if row["error"] else ""
        found = f"{row['source']} was not loaded to its end{error}"
        yield Finding("load", "wrong", found, "Load it again: it goes on where it was.")


def notifications(conn: Connection) -> Iterator[Finding]:
    """Channels that fail, messages that were given up, alerts nobody is told of."""
    from sql.model_health.channels import list_channels

    channels = list_channels(conn)
    (open_alerts,) = (row["alerts"] for row in _rows(conn, "open_alerts"))
    for channel in (c for c in channels if c["channel_state"] == "failing"):
        found = f"channel {channel['name']} fails: {channel['last_error']}"
        to_do = f"Mend it, then `floorpulse alerts test-channel {channel['name']}`."
        yield Finding("notifications", "wrong", found, to_do)
    given_up = sum(channel["given_up"] for channel in channels)
    if given_up:
        found = f"{given_up} messages were given up in the last 31 days"
        to_do = "`floorpulse alerts outbox --state failed` tells why; `alerts resend`."
        yield Finding("notifications", "note", found, to_do)
    if open_alerts and not any(c["enabled"] for c in channels):
        found = f"{open_alerts} alerts are not resolved, and nobody is told of any"
        to_do = "`floorpulse alerts channel add` says who is to be told."
        yield Finding("notifications", "note", found, to_do)
    elif channels and not given_up and all(not c["failures"] for c in channels):
        yield Finding("notifications", "ok", f"{len(channels)} channels")


def retraining(conn: Connection) -> Iterator[Finding]:
    """Exports that the pipeline or MLflow could not be told of."""
    for call in _rows(conn, "retraining_calls"):
        number, target = call["request_id"], call["target"]
        found = (
            f"request {number} of site {call['site_id']}: {target} was not told after "
            f"{call['attempts']} attempts: {call['last_error']}"
        )
        to_do = f"Mend it, then `floorpulse retraining send {number}`."
        if call["call_state"] == "given up":
            yield Finding("retraining", "wrong", found, to_do)
        else:
            again = (
                f"It is tried again at {call['next_at']:%Y-%m-%d %H:%M} UTC. {to_do}"
            )
            yield Finding("retraining", "note", found, again)


def _disk() -> Iterator[Finding]:
    """Room for the local server's data; nobody can ask a remote one."""
    if not is_local():
        return
    from sql import embedded
    from sql.storage import room_of

    folder = embedded.status().data_folder
    if folder is None:
        return
    room = room_of(folder)
    found = f"{room.free / 2**30:.1f} GB of {room.total / 2**30:.0f} GB free"
    if room.low:
        to_do = "Make room: a full disk stops the database."
        yield Finding("disk", "wrong", found, to_do)
    else:
        yield Finding("disk", "ok", found)


CHECKS: tuple[Check, ...] = (
    roles,
    engine,
    scheduler,
    freshness,
    backlog,
    retention,
    zones,
    parked,
    loads,
    notifications,
    retraining,
)
