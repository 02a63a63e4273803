-- name: shift_key --
-- The key of a site's shift.
select s.shift_key
from floor.shifts s
where s.site_key = %(site_key)s and s.name = %(name)s

-- name: name_shift --
-- A new shift name.
insert into floor.shifts (site_key, name)
values (%(site_key)s, %(name)s)
returning shift_key

-- name: add_version --
-- How a shift runs from an instant on; exclusion_violation where shifts overlap.
select floor.add_shift_version(
    %(shift_key)s, %(weekdays)s::smallint[], %(start_min)s, %(length_min)s,
    %(break_starts)s::integer[], %(break_lengths)s::integer[],
    %(valid_from)s::timestamptz, 'infinity', %(recorded_at)s)

-- name: end_versions --
-- From an instant on no version of the shift holds.
select floor.end_shift_versions(%(shift_key)s, %(valid_from)s::timestamptz, %(recorded_at)s)

-- name: overlapped --
-- The shift in whose way a new version stands, and where in the week.
select s.name, lower(w.week_minutes * m.minutes), upper(w.week_minutes * m.minutes)
from floor.shift_week w
join floor.shift_versions v on v.version_key = w.version_key
join floor.shifts s on s.shift_key = v.shift_key
join floor.week_minutes(%(weekdays)s::smallint[], %(start_min)s, %(length_min)s) m
  on m.minutes && w.week_minutes
where w.site_key = %(site_key)s
  and w.valid && tstzrange(%(valid_from)s::timestamptz, 'infinity')
  and (s.shift_key <> %(shift_key)s or not %(replaces)s)
order by 2, 1
limit 1

-- name: shifts --
-- Shifts held to be true, of one site or of all; null bounds are open.
select
    st.site_id, s.name, v.weekdays, floor.minute_of_day(v.start_local) as start_min,
    v.length_min,
    coalesce((
        select array_agg(array[floor.minute_of_day(b.start_local), b.length_min]
                         order by b.start_local)
        from floor.breaks b
        where b.version_key = v.version_key), '{}') as breaks,
    nullif(v.valid_from, '-infinity') as valid_from,
    nullif(v.valid_to, 'infinity') as valid_to,
    v.valid_from <= now() and v.valid_to > now() as in_force
from floor.shift_versions v
join floor.shifts s on s.shift_key = v.shift_key
join floor.sites st on st.site_key = v.site_key
where v.superseded_at is null and (%(site_id)s::text is null or st.site_id = %(site_id)s)
order by st.site_id, v.valid_from, start_min, s.name, v.weekdays
