-- name: sites --
-- Every site, in a stable order.
select site_id from floor.sites order by site_key

-- name: site_key --
-- One site.
select site_key from floor.sites where site_id = %s

-- name: lock --
-- One refresh of a site at a time, whoever runs it.
select pg_advisory_lock(hashtext('floorpulse.refresh'), %s)

-- name: unlock --
-- Its end.
select pg_advisory_unlock(hashtext('floorpulse.refresh'), %s)

-- name: lock_aggregates --
-- Aggregates are shared by the sites: one at a time refreshes them.
select pg_advisory_lock(hashtext('floorpulse.aggregates'), 0)

-- name: unlock_aggregates --
-- Its end.
select pg_advisory_unlock(hashtext('floorpulse.aggregates'), 0)

-- name: dirty_reach --
-- The stretches of time that a cut may write to: each dirty range and two days after it
-- (a hold of a day, a gap up to the end of a shift), and the days up to now.
with needed (span) as (
    select tstzrange(d.from_time, d.to_time + interval '2 days', '[]')
    from floor.dirty d
    where d.site_key = %(site_key)s and d.from_time <= %(now)s
    union all
    select tstzrange(
        greatest(%(now)s::timestamptz - interval '2 days', least(r.cut_now, %(now)s)),
        %(now)s::timestamptz + interval '1 hour', '[]')
    from floor.refresh_state r
    where r.site_key = %(site_key)s
    union all
    select tstzrange(r.cut_now, r.cut_now + interval '1 day', '[]')
    from floor.refresh_state r
    where r.site_key = %(site_key)s and r.cut_now < %(now)s
)
select lower(stretch) as from_time, upper(stretch) as to_time
from (select unnest(range_agg(n.span)) as stretch from needed n) s
order by 1

-- name: ensure_chunks --
-- Chunks or partitions for a stretch of time.
select floor.ensure_chunks(%s, %s)

-- name: begin_backlog --
-- Whether so many events wait that cutting them in shares pays.
select floor.begin_backlog(%s, %s, %s)

-- name: cut_share --
-- One cutting transaction of one share of the workers.
select taken, written from floor.cut_share(%s, %s, %s, %s, %s)

-- name: step --
-- One cutting transaction.
select taken, written, cut_left, aggregated from floor.refresh_step(%s, %s, %s)

-- name: aggregation_steps --
-- What is left to aggregate, as statements of this engine.
select statement from floor.aggregation_steps(%(site_key)s, %(now)s)

-- name: materialization_steps --
-- What has closed and is not materialized, as statements of this engine.
select statement from floor.materialization_steps(now())

-- name: move_now --
-- The aggregates are done.
select floor.move_now(%s, %s)

-- name: notify --
-- Tells the live channel.
select pg_notify('floorpulse_refresh', %s)

-- name: run_started --
-- A refresh begins.
insert into ops.job_runs (job, site_id) values ('refresh', %s) returning run_id

-- name: run_finished --
-- It ended well.
update ops.job_runs set finished_at = clock_timestamp(), ok = true, detail = %s where run_id = %s

-- name: run_failed --
-- It did not.
update ops.job_runs set finished_at = clock_timestamp(), ok = false, error = %s where run_id = %s
