-- name: list --
-- Parked events, the newest first.
select
    r.reject_id, r.code, r.message, r.source, r.line, r.site_id, r.seen, r.state,
    r.received_at, r.last_seen_at, r.state_by, r.mended, r.raw
from ingest.rejects r
where (%(site)s::text is null or r.site_id = %(site)s)
  and (%(code)s::text is null or r.code = %(code)s)
  and (%(source)s::text is null or r.source = %(source)s)
  and (%(ids)s::bigint[] is null or r.reject_id = any (%(ids)s))
  and (%(state)s::text is null or r.state = %(state)s)
order by r.last_seen_at desc, r.reject_id desc
limit %(limit)s

-- name: codes --
-- How many rows stand parked, by code; a row counts as often as it was seen.
select r.code, count(*) as distinct_rows, sum(r.seen)::bigint as seen,
    max(r.last_seen_at) as last_seen_at
from ingest.rejects r
where (%(site)s::text is null or r.site_id = %(site)s)
  and (%(code)s::text is null or r.code = %(code)s)
  and (%(source)s::text is null or r.source = %(source)s)
  and (%(ids)s::bigint[] is null or r.reject_id = any (%(ids)s))
  and (%(state)s::text is null or r.state = %(state)s)
group by r.code
order by r.code

-- name: parked --
-- What stands parked and how its load read it, in pages by reject_id; conflicts are no
-- events that could still come in.
select r.reject_id, r.code, r.raw, r.source, r.load_id, coalesce(l.options, '') as options
from ingest.rejects r
left join ingest.loads l on l.load_id = r.load_id
where r.state = 'parked' and r.code <> 'conflict' and r.reject_id > %(after)s
  and (%(until)s::bigint is null or r.reject_id <= %(until)s)
  and (%(site)s::text is null or r.site_id = %(site)s)
  and (%(code)s::text is null or r.code = %(code)s)
  and (%(source)s::text is null or r.source = %(source)s)
  and (%(ids)s::bigint[] is null or r.reject_id = any (%(ids)s))
order by r.reject_id
limit %(limit)s

-- name: mark_retried --
-- These came in after all, or are parked anew under another code.
update ingest.rejects r
set state = 'retried', state_at = clock_timestamp(), state_by = %(who)s,
    mended = %(mended)s
where r.reject_id = any (%(reject_ids)s)

-- name: last --
-- The newest row.
select coalesce(max(r.reject_id), 0) from ingest.rejects r

-- name: wait_so_long --
select set_config('lock_timeout', %(wait)s, true);

-- name: alone --
-- Nobody else sends parked rows again until this session ends.
select pg_advisory_lock(hashtext('floorpulse.rejects'), 0);

-- name: page --
-- A page of parked events, the newest first.
select
    r.reject_id, r.code, r.message, r.source, r.line, r.site_id, r.seen, r.state,
    r.received_at, r.last_seen_at, r.state_at, r.state_by, r.mended, r.raw
from ingest.rejects r
where (%(site)s::text is null or r.site_id = %(site)s)
  and (%(code)s::text is null or r.code = %(code)s)
  and (%(source)s::text is null or r.source = %(source)s)
  and (%(ids)s::bigint[] is null or r.reject_id = any (%(ids)s))
  and (%(state)s::text is null or r.state = %(state)s)
  and (%(before)s::bigint is null or r.reject_id < %(before)s)
order by r.reject_id desc
limit %(limit)s
