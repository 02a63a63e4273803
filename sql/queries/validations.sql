-- name: admit --
-- Verdicts on events of one site: what became of each row.
select a.said_row, a.outcome, a.nearest
from ops.admit_validations(
    %(site_key)s, %(now)s, %(rows)s::int[], %(workers)s::text[], %(workstations)s::text[],
    %(times)s::timestamptz[], %(types)s::smallint[], %(verdicts)s::text[], %(labels)s::text[],
    %(by)s::text[], %(at)s::timestamptz[], %(notes)s::text[], %(source)s) a

-- name: park --
-- A verdict that could not be taken; the same bytes again are counted.
insert into ops.validations_parked as p
    (code, message, raw, raw_sha256, fields, source, line, site_id, said_by)
values (%(code)s, %(message)s, %(raw)s, sha256(%(raw)s::bytea), %(fields)s, %(source)s, %(line)s,
        %(site_id)s, %(said_by)s)
on conflict (raw_sha256, code, source) do update
set seen = p.seen + 1, last_seen_at = clock_timestamp(), message = excluded.message,
    state = 'parked'

-- name: parked --
-- What stands parked, in the order in which it came.
select p.parked_key, p.code, p.message, p.source, p.line, p.site_id, p.seen, p.received_at,
    p.last_seen_at, p.said_by, p.raw, p.fields
from ops.validations_parked p
where p.state = 'parked' and (%(site)s::text is null or p.site_id = %(site)s)
  and (%(code)s::text is null or p.code = %(code)s)
order by p.parked_key
limit %(limit)s

-- name: mark_retried --
-- These came in after all, or are parked anew under another code.
update ops.validations_parked p
set state = 'retried', state_at = clock_timestamp(), state_by = %(who)s
where p.parked_key = any (%(parked_keys)s)

-- name: list --
-- Verdicts, the newest first; of events that people changed their mind about only the last,
-- unless the history is asked for.
select v.site_id, v.time, v.worker_id, v.workstation_id, v.event_type, v.model_version,
    v.camera_id, v.confidence, v.verdict, v.right_label, v.validated_by, v.validated_at, v.note,
    v.stands
from analytics.validations v
where (%(site)s::text is null or v.site_id = %(site)s)
  and (%(model)s::text is null or v.model_version = %(model)s)
  and (%(verdict)s::text is null or v.verdict = %(verdict)s)
  and (v.stands or %(history)s)
order by v.validated_at desc, v.site_id, v.time desc, v.worker_id
limit %(limit)s

-- name: accuracy --
-- How right each model version is, by what people found.
select a.site_id, a.model_version, a.validated, a.right_verdicts, a.wrong_verdicts, a.accuracy,
    a.accuracy_low, a.accuracy_high, a.first_event_at, a.last_event_at, a.last_validated_at
from analytics.model_accuracy a
where %(site)s::text is null or a.site_id = %(site)s
order by a.site_id, a.last_event_at desc, a.model_version

-- name: sample --
-- Events of a site that nobody has looked at yet, drawn at random, in the order of time.
select s.time, s.site_id, s.worker_id, s.workstation_id, s.event_type, s.confidence,
    s.model_version, s.camera_id
from (
    select e.time, i.site_id, w.worker_id, b.workstation_id,
        floor.event_type_name(e.event_type) as event_type, e.confidence, m.model_version,
        c.camera_id
    from floor.sites i
    join floor.events e on e.site_key = i.site_key
    join floor.workers w on w.worker_key = e.worker_key
    join floor.workstations b on b.workstation_key = e.workstation_key
    left join floor.models m on m.model_key = e.model_key
    left join floor.cameras c on c.camera_key = e.camera_key
    where i.site_key = %(site_key)s
      and e.time >= clock_timestamp() - make_interval(days => %(days)s)
      and (%(model)s::text is null or m.model_version = %(model)s)
      and not exists (
          select from ops.validations v
          where v.site_key = e.site_key and v.time = e.time and v.worker_key = e.worker_key
            and v.workstation_key = e.workstation_key and v.event_type = e.event_type)
    order by floor.draw(%(seed)s, i.site_id, w.worker_id, b.workstation_id, e.event_type, e.time)
    limit %(count)s
) s
order by s.time, s.worker_id collate "C", s.workstation_id collate "C", s.event_type
