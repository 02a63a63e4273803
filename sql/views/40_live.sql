-- Now and lately: who does what, what came in, and whether the system keeps up.

create or replace function analytics.worker_timeline(
    site text, worker text, from_time timestamptz, to_time timestamptz)
returns table (
    state text, workstation_id text, started_at timestamptz, ended_at timestamptz)
language sql stable security definer
set search_path = floor, pg_temp
as $$
-- The hour's and the calendar's cuts are joined again: one row per state event and gap.
-- Pieces from before kept_from may be put together by the hour: they are nobody's timeline.
    select
        (array['working', 'idle', 'absent'])[a.state + 1], b.workstation_id,
        greatest(min(a.time), $3), least(max(a.ends_at), $4)
    from floor.activity a
    join floor.workstations b on b.workstation_key = a.workstation_key
    where a.site_key = floor.key_of_site($1)
      and a.worker_key = (
          select w.worker_key from floor.workers w
          where w.site_key = floor.key_of_site($1) and w.worker_id = $2)
      and a.state < 3
      and a.time >= $3 - interval '1 hour' and a.time < $4 and a.ends_at > $3
      and a.time >= (select floor.kept_from(floor.key_of_site($1))) is not false
    group by a.state_at, a.state, b.workstation_id
    order by 3
$$;

create or replace view analytics.live_status as
select
    s.site_id, w.worker_id,
    case when l.holds_until > now() then (array['working', 'idle', 'absent'])[l.state + 1]
         else 'unobserved' end as state,
    case when l.holds_until > now() then coalesce(run.since, l.state_at)
         else l.holds_until end as since,
    b.workstation_id,
    l.confidence,
    extract(epoch from now() - l.state_at)::double precision as seen_s_ago
from floor.worker_states l
join floor.sites s on s.site_key = l.site_key
join floor.workers w on w.worker_key = l.worker_key
join floor.workstations b on b.workstation_key = l.workstation_key
left join lateral (
    select max(a.ends_at) as since
    from floor.activity a
    where a.site_key = l.site_key and a.worker_key = l.worker_key
      and a.time >= l.state_at - interval '12 hours' and a.time < l.state_at
      and a.state < 3
      and (a.state <> l.state or a.workstation_key <> l.workstation_key)
) run on true;

create or replace view analytics.recent_events as
select
    s.site_id, e.time, w.worker_id, b.workstation_id,
    (array['working', 'idle', 'absent', 'product_count'])[e.event_type + 1] as event_type,
    e.confidence, e.count, e.duration_s, m.model_version, c.camera_id, e.ingested_at,
    extract(epoch from e.ingested_at - e.time)::double precision as latency_s
from floor.events e
join floor.sites s on s.site_key = e.site_key
join floor.workers w on w.worker_key = e.worker_key
join floor.workstations b on b.workstation_key = e.workstation_key
left join floor.models m on m.model_key = e.model_key
left join floor.cameras c on c.camera_key = e.camera_key
where e.time > now() - interval '24 hours';

create or replace function floor.histogram_quantile(p_histogram bigint[], p_quantile double precision)
returns double precision
language sql immutable
set search_path = floor, pg_temp
as $$
-- Upper bound, in seconds, of the power-of-two bin (ms) that holds the quantile.
    select power(2, h.bin - 1) / 1000
    from (
        select u.bin, u.n, sum(u.n) over (order by u.bin) as running, sum(u.n) over () as total
        from unnest(p_histogram) with ordinality as u (n, bin)
    ) h
    where h.total > 0 and h.running >= h.total * p_quantile
    order by h.bin
    limit 1
$$;

create or replace view analytics.data_quality_hourly as
with binned as (
    select t.site_id, t.hour, b.bin, sum(b.n)::bigint as n
    from ingest.tallies t
    cross join lateral unnest(t.latency_histogram) with ordinality as b (n, bin)
    group by t.site_id, t.hour, b.bin
),
histograms as (
    select b.site_id, b.hour, array_agg(b.n order by b.bin) as histogram
    from binned b
    group by b.site_id, b.hour
),
sums as (
    select t.site_id, t.hour, sum(t.stored) as stored, sum(t.duplicates) as duplicates,
        sum(t.conflicts) as conflicts, sum(t.parked) as parked, sum(t.late) as late
    from ingest.tallies t
    group by t.site_id, t.hour
)
select
    q.site_id, q.hour,
    q.stored::bigint as stored, q.duplicates::bigint as duplicates,
    q.conflicts::bigint as conflicts, q.parked::bigint as parked, q.late::bigint as late,
    floor.histogram_quantile(h.histogram, 0.95) as p95_latency_s
