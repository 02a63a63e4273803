-- name: sites --
-- Sites in order of their names.
select site_id, name, timezone, shifts, now, refreshed_at
from analytics.dashboard_sites
order by name, site_id;

-- name: period --
-- A range as dates or a window, and the period before it.
select *
from analytics.dashboard_period(
    %(site)s, %(range)s, %(shift)s, %(from_time)s, %(to_time)s);

-- name: kpis --
-- The figures of the cards and their change.
select *
from analytics.dashboard_kpis(
    %(site)s, %(range)s, %(shift)s, %(from_time)s, %(to_time)s);

-- name: trend --
-- Steps of the period that hold anything.
select *
from analytics.dashboard_trend(
    %(site)s, %(from_date)s, %(to_date)s, %(window_from)s, %(window_to)s, %(shift)s, %(step)s);

-- name: bands --
-- Shifts and breaks to shade behind the trend.
select *
from analytics.dashboard_bands(%(site)s, %(starts_at)s, %(ends_at)s);

-- name: leaderboard --
-- Workers that were seen, the highest utilization first.
select *
from analytics.dashboard_leaderboard(
    %(site)s, %(from_date)s, %(to_date)s, %(window_from)s, %(window_to)s, %(shift)s)
order by utilization desc nulls last, units desc, site_id, worker_id;

-- name: heatmap --
-- Workstations by hour, or by time of day.
select *
from analytics.dashboard_heatmap(
    %(site)s, %(from_date)s, %(to_date)s, %(window_from)s, %(window_to)s, %(shift)s,
    %(by_time_of_day)s);

-- name: last_date --
-- The last production date with anything counted.
select analytics.dashboard_last_date(%(site)s) as last_date;

-- name: freshness --
-- Each stage's slowest site among those asked; ok only if all are.
select distinct on (f.stage)
    f.stage, f.site_id, f.last_at, f.lag_s, bool_and(f.ok) over (partition by f.stage) as ok,
    f.progress
from analytics.freshness f
where %(site)s::text is null or f.site_id = %(site)s
order by f.stage, f.ok, f.lag_s desc nulls first;

-- name: engine --
-- What the installation runs on.
select server_version, timescaledb_version, hypertables, continuous_aggregates
from analytics.dashboard_engine;
