-- name: be_durable --
-- What is committed here is told to be durable, whatever the server's setting; a setting
-- that asks for more stays.
select set_config('synchronous_commit', 'local', false)
where current_setting('synchronous_commit') = 'off';

-- name: arrival --
-- The database's clock, whether unknown sites are refused, and what sites say about the
-- events they take: a row a site, one without site where there is none. Spans are in
-- microseconds since 1970, null: open.
select clock_timestamp(), i.strict_sites, s.*
from floor.installation i
left join (
    select
        s.site_id,
        s.site_key,
        s.registration = 'strict' as strict,
        s.retention_days,
        floor.micros(floor.kept_from(s.site_key)) as kept_from_us,
        array_agg(p.timezone order by p.valid_from) as timezones,
        array_agg(floor.micros(p.valid_from) order by p.valid_from) as starts,
        array_agg(floor.micros(p.valid_to) order by p.valid_from) as ends
    from floor.sites s
    join floor.settings_spans p using (site_key)
    where s.site_id = any (%(site_ids)s)
    group by s.site_key
) s on true;

-- name: register_site --
-- A site seen for the first time, with default settings.
select floor.register_site(%(site_id)s, true);

-- name: known_workers --
select w.worker_id, w.worker_key
from floor.workers w
where w.site_key = %(site_key)s and w.worker_id = any (%(ids)s);

-- name: known_workstations --
select w.workstation_id, w.workstation_key
from floor.workstations w
where w.site_key = %(site_key)s and w.workstation_id = any (%(ids)s);

-- name: known_models --
select m.model_version, m.model_key
from floor.models m
where m.site_key = %(site_key)s and m.model_version = any (%(ids)s);

-- name: known_cameras --
select c.camera_id, c.camera_key
from floor.cameras c
where c.site_key = %(site_key)s and c.camera_id = any (%(ids)s);

-- name: register_workers --
select r.id, r.key from floor.register_workers(%(site_key)s, %(ids)s, true) r;

-- name: register_workstations --
select r.id, r.key from floor.register_workstations(%(site_key)s, %(ids)s, true) r;

-- name: register_models --
select r.id, r.key from floor.register_models(%(site_key)s, %(ids)s) r;

-- name: register_cameras --
select r.id, r.key from floor.register_cameras(%(site_key)s, %(ids)s) r;

-- name: ensure_chunks --
-- Partitions or chunks for a range, in a short transaction of their own.
select floor.ensure_chunks(%(from_time)s, %(to_time)s, %(rows)s);

-- name: make_key_staging --
-- Typed staging for the keys of a batch whose rows may already be there.
create temp table if not exists door_keys (
    position integer not null,
    worker_key integer not null,
    time timestamptz not null,
    workstation_key integer not null,
    event_type smallint not null
) on commit delete rows;

-- name: make_reject_staging --
create temp table if not exists door_rejects (
    code text not null,
    message text not null,
    raw bytea not null,
    line bigint,
    site_id text,
    source text
) on commit delete rows;

-- name: stage_rejects --
copy pg_temp.door_rejects (code, message, raw, line, site_id, source) from stdin;

-- name: match_few --
-- Which of a few keys are stored, and what their events say (see matched_dtype).
select string_agg(
    int4send(k.position) || float4send(e.confidence) || int4send(e.count)
        || float8send(coalesce(e.duration_s, 0)), '')
from unnest(
    %(positions)s::int[], %(worker_keys)s::int[], %(times)s::timestamptz[],
    %(workstation_keys)s::int[], %(event_types)s::smallint[]
) as k (position, worker_key, time, workstation_key, event_type)
-- Lateral, with OFFSET: an index probe a key, whatever the planner thinks of unnest.
cross join lateral (
    select e.confidence, e.count, e.duration_s
    from floor.events e
    where e.site_key = %(site_key)s
        and e.worker_key = k.worker_key
        and e.time = k.time
        and e.workstation_key = k.workstation_key
        and e.event_type = k.event_type
        and e.time between %(from_time)s and %(to_time)s
    offset 0
) e;

-- name: count_between --
-- How many rows of a site a range holds, counted to the limit and no further.
select count(*)
from (
    select
    from floor.events e
    where e.site_key = %(site_key)s and e.time between %(from_time)s and %(to_time)s
    limit %(limit)s
) e;

-- name: stored_between --
-- All rows of a site in a range: keys and values.
select string_agg(
    int4send(e.worker_key) || timestamptz_send(e.time) || int4send(e.workstation_key)
        || int2send(e.event_type) || float4send(e.confidence) || int4send(e.count)
        || float8send(coalesce(e.duration_s, 0)), '')
from floor.events e
where e.site_key = %(site_key)s and e.time between %(from_time)s and %(to_time)s;

-- name: match_staged --
-- As match_few, for all keys in staging: in the order of the index, as they came.
select string_agg(
    int4send(k.position) || float4send(e.confidence) || int4send(e.count)
        || float8send(coalesce(e.duration_s, 0)), '')
