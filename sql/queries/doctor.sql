-- name: jobs --
-- Jobs of the scheduler, and how long ago each last ended well.
select j.job, j.interval_s, j.last_ok_at, j.last_error, j.ok,
    extract(epoch from now() - j.last_started_at)::float8 as since_start_s
from analytics.jobs j
order by j.job

-- name: freshness --
-- Stages that are not well, of sites that have events.
select f.site_id, f.stage, f.last_at, f.lag_s, f.progress
from analytics.freshness f
where not f.ok and f.stage not in ('restating', 'notified')
  and exists (
      select from ingest.tallies t where t.site_id = f.site_id and t.stored > 0)
order by f.site_id, f.stage

-- name: backlog --
-- Work that waits, by site: events and ranges not cut, hours not aggregated, restatements,
-- and seconds since the site was last refreshed.
select s.site_id, d.ranges, d.events, t.hours, r.restatements, r.progress,
    extract(epoch from now() - q.cut_at)::float8 as since_cut_s
from floor.sites s
left join floor.refresh_state q on q.site_key = s.site_key
cross join lateral (
    select count(*) as ranges, coalesce(sum(d.events), 0)::bigint as events
    from floor.dirty d
    where d.site_key = s.site_key and d.from_time <= now()
) d
cross join lateral (select floor.waiting_hours(s.site_key) as hours) t
cross join lateral (
    select count(*) as restatements,
        (sum(extract(epoch from r.to_time - r.done_from))
            / nullif(sum(extract(epoch from r.to_time - r.from_time)), 0))::float8 as progress
    from floor.restatements r
    where r.site_key = s.site_key and r.finished_at is null
) r
where d.ranges > 0 or t.hours > 0 or r.restatements > 0
order by s.site_id

-- name: retention --
-- Sites that keep events two days longer than they should, and what for.
select s.site_id, g.goal, floor.unfinished_before(s.site_key, g.goal) as waits_for
from floor.sites s
join floor.refresh_state f on f.site_key = s.site_key
cross join lateral (select floor.retention_goal(s.site_key, now()) as goal) g
where g.goal > coalesce(floor.kept_from(s.site_key), f.first_event_at) + interval '2 days'
order by s.site_id

-- name: zones --
-- Sites with events whose times had no offset and were read in UTC, for want of a zone,
-- and the zone that was set since (null: none). Where UTC was set, they were read well.
select t.site_id, sum(t.unzoned)::bigint as events, z.timezone
from ingest.tallies t
join floor.sites s on s.site_id = t.site_id
left join lateral (
    select q.timezone
    from floor.site_settings q
    where q.site_key = s.site_key and q.timezone is not null
    order by q.recorded_at desc
    limit 1
) z on true
where t.unzoned > 0 and z.timezone not in ('UTC', 'Etc/UTC') is not false
group by t.site_id, z.timezone
order by t.site_id

-- name: parked --
-- What was parked in the last 24 hours against what was read.
select
    coalesce(sum(q.parked), 0)::bigint as parked,
    coalesce(sum(q.parked + q.stored + q.duplicates), 0)::bigint as read
from analytics.data_quality_hourly q
where q.hour > now() - interval '24 hours'

-- name: parked_codes --
-- As what.
select r.code, sum(r.seen)::bigint as rows
from ingest.rejects r
where r.last_seen_at > now() - interval '24 hours' and r.state = 'parked'
group by r.code
order by 2 desc, 1

-- name: loads_cut_off --
-- Files that were not loaded to their end and that nobody works on.
select l.source, l.state, l.error, l.updated_at
from ingest.loads l
where l.state <> 'done' and l.source <> 'simulator'
  and l.updated_at < now() - interval '2 minutes'
  and not exists (
      select from pg_locks k
      where k.locktype = 'advisory' and k.objid = l.load_id and k.granted
        and k.classid = ((hashtext('floorpulse.load')::bigint + 4294967296) %% 4294967296)::oid)
order by l.updated_at

-- name: roles --
-- Roles that schema floorpulse wants and the server has not.
select wanted.name
from unnest(array['floorpulse_analyst', 'floorpulse_dashboard', 'floorpulse_ingest'])
    as wanted (name)
where not exists (select from pg_roles r where r.rolname = wanted.name)

-- name: open_alerts --
-- How many alerts are not resolved.
select count(*) as alerts from ops.alerts a where a.state <> 'resolved'

-- name: retraining_calls --
-- Calls of exports that failed: given up, or tried again.
select c.request_id, c.site_id, c.target, c.call_state, c.attempts, c.last_error, c.next_at
from analytics.retraining_calls c
where c.last_error is not null and c.call_state in ('given up', 'pending')
order by c.call_id
