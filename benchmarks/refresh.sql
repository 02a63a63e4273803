-- name: has_rollups --
-- A row where aggregates are tables of ours.
select 1 from floor.installation where not continuous_aggregates

-- name: span --
-- The history that is copied.
select min(e.time), max(e.time), count(*)
from floor.events e

-- name: make_room --
-- Chunks for a copy of it.
select floor.ensure_chunks(%s, %s, %s)

-- name: copy_events --
-- The history once more, earlier.
insert into floor.events (site_key, worker_key, time, ingested_at, duration_s, workstation_key,
    confidence, count, model_key, camera_key, event_type)
select site_key, worker_key, time - %(shift)s, ingested_at, duration_s, workstation_key,
    confidence, count, model_key, camera_key, event_type
from floor.events
where time between %(first)s and %(last)s
order by time::date, site_key, worker_key, time
on conflict do nothing

-- name: copy_activity --
-- Its pieces.
insert into floor.activity
select site_key, worker_key, time - %(shift)s, ends_at - %(shift)s, state_at - %(shift)s,
    duration_us, workstation_key, shift_key, production_date - extract(day from %(shift)s::interval)::int,
    units, units_working, state, begins, in_break
from floor.activity
where time between %(first)s and %(last)s

-- name: copy_hourly --
-- Its hourly rows.
insert into floor.activity_hourly
select site_key, hour - %(shift)s, worker_key, workstation_key,
    production_date - extract(day from %(shift)s::interval)::int, shift_key, working_us, idle_us,
    absent_us, break_us, units, units_working, events
from floor.activity_hourly
where hour >= date_trunc('day', %(first)s::timestamptz) and hour <= %(last)s
on conflict do nothing

-- name: copy_site --
-- Its rows of the site.
insert into floor.site_hourly
select site_key, hour - %(shift)s, production_date - extract(day from %(shift)s::interval)::int,
    shift_key, working_us, idle_us, units
from floor.site_hourly
where hour >= date_trunc('day', %(first)s::timestamptz) and hour <= %(last)s
on conflict do nothing

-- name: copy_daily --
-- Its daily rows.
insert into floor.activity_daily
select site_key, day - %(shift)s, worker_key, workstation_key,
    production_date - extract(day from %(shift)s::interval)::int, shift_key, working_us, idle_us,
    absent_us, break_us, units, units_working, events
from floor.activity_daily
where day >= date_trunc('day', %(first)s::timestamptz) and day <= %(last)s
on conflict do nothing

-- name: copy_presence --
-- Its presence by hour.
insert into floor.presence_hourly
select site_key, hour - %(shift)s, workstation_key,
    production_date - extract(day from %(shift)s::interval)::int, shift_key, occupied_us, operating_us
from floor.presence_hourly
where hour >= date_trunc('day', %(first)s::timestamptz) and hour <= %(last)s
on conflict do nothing

-- name: copy_days --
-- Its presence by day.
insert into floor.presence_daily
select site_key, day - %(shift)s, workstation_key,
    production_date - extract(day from %(shift)s::interval)::int, shift_key, occupied_us, operating_us
from floor.presence_daily
where day >= date_trunc('day', %(first)s::timestamptz) and day <= %(last)s
on conflict do nothing

-- name: materialize --
-- Where aggregates are continuous: one refresh of everything each.
select format('call public.refresh_continuous_aggregate(''floor.%s'', null, %L)', a.name, date_trunc('hour', r.aggregated_now))
from floor.refresh_state r
cross join (values (1, 'activity_hourly'), (2, 'presence_hourly'), (3, 'site_hourly')) as a (place, name)
where exists (select from floor.installation i where i.continuous_aggregates)
union all
select format('call public.refresh_continuous_aggregate(''floor.%s'', null, %L)', a.name, date_trunc('day', r.aggregated_now))
from floor.refresh_state r
cross join (values (4, 'activity_daily'), (5, 'presence_daily')) as a (place, name)
where exists (select from floor.installation i where i.continuous_aggregates)

-- name: leaderboard --
-- The worker leaderboard from the aggregates.
select * from analytics.worker_metrics(%(site)s, %(from)s, %(to)s) order by units_per_hour desc nulls last

-- name: leaderboard_raw --
-- The same idea from events: lead() at query time.
with states as (
    select e.worker_key, e.time, e.event_type,
        least(lead(e.time) over (partition by e.worker_key order by e.time), e.time + interval '600 s') as ends_at
    from floor.events e
    where e.event_type < 3 and e.confidence >= 0.7 and e.time >= %(from)s and e.time < %(to)s
),
sums as (
    select worker_key,
        sum(extract(epoch from ends_at - time)) filter (where event_type = 0) as working_s,
        sum(extract(epoch from ends_at - time)) filter (where event_type = 1) as idle_s
    from states
    group by worker_key
)
select w.worker_id, s.working_s, s.idle_s, s.working_s / nullif(s.working_s + s.idle_s, 0)
from sums s
join floor.workers w on w.worker_key = s.worker_key
order by 4 desc nulls last

-- name: trend --
-- The hourly trend of the factory from the aggregates.
select hour, weighted_utilization, units
from analytics.factory_hourly
where site_id = %(site)s and hour >= %(from)s and hour < %(to)s
order by hour

-- name: trend_raw --
-- The same idea from events: lead() at query time, states counted in the hour they begin in.
with states as (
    select e.worker_key, e.time, e.event_type,
        least(lead(e.time) over (partition by e.worker_key order by e.time), e.time + interval '600 s') as ends_at
    from floor.events e
    where e.event_type < 3 and e.confidence >= 0.7 and e.time >= %(from)s and e.time < %(to)s
)
select date_trunc('hour', s.time) as hour,
    sum(extract(epoch from s.ends_at - s.time)) filter (where s.event_type = 0)
        / nullif(sum(extract(epoch from s.ends_at - s.time)) filter (where s.event_type < 2), 0)
from states s
group by 1
order by 1
