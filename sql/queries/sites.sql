-- name: register_site --
-- The key of a site, which is made where there is none.
select floor.register_site(%(site_id)s, false)

-- name: site_key --
-- The key of a site that exists.
select s.site_key from floor.sites s where s.site_id = %(site_id)s

-- name: has_events --
-- Whether anything was ever stored for the site, deleted since or not.
select exists (select from floor.events e where e.site_key = %(site_key)s)
    or exists (select from floor.retention r where r.site_key = %(site_key)s)

-- name: clock --
-- The database's clock.
select clock_timestamp()

-- name: set_site --
-- What has no history; null leaves a field as it is.
update floor.sites s
set name = coalesce(%(name)s, s.name),
    registration = coalesce(%(registration)s, s.registration)
where s.site_key = %(site_key)s

-- name: set_retention --
-- For how long events are kept, 0 days: for good; and a line in the books. Nothing where
-- that is so already.
with changed as (
    select s.site_key, s.site_id, s.retention_days as before,
        nullif(%(retention_days)s::integer, 0) as days
    from floor.sites s
    where s.site_key = %(site_key)s
      and s.retention_days is distinct from nullif(%(retention_days)s::integer, 0)
), noted as (
    insert into ops.audit_log (action, subject, detail)
    select 'site retention', c.site_id,
        jsonb_build_object('retention_days', c.days, 'before', c.before)
    from changed c
)
update floor.sites s
set retention_days = c.days, retention_set_at = clock_timestamp()
from changed c
where s.site_key = c.site_key

-- name: add_statement --
-- What holds from an instant on.
insert into floor.site_settings
    (site_key, valid_from, timezone, min_confidence, max_state_s, gap_state, count_breaks)
values
    (%(site_key)s, %(valid_from)s::timestamptz, %(timezone)s, %(min_confidence)s,
     %(max_state_s)s, %(gap_state)s, %(count_breaks)s)

-- name: lay_settings --
-- Spans made flat again; whether that changed anything.
select floor.lay_settings(%(site_key)s)

-- name: restate --
-- Everything from an instant on is cut again in the background.
select floor.restate_from(%(site_key)s, %(valid_from)s::timestamptz, %(reason)s)

-- name: knows_zone --
-- Fails where the server does not know the zone: views by local time would.
select now() at time zone %(timezone)s

-- name: sites --
-- Every site, or one, with the settings in force.
select
    s.site_id, s.name, s.discovered, s.created_at, s.registration, s.retention_days,
    s.retention_set_at, floor.kept_from(s.site_key) as kept_from, p.timezone,
    p.min_confidence::text::float8 as min_confidence, p.max_state_s, p.gap_state, p.count_breaks,
    (select count(*) from floor.workers w where w.site_key = s.site_key) as workers,
    (select count(*) from floor.workstations w where w.site_key = s.site_key)
        as workstations,
    (select count(distinct v.shift_key) from floor.shift_versions v
     where v.site_key = s.site_key and v.superseded_at is null
       and v.valid_from <= now() and v.valid_to > now()) as shifts
from floor.sites s
join floor.settings_spans p
  on p.site_key = s.site_key and p.valid_from <= now() and p.valid_to > now()
where %(site_id)s::text is null or s.site_id = %(site_id)s
order by s.site_id

-- name: statements --
-- What was said about a site's settings, in the order in which it was.
select
    nullif(q.valid_from, '-infinity') as valid_from, q.recorded_at, q.timezone,
    q.min_confidence::text::float8 as min_confidence, q.max_state_s, q.gap_state,
    q.count_breaks
from floor.site_settings q
join floor.sites s on s.site_key = q.site_key
where s.site_id = %(site_id)s
order by q.recorded_at, q.setting_key

-- name: restating --
-- Restatements of a site that are not done.
select r.reason, r.from_time, r.to_time, r.done_from
from floor.restatements r
join floor.sites s on s.site_key = r.site_key
where s.site_id = %(site_id)s and r.finished_at is null
order by r.restatement_key

-- name: set_worker --
-- A worker's names; null leaves one as it is. Makes the worker where there is none.
insert into floor.workers as w (site_key, worker_id, name, pseudonym)
values (%(site_key)s, %(worker_id)s, %(name)s, %(pseudonym)s)
on conflict (site_key, worker_id) do update
set name = coalesce(excluded.name, w.name),
    pseudonym = coalesce(excluded.pseudonym, w.pseudonym),
    discovered = false

-- name: workers --
-- Workers of one site or of all.
select s.site_id, w.worker_id, w.name, w.pseudonym, w.discovered, w.created_at
from floor.workers w
join floor.sites s on s.site_key = w.site_key
where %(site_id)s::text is null or s.site_id = %(site_id)s
order by s.site_id, w.worker_id

-- name: set_workstation --
-- A workstation's name; null leaves it as it is. Makes the workstation where there is none.
insert into floor.workstations as w (site_key, workstation_id, name)
values (%(site_key)s, %(workstation_id)s, %(name)s)
on conflict (site_key, workstation_id) do update
set name = coalesce(excluded.name, w.name),
    discovered = false

-- name: workstations --
-- Workstations of one site or of all.
select s.site_id, w.workstation_id, w.name, w.discovered, w.created_at
from floor.workstations w
join floor.sites s on s.site_key = w.site_key
where %(site_id)s::text is null or s.site_id = %(site_id)s
order by s.site_id, w.workstation_id

-- name: cameras --
-- Cameras of one site or of all; what a learnt one may miss of the time in which it usually
-- sends, and for how long it may stop in a shift (the shift that allows it most).
select c.site_id, c.camera_id, c.expected, c.expected_by, c.expected_at, c.last_seen_at,
    case when c.expected = 'learned' then a.missed_s end as may_miss_s,
    case when c.expected = 'learned' then
        (select max(u.s) from unnest(a.stopped_s) as u (s)) end as may_stop_s,
    exists (select from analytics.alerts q
            where q.site_id = c.site_id and q.subject = c.camera_id
              and q.signal = 'silent_camera' and q.alert_state <> 'resolved') as silent
from analytics.cameras c
join floor.sites s on s.site_id = c.site_id
join floor.cameras k on k.site_key = s.site_key and k.camera_id = c.camera_id
cross join lateral ops.drift_settings_of(s.site_key) t
left join lateral ops.allowed_silences(s.site_key, t.silent_after_s) a
  on a.camera_key = k.camera_key
where %(site_id)s::text is null or c.site_id = %(site_id)s
order by c.site_id, c.camera_id

-- name: expect_cameras --
-- A person's word on the cameras whose id matches (* stands for anything); those it changed.
select c.camera_id, ops.expect_camera(c.site_key, c.camera_key, %(expected)s, %(who)s)
from floor.cameras c
where c.site_key = %(site_key)s
  and c.camera_id like
      replace(regexp_replace(%(cameras)s, '([\\%%_])', '\\\1', 'g'), '*', '%%')
order by c.camera_id
