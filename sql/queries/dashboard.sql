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
-- Steps of the period that hold anything. Brief: less than ten minutes, whose share is what
-- one of them happens to be, and no course.
select *, coalesce(occupied_s, 0) < 600 as brief
from analytics.dashboard_trend(
    %(site)s, %(from_date)s, %(to_date)s, %(window_from)s, %(window_to)s, %(shift)s, %(step)s);

-- name: bands --
-- Shifts and breaks to shade behind the trend.
select *
from analytics.dashboard_bands(%(site)s, %(starts_at)s, %(ends_at)s);

-- name: leaderboard --
-- Workers that were seen, the highest utilization first. Brief: less than ten minutes to judge
-- by; they stand below the others.
select *, working_s + idle_s < 600 as brief
from analytics.dashboard_leaderboard(
    %(site)s, %(from_date)s, %(to_date)s, %(window_from)s, %(window_to)s, %(shift)s)
order by working_s + idle_s < 600, utilization desc nulls last, units desc, site_id, worker_id;

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
-- Each stage's slowest site among those asked; ok only if all are. A site without events has
-- no time: it is the slowest only where nobody has one.
select distinct on (f.stage)
    f.stage, f.site_id, f.last_at, f.lag_s, bool_and(f.ok) over (partition by f.stage) as ok,
    f.progress
from analytics.freshness f
where %(site)s::text is null or f.site_id = %(site)s
order by f.stage, f.ok, f.ok and f.last_at is null, f.lag_s desc nulls first;

-- name: engine --
-- What the installation runs on.
select server_version, timescaledb_version, hypertables, continuous_aggregates
from analytics.dashboard_engine;


-- name: model_kpis --
-- The figures on top of the page of model health.
select *
from analytics.dashboard_model_kpis(%(site)s);

-- name: confidence_days --
-- Mean confidence by day of the versions that sent most.
select d.site_id, d.model_version, d.days, d.means
from analytics.dashboard_confidence_days(%(site)s) d
limit 6;

-- name: camera_days --
-- The same of their cameras.
select d.site_id, d.model_version, d.camera_id, d.means
from analytics.dashboard_confidence_days(%(site)s, true) d
where d.camera_id is not null;

-- name: baselines --
-- What the confidence of each version is held against, and from where on it has dropped.
select distinct on (d.site_id, d.model_version)
    d.site_id, d.model_version, d.baseline as mean, s.baseline as stddev, d.threshold
from analytics.drift d
join analytics.drift s
  on s.site_id = d.site_id and s.model_version is not distinct from d.model_version
 and s.camera_id is null and s.signal = 'confidence_spread' and s.span = d.span
where d.camera_id is null and d.signal = 'confidence_drop' and d.span in ('week', 'day')
  and d.verdict <> 'not enough data' and (%(site)s::text is null or d.site_id = %(site)s)
order by d.site_id, d.model_version, d.span desc;

-- name: signals --
-- What each signal says of each version and camera.
select d.site_id, d.model_version, d.camera_id, d.signal, d.span, d.verdict, d.current,
    d.baseline, d.threshold, d.sample, d.verdict_since
from analytics.dashboard_signals d
where %(site)s::text is null or d.site_id = %(site)s
order by d.site_id, d.model_version, d.camera_id nulls first;

-- name: open_alerts --
-- What is not resolved, the gravest first.
select a.alert_id, a.site_id, a.signal, a.subject, a.severity, a.alert_state, a.opened_at,
    a.acknowledged_by, a.note, a.detail
from analytics.alerts a
where a.alert_state <> 'resolved' and (%(site)s::text is null or a.site_id = %(site)s)
order by a.severity, a.opened_at desc
limit 50;

-- name: versions --
-- Model versions, the one seen last first.
select v.site_id, v.model_version, v.first_seen_at, v.last_seen_at, v.recent_share,
    v.recent_cameras, v.validated, v.accuracy, v.accuracy_low, v.accuracy_high
from analytics.model_versions v
where %(site)s::text is null or v.site_id = %(site)s
order by v.site_id, v.last_seen_at desc
limit 30;

-- name: comparison --
-- The two largest versions of the last days side by side.
select *
from analytics.dashboard_comparison(%(site)s);

-- name: retraining --
-- Requests, the open ones first, and what became of the calls of their last export.
select r.request_id, r.site_id, r.model_version, r.request_state, r.reason, r.requested_at,
    r.requested_by, r.state_at, r.evidence, c.calls
from analytics.retraining_requests r
left join lateral (
    select array_agg(q.target || ' ' || q.call_state order by q.target desc) as calls
    from analytics.retraining_calls q
    where q.request_id = r.request_id
      and q.export_id = (select max(e.export_id) from analytics.retraining_calls e
                         where e.request_id = r.request_id)
      and (q.target = 'webhook' or q.attempts > 0)
) c on true
where %(site)s::text is null or r.site_id = %(site)s
order by r.request_state in ('deployed', 'rejected'), r.request_id desc
limit 20;
