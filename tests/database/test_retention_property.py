"""Any history, of which old events go in the middle: old numbers stay, others hold.

FLOORPULSE_EXAMPLES says how many histories each engine gets: here a fifteenth,
and only plain unless FLOORPULSE_TEST_EVERYWHERE is set.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from sql.connect import connect
from tests.database.test_properties import short_calendar
from tests.reference import Event, Truth, admit
from tests.support.kept import (
    Frozen,
    Numbers,
    differing,
    forget_before,
    kept_differences,
    numbers_before,
)
from tests.support.plant import Plant
from tests.support.scenarios import (
    ANCHORS,
    ROTAS,
    Load,
    Refresh,
    Scenario,
    Step,
    as_text,
    changes,
    happenings,
)
from tests.support.scenarios import (
    settings as some_settings,
)
from tests.support.wallclock import DAY, HOUR, Settings

EXAMPLES = max(2, int(os.environ.get("FLOORPULSE_EXAMPLES", "30")) // 15)
NUMBERS = count(1)
__all__ = ["short_calendar"]


@st.composite
def lives(draw: st.DrawFn) -> tuple[Scenario, tuple[Step, ...], int, int]:
    """What happens before old events go, what after, which are kept, and now."""
    zone = draw(st.sampled_from(sorted(ANCHORS)))
    anchor = draw(st.sampled_from(ANCHORS[zone]))
    hours = draw(st.lists(st.integers(-130, 24), min_size=3, max_size=6))
    first = Settings(draw(some_settings(timezone=zone)))
    shifts = tuple(draw(st.sampled_from(ROTAS)))
    cap_s = int(str(first.values.get("max_state_s", 600)))
    happened = draw(happenings(anchor, [-131, *hours], cap_s))
    kept_from = (anchor // DAY + draw(st.sampled_from([-1, 0, 0, 1]))) * DAY
    late = draw(st.sets(st.sampled_from(happened)))
    late = {e for e in late if e.time >= kept_from}
    early = [e for e in happened if e not in late]
    last = max(kept_from, *(e.time for e in happened))
    nows = st.sampled_from([last, last + HOUR, last + 30 * HOUR])
    before: list[Step] = [load(early, zone)]
    before += draw(st.lists(changes(zone, anchor, hours, shifts), max_size=1))
    after: list[Step] = draw(st.lists(changes(zone, anchor, hours, shifts), max_size=2))
    after += [Refresh(draw(st.integers(kept_from, last + HOUR)))]
    after.insert(draw(st.integers(0, len(after))), load(sorted(late, key=key), zone))
    arrivals = (*early, *sorted(late, key=key))
    scenario = Scenario(first, shifts, tuple(before), draw(nows), arrivals)
    return scenario, tuple(after), kept_from, draw(nows)


def key(event: Event) -> tuple[object, ...]:
    return event.identity


def load(events: list[Event], zone: str) -> Load:
    return Load(tuple((e, as_text(e, zone, naive=False)) for e in events))


def truth_of(scenario: Scenario, after: tuple[Step, ...], kept: int, now: int) -> Truth:
    """The calendar of before the mark is that of when it was set."""
    steps = (*scenario.steps, *after)
    whole = Scenario(scenario.settings, scenario.shifts, steps, now, scenario.arrivals)
    calendar = Frozen(scenario.truth().calendar, whole.truth().calendar, kept)
    return Truth(admit(scenario.arrivals).events, calendar, now)


def register(conn: psycopg.Connection, site: str, scenario: Scenario) -> None:
    """Who comes later is listed before, too: with nothing done."""
    for kind in ("worker", "workstation"):
        ids = sorted({getattr(event, kind) for event in scenario.arrivals})
        query = sql.SQL(
            "select floor.{}(site_key, %s, true) from floor.sites where site_id = %s"
        )
        name = sql.Identifier(f"register_{kind}s")
        conn.execute(query.format(name), (ids, site))


@pytest.mark.plain
def test_any_history_of_which_old_events_go(common_dsn: str, tmp_path: Path) -> None:
    """Sites of one database and time: what one restates leaves others alone."""
    stood: list[tuple[str, int, Numbers]] = []

    @given(life=lives())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def live(life: tuple[Scenario, tuple[Step, ...], int, int]) -> None:
        scenario, after, kept, now = life
        plant = Plant(common_dsn, f"kept-{next(NUMBERS)}", tmp_path)
        plant.live(scenario)
        with connect(common_dsn) as conn:
            roll_up = "select floor.roll_up_models(site_key, 20000) from floor.sites"
            conn.execute(roll_up)
            register(conn, plant.site, scenario)
            before = numbers_before(conn, plant.site, kept)
        forget_before(common_dsn, plant.site, kept)
        for step in after:
            plant.take(step)
        plant.refresh(now)
        # A site of which nothing was old enough goes on as any other.
        with connect(common_dsn) as conn:
            row = conn.execute(
                "select floor.kept_from(site_key) is null from floor.sites"
                " where site_id = %s",
                (plant.site,),
            ).fetchone()
            if row == (True,):
                return
            assert differing(before, numbers_before(conn, plant.site, kept)) == []
            truth = truth_of(scenario, after, kept, now)
            assert kept_differences(conn, plant.site, truth, kept) == []
        stood.append((plant.site, kept, before))

    live()
    with connect(common_dsn) as conn:
        for site, kept, before in stood:
            assert differing(before, numbers_before(conn, site, kept)) == []
