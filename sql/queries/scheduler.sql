-- name: try_lead --
-- Becomes the leader, for as long as this session lives, if there is none.
select pg_try_advisory_lock(hashtext('floorpulse.scheduler'), 0)

-- name: notice_death --
-- So that the server frees the lock of a leader whose machine vanished, in half a minute.
select
    set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('client_connection_check_interval', '5s', false)

-- name: still_leading --
-- Answers while the session that holds the lock is alive.
select 1

-- name: declare_job --
-- A job that this version runs, and how often.
insert into ops.jobs (job, interval_s)
values (%(job)s, %(interval_s)s)
on conflict (job) do update set interval_s = excluded.interval_s

-- name: forget_jobs --
-- Jobs that this version does not run any more, so that nobody waits for them.
delete from ops.jobs where job <> all (%(jobs)s)

-- name: last_slot --
-- The last slot of a job that came to its end, in seconds since 1970.
select (r.detail ->> 'slot')::double precision
from ops.job_runs r
where r.job = %(job)s and r.finished_at is not null
  and r.detail ? 'slot' and not r.detail ? 'abandoned'
order by r.started_at desc
limit 1

-- name: abandon_runs --
-- Runs that a leader did not live to finish: it is gone, or this one would not lead.
update ops.job_runs
set finished_at = clock_timestamp(), ok = false,
    error = 'the scheduler ended before this run did; the next run does its work',
    detail = detail || '{"abandoned": true}'
where finished_at is null and detail ?| array['slot', 'notified']

-- name: job_started --
-- A run begins; its row is there before its work.
with job as (
    update ops.jobs set last_started_at = clock_timestamp() where job = %(job)s
)
insert into ops.job_runs (job, detail)
values (%(job)s, %(detail)s)
returning run_id

-- name: job_finished --
-- A run ended, well or with an error.
with run as (
    update ops.job_runs
    set finished_at = clock_timestamp(), ok = %(error)s::text is null,
        error = %(error)s, detail = detail || %(detail)s::jsonb
    where run_id = %(run_id)s
)
update ops.jobs
set last_finished_at = clock_timestamp(),
    last_ok_at = case when %(error)s::text is null then clock_timestamp() else last_ok_at end,
    last_error = %(error)s
where job = %(job)s

-- name: listen --
-- The door says here what it stored.
listen floorpulse_events

-- name: sites --
-- Every site, in a stable order.
select site_key, site_id from floor.sites order by site_key

-- name: chunks_ahead --
-- Chunks or partitions for what comes next.
select floor.ensure_chunks(now(), now() + interval '3 days')

-- name: fold_tallies --
-- Many rows per site and hour of arrival become one; how many rows went.
with crowded as (
    select t.site_id, t.hour
    from ingest.tallies t
    group by t.site_id, t.hour
    having count(*) > 1
),
gone as (
    delete from ingest.tallies t
    using crowded c
    where t.site_id = c.site_id and t.hour = c.hour
    returning t.*
),
bins as (
    select g.site_id, g.hour, b.bin, sum(b.events)::bigint as events
    from gone g
    cross join unnest(g.latency_histogram) with ordinality as b (events, bin)
    group by g.site_id, g.hour, b.bin
),
-- Histograms differ in length: a bin that nobody names counts nothing.
histograms as (
    select w.site_id, w.hour, array_agg(coalesce(b.events, 0) order by n.bin) as histogram
    from (select b.site_id, b.hour, max(b.bin) as widest from bins b group by 1, 2) w
    cross join generate_series(1, w.widest) as n (bin)
    left join bins b on (b.site_id, b.hour, b.bin) = (w.site_id, w.hour, n.bin)
    group by w.site_id, w.hour
),
folded as (
    insert into ingest.tallies
        (site_id, hour, stored, duplicates, conflicts, parked, late,
         latency_histogram, unzoned, recorded_at)
    select g.site_id, g.hour, sum(g.stored), sum(g.duplicates), sum(g.conflicts),
        sum(g.parked), sum(g.late), coalesce(max(h.histogram), '{}'), sum(g.unzoned),
        max(g.recorded_at)
    from gone g
    left join histograms h using (site_id, hour)
    group by g.site_id, g.hour
)
select count(*) from gone

-- name: close_runs --
-- Runs of whom no end is known: whoever did them was killed.
update ops.job_runs
set finished_at = clock_timestamp(), ok = false, error = 'ended without saying how'
where finished_at is null and started_at < now() - interval '1 day'

-- name: prune_runs --
-- Runs that ended well are kept for some hours where there are many of a job in an hour,
-- else for a month; failures for a month. How many rows went.
with frequent as (
    select j.job from ops.jobs j where j.interval_s < 600
),
gone as (
    delete from ops.job_runs r
    where r.started_at < now() - case
        when r.ok and r.job in (select f.job from frequent f) then interval '6 hours'
        else interval '31 days'
    end
    returning 1
)
select count(*) from gone
