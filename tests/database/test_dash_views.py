"""What the dashboard asks of analytics agrees with the metric functions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from etl.simulation.options import SimulatorOptions
from etl.simulation.simulator import Told, run
from scheduler.refresh import refresh_site
from sql.connect import connect

SITE = "p"


@pytest.fixture(scope="module")
def plant(common_dsn: str) -> Iterator[Any]:
    """Three days of three workers."""
    stop = threading.Event()

    def until_caught_up(told: Told) -> None:
        if told.caught_up:
            stop.set()

    options = SimulatorOptions(site=SITE, hours=72, workers=3, timezone="Europe/Berlin")
    run(common_dsn, options, stop, until_caught_up)
    refresh_site(common_dsn, SITE)
    with connect(common_dsn) as conn:
        conn.row_factory = dict_row  # type: ignore[assignment]
        yield conn


def one(conn: Any, query: str, *values: object) -> dict[str, Any]:
    row = conn.execute(query, values).fetchone()
    assert row is not None
    return dict(row)


def period(conn: Any, name: str, *rest: object) -> dict[str, Any]:
    marks = ", ".join(["%s"] * (2 + len(rest)))
    query = f"select * from analytics.dashboard_period({marks})"  # noqa: S608
    return one(conn, query, SITE, name, *rest)


@pytest.mark.parametrize("name", ["shift", "today", "yesterday", "7d", "30d"])
def test_cards_are_the_factorys_metrics(plant: Any, name: str) -> None:
    shown = one(plant, "select * from analytics.dashboard_kpis(%s, %s)", SITE, name)
    dates = period(plant, name)
    expected = one(
        plant,
        "select * from analytics.factory_metrics_by_date(%s, %s, %s, %s)",
        SITE,
        dates["from_date"],
        dates["to_date"],
        dates["shift_name"],
    )
    both = shown.keys() & expected.keys()
    assert len(both) == 7
    assert {k: shown[k] for k in both} == {k: expected[k] for k in both}


def test_the_change_of_a_whole_period_is_against_the_one_before(plant: Any) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    window = hour - timedelta(hours=24), hour
    shown = one(
        plant,
        "select * from analytics.dashboard_kpis(%s, 'custom', null, %s, %s)",
        SITE,
        *window,
    )
    query = "select * from analytics.factory_metrics(%s, %s, %s)"
    now = one(plant, query, SITE, *window)
    before = one(plant, query, SITE, *(at - timedelta(hours=24) for at in window))
    assert shown["units"] == now["units"]
    assert shown["units_change"] == pytest.approx(now["units"] / before["units"] - 1)
    assert shown["weighted_utilization_change"] == pytest.approx(
        now["weighted_utilization"] - before["weighted_utilization"]
    )


def test_nothing_is_compared_with_a_time_before_the_first_event(plant: Any) -> None:
    shown = one(plant, "select * from analytics.dashboard_kpis(%s, '30d')", SITE)
    assert shown["units"] > 0
    assert shown["units_change"] is None
    assert shown["active_workers_change"] is None


def test_the_trend_adds_up_to_the_cards(plant: Any) -> None:
    dates = period(plant, "7d")
    for step in ("hour", "day"):
        rows = plant.execute(
            "select * from analytics.dashboard_trend(%s, %s, %s, null, null, null, %s)",
            (SITE, dates["from_date"], dates["to_date"], step),
        ).fetchall()
        cards = one(plant, "select * from analytics.dashboard_kpis(%s, '7d')", SITE)
        for column in ("units", "working_s", "occupied_s", "operating_s"):
            total = sum(row[column] for row in rows)
            assert total == pytest.approx(cards[column], abs=1e-3)


def test_the_leaderboard_is_worker_metrics_of_those_who_were_seen(plant: Any) -> None:
    dates = period(plant, "7d")
    shown = plant.execute(
        "select * from analytics.dashboard_leaderboard(%s, %s, %s, null, null, null)",
        (SITE, dates["from_date"], dates["to_date"]),
    ).fetchall()
    expected = plant.execute(
        "select * from analytics.worker_metrics_by_date(%s, %s, %s)",
        (SITE, dates["from_date"], dates["to_date"]),
    ).fetchall()
    by_id = {row["worker_id"]: row for row in expected}
    assert {row["worker_id"] for row in shown} == set(by_id)
    for row in shown:
        other = by_id[row["worker_id"]]
        for column in ("utilization", "units", "working_s", "idle_s", "break_s"):
            assert row[column] == other[column]
        # Of a whole week a worker is mostly unobserved, of their own shifts hardly.
        assert 0 <= row["unobserved_s"] < other["unobserved_s"] / 5


def test_the_heatmap_adds_up_to_the_workstations(plant: Any) -> None:
    dates = period(plant, "7d")
    span = (SITE, dates["from_date"], dates["to_date"])
    for by_time_of_day in (True, False):
        rows = plant.execute(
            "select workstation_id, sum(occupied_s) as occupied_s,"
            " sum(scheduled_s) as scheduled_s"
            " from analytics.dashboard_heatmap(%s, %s, %s, null, null, null, %s)"
            " group by workstation_id order by workstation_id",
            (*span, by_time_of_day),
        ).fetchall()
        expected = plant.execute(
            "select * from analytics.workstation_metrics_by_date(%s, %s, %s)", span
        ).fetchall()
        assert len(rows) == len(expected)
        for row, bench in zip(rows, expected, strict=True):
            assert row["occupied_s"] == pytest.approx(bench["occupied_s"], abs=1e-3)
            assert row["scheduled_s"] == pytest.approx(bench["scheduled_s"], abs=1e-3)


def test_bands_are_shifts_and_the_breaks_in_them(plant: Any) -> None:
    dates = period(plant, "yesterday")
    bands = plant.execute(
        "select * from analytics.dashboard_bands(%s, %s, %s)",
        (SITE, dates["starts_at"], dates["ends_at"]),
    ).fetchall()
    kinds = [(band["kind"], band["shift"]) for band in bands]
    assert sorted(kinds) == [
        ("break", "early"),
        ("break", "late"),
        ("shift", "early"),
        ("shift", "late"),
    ]
    assert all(band["starts_at"] < band["ends_at"] for band in bands)


def test_an_unknown_site_or_shift_is_refused_in_words(plant: Any) -> None:
    query = "select * from analytics.dashboard_kpis(%s, 'today', %s)"
    for site, shift in (("nowhere", None), (SITE, "graveyard")):
        with pytest.raises(psycopg.errors.NoDataFound, match="there is no"):
            plant.execute(query, (site, shift))


def test_a_pseudonym_stands_for_name_and_id(plant: Any) -> None:
    dates = period(plant, "7d")
    plant.execute(
        "update floor.workers set name = 'Maria', pseudonym = 'Heron'"
        " where worker_id = 'W02'"
    )
    rows = plant.execute(
        "select worker_id, name"
        " from analytics.dashboard_leaderboard(%s, %s, %s, null, null, null)",
        (SITE, dates["from_date"], dates["to_date"]),
    ).fetchall()
    shown = {(row["worker_id"], row["name"]) for row in rows}
    assert shown == {("W01", "W01"), ("Heron", "Heron"), ("W03", "W03")}
