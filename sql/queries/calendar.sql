-- name: lock_site --
-- One writer at a time to a site's settings, shifts and calendar; until the transaction ends.
select pg_advisory_xact_lock(hashtext('floorpulse.site'), %(site_key)s)

-- name: coverage --
-- The range that has slices, in microseconds.
select floor.micros(c.covered_from), floor.micros(c.covered_to)
from floor.calendar_coverage c
where c.site_key = %(site_key)s

-- name: kept_from --
-- The calendar before it stays as it was when its hours were counted; null: none does.
select floor.micros(floor.kept_from(%(site_key)s))

-- name: set_coverage --
-- The range that has slices from now on.
insert into floor.calendar_coverage (site_key, covered_from, covered_to)
values (%(site_key)s, %(covered_from)s, %(covered_to)s)
on conflict (site_key) do update
set covered_from = excluded.covered_from, covered_to = excluded.covered_to

-- name: spans --
-- What the calendar needs of the settings.
select s.timezone, s.count_breaks, floor.micros(s.valid_from), floor.micros(s.valid_to)
from floor.settings_spans s
where s.site_key = %(site_key)s
order by s.valid_from

-- name: versions --
-- Shift versions held to be true, breaks beside them.
select
    v.version_key, v.shift_key, v.weekdays,
    (extract(epoch from v.start_local) / 60)::int, v.length_min,
    coalesce(array_agg((extract(epoch from b.start_local) / 60)::int order by b.start_local)
        filter (where b.version_key is not null), '{}'),
    coalesce(array_agg(b.length_min order by b.start_local)
        filter (where b.version_key is not null), '{}'),
    floor.micros(v.valid_from), floor.micros(v.valid_to)
from floor.shift_versions v
left join floor.breaks b on b.version_key = v.version_key
where v.site_key = %(site_key)s and v.superseded_at is null
group by v.version_key
order by v.version_key

-- name: clear_slices --
-- Slices that are about to be made again.
delete from floor.calendar_slices s
where s.site_key = %(site_key)s and s.hour >= %(since)s::timestamptz

-- name: clear_instances --
-- Instances that are about to be made again.
delete from floor.shift_instances i
where i.site_key = %(site_key)s and i.starts_at >= %(since)s::timestamptz

-- name: end_instances --
-- Instances that reach over an instant end there: what follows is about to be made again.
update floor.shift_instances i
set ends_at = %(since)s
where i.site_key = %(site_key)s and i.starts_at < %(since)s and i.ends_at > %(since)s

-- name: copy_slices --
-- Bulk write of slices.
copy floor.calendar_slices
    (site_key, hour, starts_at, ends_at, production_date, shift_key, in_break, shift_ends_at)
from stdin

-- name: copy_instances --
-- Bulk write of shift instances.
copy floor.shift_instances
    (site_key, shift_key, version_key, production_date, starts_at, ends_at)
from stdin