from pg_temp.door_keys k
cross join lateral (
    select e.confidence, e.count, e.duration_s
    from floor.events e
    where e.site_key = %(site_key)s
        and e.worker_key = k.worker_key
        and e.time = k.time
        and e.workstation_key = k.workstation_key
        and e.event_type = k.event_type
        and e.time between %(from_time)s and %(to_time)s
    offset 0
) e;

-- name: park --
-- Staged rejects into the books; bytes that came before from the same source, and are read
-- in the same way, are counted.
with reading as (
    select coalesce(
        (select sha256(convert_to((l.options::jsonb - 'part')::text, 'UTF8'))
         from ingest.loads l
         where l.load_id = %(load_id)s and starts_with(l.options, '{')),
        ''::bytea) as digest
), staged as (
    select
        r.code,
        (array_agg(r.message order by r.line))[1] as message,
        r.raw,
        sha256(r.raw) as digest,
        min(r.line) as line,
        (array_agg(r.site_id))[1] as site_id,
        coalesce(r.source, %(source)s) as source,
        count(*)::int as seen
    from pg_temp.door_rejects r
    group by r.raw, r.code, coalesce(r.source, %(source)s)
)
insert into ingest.rejects as r
    (code, message, raw, raw_sha256, source, reading_sha256, line, site_id, load_id, seen,
     received_at, last_seen_at)
select
    s.code, s.message, s.raw, s.digest, s.source, reading.digest, s.line, s.site_id,
    %(load_id)s, s.seen, %(arrival)s, %(arrival)s
from staged s
cross join reading
order by s.digest, s.code, s.source
on conflict (raw_sha256, code, source, reading_sha256) do update
set seen = r.seen + excluded.seen, last_seen_at = excluded.last_seen_at,
    state = case r.state when 'retried' then 'parked' else r.state end;

-- name: tally --
insert into ingest.tallies
    (site_id, hour, stored, duplicates, conflicts, parked, late, latency_histogram, unzoned)
values
    (%(site_id)s, %(hour)s, %(stored)s, %(duplicates)s, %(conflicts)s, %(parked)s, %(late)s,
     %(latency_histogram)s,
     case
         when exists (
             select
             from floor.site_settings q
             join floor.sites s on s.site_key = q.site_key
             where s.site_id = %(site_id)s and q.timezone is not null) then 0
         else %(naive)s
     end);

-- name: admit_few --
-- A few new events of one site and all that goes with them, in one statement: all or, where
-- the unique key objects, nothing. The events come in the order that all writers keep.
with given as (
    select *
    from json_to_recordset(%(events)s) as g (
        worker_key integer, time timestamptz, duration_s double precision,
        workstation_key integer, confidence real, count integer, model_key integer,
        camera_key integer, event_type smallint)
), stored as (
    insert into floor.events
        (site_key, worker_key, time, duration_s, workstation_key, confidence, count,
         model_key, camera_key, event_type)
    select
        %(site_key)s, g.worker_key, g.time, g.duration_s, g.workstation_key, g.confidence,
        g.count, g.model_key, g.camera_key, g.event_type
    from given g
), marked as (
    insert into floor.dirty (site_key, worker_key, from_time, to_time, events)
    select %(site_key)s, d.worker_key, d.from_time, d.to_time, d.events
    from json_to_recordset(%(dirty)s) as d (
        worker_key integer, from_time timestamptz, to_time timestamptz, events integer)
), counted as (
    insert into ingest.tallies
        (site_id, hour, stored, duplicates, conflicts, parked, late, latency_histogram)
    values
        (%(site_id)s, %(hour)s, %(stored)s, 0, 0, 0, %(late)s, %(latency_histogram)s)
)
select pg_notify('floorpulse_events', %(payload)s);

-- name: notify --
select pg_notify('floorpulse_events', %(payload)s);

-- name: advance_load --
-- Counts of one committed part; the resume point moves with the last part of a block.
update ingest.loads
set read = read + %(read)s,
    stored = stored + %(stored)s,
    duplicates = duplicates + %(duplicates)s,
    conflicts = conflicts + %(conflicts)s,
    parked = parked + %(parked)s,
    parked_codes = (
        select coalesce(jsonb_object_agg(added.code, added.rows), '{}')
        from (
            select c.key as code, sum(c.value::bigint) as rows
            from (
                select * from jsonb_each_text(parked_codes)
                union all
                select * from jsonb_each_text(%(parked_codes)s)
            ) c
            group by c.key
        ) added
    ),
    site_done = %(site_done)s,
    block_end = %(block_end)s,
    block_digest = %(block_digest)s,
    bytes_done = coalesce(%(bytes_done)s, bytes_done),
    lines_done = coalesce(%(lines_done)s, lines_done),
    prefix_digest = coalesce(%(prefix_digest)s, prefix_digest),
    updated_at = %(arrival)s
where load_id = %(load_id)s;
