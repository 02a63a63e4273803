-- name: candidates --
-- Unfinished loads that began with the same bytes and options, the furthest first. Of a
-- file that grows also those that are done, the latest first.
select
    l.load_id, l.bytes_done, l.lines_done, coalesce(l.prefix_digest, sha256('')),
    coalesce(l.block_end, 0), coalesce(l.block_digest, sha256(''))
from ingest.loads l
where l.head_digest = %(head_digest)s
    and l.options = %(options)s
    and (%(grows)s or l.state <> 'done')
order by case when %(grows)s then l.load_id else l.bytes_done end desc, l.load_id
limit 100;

-- name: followed --
-- How far the latest load of a followed file is.
select l.bytes_done, coalesce(l.prefix_digest, sha256(''))
from ingest.loads l
where l.head_digest = %(head_digest)s
order by l.load_id desc
limit 1;

-- name: claim --
-- Nobody else continues this load while we live.
select pg_advisory_lock(hashtext('floorpulse.load'), %(load_id)s::integer);

-- name: standing --
select
    l.bytes_done, l.lines_done, coalesce(l.prefix_digest, sha256('')),
    coalesce(l.block_end, 0), coalesce(l.block_digest, sha256(''))
from ingest.loads l
where l.load_id = %(load_id)s and (%(grows)s or l.state <> 'done');

-- name: release --
select pg_advisory_unlock(hashtext('floorpulse.load'), %(load_id)s::integer);

-- name: start --
insert into ingest.loads (source, site_id, options, head_digest)
values (%(source)s, %(site_id)s, %(options)s, %(head_digest)s)
returning load_id;

-- name: continue --
update ingest.loads
set state = 'running', error = null, updated_at = clock_timestamp()
where load_id = %(load_id)s
returning site_done, block_digest;

-- name: finish --
update ingest.loads
set state = 'done', finished_at = clock_timestamp(), updated_at = clock_timestamp()
where load_id = %(load_id)s;

-- name: fail --
update ingest.loads
set state = 'failed', error = %(error)s, updated_at = clock_timestamp()
where load_id = %(load_id)s;

-- name: counts --
select l.read, l.stored, l.duplicates, l.conflicts, l.parked_codes
from ingest.loads l
where l.load_id = %(load_id)s;
