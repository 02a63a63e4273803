-- What the HTTP API and Prometheus read beside the metrics.

create or replace view analytics.workers as
select s.site_id, w.worker_id, w.name, w.pseudonym, w.discovered, w.created_at
from floor.workers w
join floor.sites s on s.site_key = w.site_key;

create or replace view analytics.workstations as
select s.site_id, w.workstation_id, w.name, w.discovered, w.created_at
from floor.workstations w
join floor.sites s on s.site_key = w.site_key;

create or replace view analytics.cameras as
select s.site_id, c.camera_id, c.expected, c.expected_by, c.expected_at, c.created_at,
    greatest(d.last_at, h.last_at) as last_seen_at
from floor.cameras c
join floor.sites s on s.site_key = c.site_key
left join (
    select q.camera_key, max(q.last_at) as last_at
    from floor.model_daily q
    group by q.camera_key
) d on d.camera_key = c.camera_key
left join (
    select q.camera_key, max(q.last_at) as last_at
    from floor.model_hourly q
    where q.hour >= now() - interval '2 days'
    group by q.camera_key
) h on h.camera_key = c.camera_key;

create or replace view analytics.backlog as
select
    s.site_id, d.events as dirty_events, d.ranges as dirty_ranges, t.hours as touched_hours
from floor.sites s
cross join lateral (
    select count(*) as ranges, coalesce(sum(d.events), 0)::bigint as events
    from floor.dirty d
    where d.site_key = s.site_key and d.from_time <= now()
) d
cross join lateral (select floor.waiting_hours(s.site_key) as hours) t;

create or replace view analytics.ingested as
select
    t.site_id, sum(t.stored)::bigint as stored, sum(t.duplicates)::bigint as duplicates,
    sum(t.conflicts)::bigint as conflicts, sum(t.parked)::bigint as parked
from ingest.tallies t
group by t.site_id;

create or replace view analytics.parked as
select r.code, sum(r.seen)::bigint as parked
from ingest.rejects r
where r.state = 'parked'
group by r.code;

comment on view analytics.workers is 'Every worker, those that events made known included';
comment on view analytics.workstations is 'Every workstation, those that events made known included';
comment on view analytics.cameras is 'Every camera: when a person expects it to send, and when it last did';
comment on column analytics.cameras.expected is 'always: during every shift; learned: as its record says; never: a spare or a removed one. See docs/alerts.md';
comment on column analytics.cameras.expected_by is 'Who said so; null: nobody yet';
comment on column analytics.cameras.expected_at is 'When that was';
comment on column analytics.cameras.created_at is 'When it became known';
comment on column analytics.cameras.last_seen_at is 'Time of its last event, as of the last drift check';
comment on view analytics.backlog is 'Work of the refresh that waits, by site';
comment on view analytics.ingested is 'Everything that ever came in, by site';
comment on view analytics.parked is 'What stands parked, by code, as often as it was seen';
comment on column analytics.workers.name is 'Name for people';
comment on column analytics.workers.pseudonym is 'A name that tells nobody who it is';
comment on column analytics.workers.discovered is 'Known from events only: nobody registered the id';
comment on column analytics.workers.created_at is 'When it became known';
comment on column analytics.workstations.name is 'Name for people';
comment on column analytics.workstations.discovered is 'Known from events only: nobody registered the id';
comment on column analytics.workstations.created_at is 'When it became known';
comment on column analytics.backlog.dirty_events is 'Events that are not cut into activity yet';
comment on column analytics.backlog.dirty_ranges is 'Ranges that are not cut into activity yet';
comment on column analytics.backlog.touched_hours is 'Hours that are not aggregated yet';
comment on column analytics.parked.code is 'The rule that was broken';
