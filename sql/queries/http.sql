-- name: engine --
-- What the installation runs on.
select server_version
from analytics.dashboard_engine

-- name: sites --
-- Sites in order of their ids, and up to when their metrics count.
select s.site_id, s.name, s.timezone, s.shifts, s.now, s.refreshed_at
from analytics.dashboard_sites s
where (%(sites)s::text[] is null or s.site_id = any (%(sites)s))
  and (%(after)s::text is null or s.site_id collate "C" > %(after)s)
order by s.site_id collate "C"
limit %(limit)s

-- name: refreshed --
-- Up to when the metrics of a site count, or (null) of each site.
select s.site_id, s.timezone, s.now, s.refreshed_at
from analytics.dashboard_sites s
where %(site)s::text is null or s.site_id = %(site)s
order by s.site_id collate "C"

-- name: workers --
-- Workers in order of site and id.
select w.site_id, w.worker_id, w.name, w.pseudonym, w.discovered, w.created_at
from analytics.workers w
where (%(sites)s::text[] is null or w.site_id = any (%(sites)s))
  and (%(after_site)s::text is null
       or (w.site_id collate "C", w.worker_id collate "C") > (%(after_site)s, %(after_id)s))
order by w.site_id collate "C", w.worker_id collate "C"
limit %(limit)s

-- name: workstations --
-- Workstations in order of site and id.
select w.site_id, w.workstation_id, w.name, w.discovered, w.created_at
from analytics.workstations w
where (%(sites)s::text[] is null or w.site_id = any (%(sites)s))
  and (%(after_site)s::text is null
       or (w.site_id collate "C", w.workstation_id collate "C")
           > (%(after_site)s, %(after_id)s))
order by w.site_id collate "C", w.workstation_id collate "C"
limit %(limit)s

-- name: recent_events --
-- Events of the last 24 hours, the newest first.
select e.site_id, e.time, e.worker_id, e.workstation_id, e.event_type, e.confidence,
    e.count, e.duration_s, e.model_version, e.camera_id, e.ingested_at, e.latency_s
from analytics.recent_events e
where (%(sites)s::text[] is null or e.site_id = any (%(sites)s))
  and (%(after_time)s::timestamptz is null
       or (e.time, e.site_id collate "C", e.worker_id collate "C",
           e.workstation_id collate "C", e.event_type collate "C")
          < (%(after_time)s::timestamptz, %(after_site)s, %(after_worker)s,
             %(after_workstation)s, %(after_type)s))
order by e.time desc, e.site_id collate "C" desc, e.worker_id collate "C" desc,
    e.workstation_id collate "C" desc, e.event_type collate "C" desc
limit %(limit)s

-- name: worker_metrics --
-- A page of workers over a window.
select m.*
from analytics.worker_metrics(
    %(site)s, %(from)s::timestamptz, %(to)s::timestamptz, %(shift)s) m
where %(after)s::text is null or m.worker_id collate "C" > %(after)s
order by m.worker_id collate "C"
limit %(limit)s

-- name: worker_metrics_by_date --
-- A page of workers over production dates, both included.
select m.*
from analytics.worker_metrics_by_date(
    %(site)s, %(from)s::date, %(to)s::date, %(shift)s) m
where %(after)s::text is null or m.worker_id collate "C" > %(after)s
order by m.worker_id collate "C"
limit %(limit)s

-- name: workstation_metrics --
-- A page of workstations over a window.
select m.*
from analytics.workstation_metrics(
    %(site)s, %(from)s::timestamptz, %(to)s::timestamptz, %(shift)s) m
where %(after)s::text is null or m.workstation_id collate "C" > %(after)s
order by m.workstation_id collate "C"
limit %(limit)s

-- name: workstation_metrics_by_date --
-- A page of workstations over production dates, both included.
select m.*
from analytics.workstation_metrics_by_date(
    %(site)s, %(from)s::date, %(to)s::date, %(shift)s) m
where %(after)s::text is null or m.workstation_id collate "C" > %(after)s
order by m.workstation_id collate "C"
limit %(limit)s

-- name: factory_metrics --
-- One row for a site, or for all.
select *
from analytics.factory_metrics(
    %(site)s, %(from)s::timestamptz, %(to)s::timestamptz, %(shift)s)

-- name: factory_metrics_by_date --
-- The same by production date, both dates included.
select *
from analytics.factory_metrics_by_date(%(site)s, %(from)s::date, %(to)s::date, %(shift)s)

-- name: freshness --
-- How far each stage of each site is.
select f.site_id, f.stage, f.lag_s, f.ok
from analytics.freshness f
order by f.site_id, f.stage

-- name: backlog --
-- Work of the refresh that waits, by site.
select b.site_id, b.dirty_events, b.dirty_ranges, b.touched_hours
from analytics.backlog b
order by b.site_id

-- name: ingested --
-- Everything that ever came in, by site.
select q.site_id, q.stored, q.duplicates, q.conflicts, q.parked
from analytics.ingested q
order by q.site_id

-- name: parked_codes --
-- What stands parked, by code.
select p.code, p.parked
from analytics.parked p
order by p.code

-- name: consumers --
-- Consumers of brokers that are alive, and what their brokers hold for them.
select
    r.detail ->> 'source' as source,
    r.detail ->> 'name' as name,
    (r.detail ->> 'lag')::bigint as lag,
    (r.detail ->> 'messages')::bigint as messages
from ops.job_runs r
where r.job = 'consume'
    and r.finished_at is null
    and (r.detail ->> 'at')::timestamptz > now() - interval '1 minute'
order by source, name;
