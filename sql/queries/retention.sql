-- name: sites --
-- Sites that keep events for some days only, or have done so.
select s.site_key, s.site_id
from floor.sites s
left join floor.retention r on r.site_key = s.site_key
where s.retention_days is not null or r.site_key is not null
order by s.site_key

-- name: be_brief --
-- Who waits for a lock holds up those who come after.
select set_config('lock_timeout', '300ms', false)

-- name: keep_from --
-- The mark of a site is moved, if it can be; and what it waits for.
select k.kept_from, k.waits_for
from floor.keep_from(
    %(site_key)s, coalesce(%(now)s::timestamptz, clock_timestamp())) k

-- name: step --
-- One transaction of deleting.
select f.what, f.gone, f.statement from floor.forget_step(%(site_key)s, %(rows)s) f