from sums q
left join histograms h on h.site_id = q.site_id and h.hour = q.hour;

create or replace view analytics.jobs as
select
    j.job, j.interval_s, j.last_started_at, j.last_ok_at, j.last_error,
    extract(epoch from now() - coalesce(j.last_ok_at, j.last_started_at))::double precision as since_ok_s,
    coalesce(now() - j.last_ok_at <= 3 * j.interval_s * interval '1 second', false) as ok
from ops.jobs j;

create or replace view analytics.freshness as
with refresh_job as (
    select coalesce(max(j.interval_s), 10) as interval_s,
        coalesce(bool_and(j.ok), true) as jobs_ok
    from analytics.jobs j
    where j.job = 'refresh'
),
all_jobs as (
    select coalesce(bool_and(j.ok), true) as ok from analytics.jobs j
),
arrivals as (
    select s.site_key,
        (select max(t.recorded_at) from ingest.tallies t where t.site_id = s.site_id) as last_at
    from floor.sites s
),
restating as (
    select r.site_key,
        max(r.finished_at) as finished_at,
        bool_or(r.finished_at is null) as running,
        sum(extract(epoch from r.to_time - r.done_from)) filter (where r.finished_at is null)
            / nullif(sum(extract(epoch from r.to_time - r.from_time)) filter (where r.finished_at is null), 0)
            as progress
    from floor.restatements r
    group by r.site_key
),
stages as (
    select a.site_key, 'ingested' as stage, a.last_at, null::boolean as ok,
        null::double precision as progress
    from arrivals a
    union all
    select s.site_key, 'cut', r.cut_now,
        coalesce(now() - r.cut_now <= 3 * j.interval_s * interval '1 second' and k.ok, false), null
    from floor.sites s
    left join floor.refresh_state r on r.site_key = s.site_key
    cross join refresh_job j
    cross join all_jobs k
    union all
    select s.site_key, 'aggregated', r.aggregated_now,
        coalesce(now() - r.aggregated_now <= 3 * j.interval_s * interval '1 second' and k.ok, false), null
    from floor.sites s
    left join floor.refresh_state r on r.site_key = s.site_key
    cross join refresh_job j
    cross join all_jobs k
    union all
    select s.site_key, 'restating', q.finished_at, not coalesce(q.running, false),
        case when q.running then q.progress::double precision end
    from floor.sites s
    left join restating q on q.site_key = s.site_key
    union all
    select s.site_key, 'drift_checked', d.checked_now,
        now() - coalesce(d.checked_now, s.created_at) <= 3 * j.interval_s * interval '1 second', null
    from floor.sites s
    left join ops.drift_state d on d.site_key = s.site_key
    left join ops.jobs j on j.job = 'drift'
    union all
    select s.site_key, 'notified', coalesce(w.since, now()),
        coalesce(now() - w.since <= interval '15 minutes', true), null
    from floor.sites s
    left join (
        select m.site_key, min(m.first_tried_at) as since
        from ops.outbox m
        join ops.channels c on c.channel_key = m.channel_key and c.enabled
        where m.state = 'waiting'
        group by m.site_key
    ) w on w.site_key = s.site_key
    where exists (select from ops.channels c where c.enabled and c.removed_at is null)
)
select
    s.site_id, g.stage, g.last_at,
    extract(epoch from now() - g.last_at)::double precision as lag_s,
    coalesce(g.ok, true) as ok,
    g.progress
from stages g
join floor.sites s on s.site_key = g.site_key;

comment on function analytics.worker_timeline is 'Pieces of one worker in a window, the one that began before it included and clipped';
comment on view analytics.live_status is 'Worker x now: the state that holds (unobserved when its hold has run out), since when, where';
comment on view analytics.recent_events is 'Events of the last 24 hours with every field and their latency';
comment on view analytics.data_quality_hourly is 'Site x UTC hour of arrival: what was stored, repeated, contradicted, parked, late';
comment on view analytics.jobs is 'Scheduler jobs: how often, when last well; not ok when late by three intervals';
comment on view analytics.freshness is 'Site x stage: how far it is, its lag in seconds, and whether that is well';
