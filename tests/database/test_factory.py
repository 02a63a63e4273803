"""Factory views say the same as the factory functions, hour by hour and day by day."""

from __future__ import annotations

import pytest
from psycopg.rows import dict_row

from sql.connect import connect

HOURS = "select * from analytics.factory_hourly where site_id = 'demo' order by hour"
HOUR = "select * from analytics.factory_metrics('demo', %(at)s, %(at)s + '1 hour')"
DAYS = "select * from analytics.factory_daily where site_id = 'demo' order by 2"
DAY = "select * from analytics.factory_metrics_by_date('demo', %(at)s, %(at)s)"


@pytest.mark.parametrize(
    ("view", "key", "function", "least"),
    [(HOURS, "hour", HOUR, 20), (DAYS, "production_date", DAY, 2)],
)
def test_view_and_function_agree(
    refreshed_dsn: str, view: str, key: str, function: str, least: int
) -> None:
    with (
        connect(refreshed_dsn) as conn,
        conn.cursor(row_factory=dict_row) as cursor,
    ):
        rows = cursor.execute(view.encode()).fetchall()
        assert len(rows) >= least
        for row in rows:
            cursor.execute(function.encode(), {"at": row[key]})
            told = cursor.fetchone()
            assert told is not None
            # Means may differ in the last digit: their terms come in another order.
            assert [row[name] for name in told] == [
                value if value is None else pytest.approx(value, rel=1e-12)
                for value in told.values()
            ], row[key]


def test_means_that_nobody_asks_for_are_not_computed(refreshed_dsn: str) -> None:
    with connect(refreshed_dsn) as conn:
        plan = conn.execute(
            "explain select hour, units, weighted_utilization"
            " from analytics.factory_hourly where site_id = 'demo'"
        ).fetchall()
    assert not any("a_1.worker_key" in str(line) for line in plan)
