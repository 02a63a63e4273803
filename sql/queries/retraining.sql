-- name: raise --
-- New requests of one site, by its signals and by what people found.
select ops.raise_retraining(%(site_key)s, %(now)s)

-- name: request --
-- A person's request; null where one is open.
select ops.request_retraining(%(site_key)s, %(model_key)s, 'person', %(now)s, %(who)s, %(note)s,
    ops.retraining_evidence(%(site_key)s, %(model_key)s, %(now)s))

-- name: open_of --
-- The open request of a site and model.
select r.request_key, r.state
from ops.retraining_requests r
where r.site_key = %(site_key)s and r.model_key = %(model_key)s
  and r.state not in ('deployed', 'rejected')

-- name: model_key --
-- The key of a model version, 0 for null.
select floor.key_of_model(%(site_key)s, %(model)s)

-- name: versions_without_unnamed --
-- Versions of a site, the newest first, if every event of it names one; else null. (An empty
-- site: null, too.)
select string_agg(m.model_version, ', ' order by m.model_key desc)
from floor.models m
where m.site_key = %(site_key)s
  and not exists (select from floor.model_daily d
                  where d.site_key = %(site_key)s and d.model_key = 0)

-- name: move --
-- From one state to the next.
select ops.move_retraining(%(request)s, %(state)s, clock_timestamp(), %(who)s, %(note)s,
    %(detail)s::jsonb)

-- name: list --
-- Requests, the open ones first.
select r.request_id, r.site_id, r.model_version, r.request_state, r.reason, r.requested_at,
    r.requested_by, r.state_at
from analytics.retraining_requests r
where (%(site)s::text is null or r.site_id = %(site)s)
  and case when %(state)s::text is null then r.request_state not in ('deployed', 'rejected')
           else %(state)s in ('all', r.request_state) end
order by r.request_state in ('deployed', 'rejected'), r.request_id desc
limit %(limit)s

-- name: page --
-- Requests of some sites (null: all), the newest first, behind one of them.
select r.*
from analytics.retraining_requests r
where (%(sites)s::text[] is null or r.site_id = any (%(sites)s))
  and (%(after)s::bigint is null or r.request_id < %(after)s)
  and case when %(state)s = 'open' then r.request_state not in ('deployed', 'rejected')
           else %(state)s in ('all', r.request_state) end
order by r.request_id desc
limit %(limit)s

-- name: page_of_calls --
-- Calls of some sites (null: all), the newest first, behind one of them.
select c.*
from analytics.retraining_calls c
where (%(sites)s::text[] is null or c.site_id = any (%(sites)s))
  and (%(after)s::bigint is null or c.call_id < %(after)s)
  and %(state)s in ('all', c.call_state)
order by c.call_id desc
limit %(limit)s

-- name: one --
-- A request.
select r.request_id, r.site_id, r.model_version, r.request_state, r.reason, r.requested_at,
    r.requested_by, r.state_at, r.evidence
from analytics.retraining_requests r
where r.request_id = %(request)s

-- name: steps --
-- Its history.
select h.was, h.request_state, h.at, h.who, h.note, h.detail
from analytics.retraining_steps h
where h.request_id = %(request)s
order by h.step_id

-- name: calls --
-- Whom its exports were told to.
select c.export_id, c.folder, c.exported_at, c.target, c.call_state, c.attempts, c.next_at,
    c.delivered_at, c.answer, c.last_error
from analytics.retraining_calls c
where c.request_id = %(request)s
order by c.export_id, c.target

-- name: retry_calls --
-- Calls of a request that are due at once; how many.
select ops.retry_retraining_calls(%(request)s)

-- name: keys --
-- What an export needs of a request, and the gate of its site.
select r.site_key, r.model_key, p.min_confidence, floor.events_kept_from(r.site_key)
from ops.retraining_requests r
join floor.settings_spans p
  on p.site_key = r.site_key and p.valid_from <= clock_timestamp()
 and p.valid_to > clock_timestamp()
where r.request_key = %(request)s

-- name: known_at --
-- Up to when everything that will ever have arrived can be seen: before the oldest transaction
-- that still writes (events carry its start), if that is not older than ten minutes.
select clock_timestamp(), greatest(
    least(clock_timestamp(), min(a.xact_start)), clock_timestamp() - interval '10 minutes')
from pg_stat_activity a
where a.datname = current_database() and a.backend_xid is not null
  and a.pid <> pg_backend_pid()

-- name: counts --
-- All events of a model in a range, as they were known.
select count(*)
from floor.events e
where e.site_key = %(site_key)s and coalesce(e.model_key, 0) = %(model_key)s
  and e.time >= %(from)s and e.time < %(to)s and e.ingested_at <= %(known_at)s

-- name: training_rows --
-- What a trainer gets of a range: events that people found wrong, those below a confidence,
-- and of the rest those whose draw is below the share; all as known at an instant.
with said as materialized (
    select distinct on (v.worker_key, v.time, v.workstation_key, v.event_type)
        v.worker_key, v.time, v.workstation_key, v.event_type, v.verdict, v.right_label
    from ops.validations v
    where v.site_key = %(site_key)s and v.time >= %(from)s and v.time < %(to)s
      and v.recorded_at <= %(known_at)s
    order by v.worker_key, v.time, v.workstation_key, v.event_type, v.validated_at desc,
        v.validation_key desc
)
select
    e.time, w.worker_id, b.workstation_id, floor.event_type_name(e.event_type), e.confidence,
    nullif(e.count, 0), e.duration_s, c.camera_id, q.selected_as, d.verdict, d.right_label
from floor.events e
join floor.workers w on w.worker_key = e.worker_key
join floor.workstations b on b.workstation_key = e.workstation_key
left join floor.cameras c on c.camera_key = e.camera_key
left join said d
  on d.worker_key = e.worker_key and d.time = e.time
 and d.workstation_key = e.workstation_key and d.event_type = e.event_type
cross join lateral (
    select case
        when d.verdict = 'wrong' then 'misclassified'
        when e.confidence < %(low_confidence)s::real then 'low_confidence'
        when floor.draw(%(seed)s, %(site)s, w.worker_id, b.workstation_id, e.event_type,
                e.time) < %(share)s
        then 'sample' end as selected_as
) q
where e.site_key = %(site_key)s and coalesce(e.model_key, 0) = %(model_key)s
  and e.time >= %(from)s and e.time < %(to)s and e.ingested_at <= %(known_at)s
  and q.selected_as is not null
order by e.time, w.worker_id collate "C", b.workstation_id collate "C", e.event_type

-- name: keep_export --
-- The request is exported, and its calls wait.
select ops.keep_export(%(request)s, %(folder)s, %(manifest)s, %(sha256)s, clock_timestamp(),
    %(who)s, %(note)s)

-- name: claim_call --
-- The next call that is due.
select c.call_key, c.target, c.attempt, c.delivery_id, c.request_key, c.site_id,
    c.model_version, c.reason, c.evidence, c.folder, c.manifest, c.manifest_sha256
from ops.claim_retraining_call(
    %(targets)s::text[], %(request)s::bigint, %(seen)s::bigint[]) c
where c.call_key is not null

-- name: call_delivered --
-- It worked.
update ops.retraining_calls c
set delivered_at = clock_timestamp(), answer = %(answer)s, last_error = null
where c.call_key = %(call)s

-- name: call_failed --
-- It did not; after so many attempts it is given up.
update ops.retraining_calls c
set last_error = %(error)s,
    gave_up_at = case when c.attempts >= %(most)s then clock_timestamp() end
where c.call_key = %(call)s and c.delivered_at is null
