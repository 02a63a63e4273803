"""What the page of model health asks, as analytics has it."""

from __future__ import annotations

import pytest

from sql.connect import Connection
from sql.plant.sites import rows_of
from sql.queries import load
from tests.support.hours import BEGIN, DAY, HOUR, HourlyPlant

pytestmark = pytest.mark.parametrize("engine", ["plain"], indirect=True)


def test_the_page_says_what_the_views_say(conn: Connection) -> None:
    """One camera that dims on day 16, beside one that does not; a second version."""
    plant = HourlyPlant(conn)
    plant.days(1, 15, camera="c1", events=120)
    plant.days(1, 16, camera="c2", events=120)
    plant.days(16, 16, camera="c1", events=120, mean=0.6)
    plant.days(14, 16, camera="c3", events=30, model="v2", mean=0.92)
    plant.check(BEGIN + 15 * DAY + 15 * HOUR)
    asked = load("dashboard")
    (kpis,) = rows_of(conn, asked["model_kpis"], {"site": "plant"})
    ((drifting, judged),) = conn.execute(
        "select count(*) filter (where bad), count(*) filter (where known) from ("
        " select bool_or(verdict = 'drifting') as bad,"
        " bool_or(verdict <> 'not enough data') as known from analytics.drift"
        " group by model_version, camera_id, signal) q"
    ).fetchall()
    assert (kpis["drifting"], kpis["judged"]) == (drifting, judged)
    assert drifting > 0
    assert (kpis["versions"], kpis["model_version"]) == (2, "v1")
    assert (kpis["validated"], kpis["accuracy"]) == (0, None)
    assert (
        kpis["alerts"]
        == conn.execute("select count(*) from analytics.alerts").fetchall()[0][0]
    )
    signals = rows_of(conn, asked["signals"], {"site": "plant"})
    found = {(s["camera_id"], s["signal"]): s["verdict"] for s in signals}
    assert found["c1", "confidence_drop"] == "drifting"
    assert found["c2", "confidence_drop"] == "ok"
    assert len(signals) == len(
        {(s["model_version"], s["camera_id"], s["signal"]) for s in signals}
    )
    v1, v2 = rows_of(conn, asked["confidence_days"], {"site": "plant"})
    assert (v1["model_version"], len(v1["days"])) == ("v1", 16)
    assert (v2["model_version"], len(v2["days"])) == ("v2", 3)
    ((mean,),) = conn.execute(
        "select sum(mean * events) / sum(events) from analytics.confidence_hourly"
        " where model_version = 'v1' and hour >= %s",
        (BEGIN + 15 * DAY,),
    ).fetchall()
    assert v1["means"][-1] == pytest.approx(mean)
    cameras = rows_of(conn, asked["camera_days"], {"site": None})
    assert {c["camera_id"] for c in cameras} == {"c1", "c2", "c3"}
    baselines = rows_of(conn, asked["baselines"], {"site": "plant"})
    assert [b["model_version"] for b in baselines] == ["v1"]
    compared = rows_of(conn, asked["comparison"], {"site": "plant"})
    assert {(m["version_a"], m["version_b"]) for m in compared} == {("v1", "v2")}


def test_a_site_without_models_has_figures_and_nothing_else(conn: Connection) -> None:
    HourlyPlant(conn)
    asked = load("dashboard")
    (kpis,) = rows_of(conn, asked["model_kpis"], {"site": "plant"})
    assert (kpis["alerts"], kpis["judged"], kpis["confidence"]) == (0, 0, None)
    for name in ("confidence_days", "signals", "versions", "comparison", "retraining"):
        assert rows_of(conn, asked[name], {"site": "plant"}) == []
