-- Statements about shifts: versions come and go, and the database refuses overlaps.
create or replace function floor.week_minutes(
    p_weekdays smallint[], p_start_min integer, p_length_min integer)
returns table (minutes int4range)
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
-- The minutes of the week, from Monday 00:00, in which the shift runs; past Sunday
-- midnight it goes on at 0.
    with starts as (
        select d * 1440 + p_start_min as low
        from unnest(p_weekdays) as w (d)
    )
    select int4range(s.low, least(s.low + p_length_min, 10080))
    from starts s
    union all
    select int4range(0, s.low + p_length_min - 10080)
    from starts s
    where s.low + p_length_min > 10080
$$;

create or replace function floor.add_shift_version(
    p_shift_key integer, p_weekdays smallint[], p_start_min integer, p_length_min integer,
    p_break_starts integer[], p_break_lengths integer[],
    p_from timestamptz, p_to timestamptz, p_recorded_at timestamptz)
returns void
language plpgsql
set search_path = floor, pg_temp
as $$
-- One version with its breaks; raises exclusion_violation where it overlaps another.
declare
    site integer := (select s.site_key from floor.shifts s where s.shift_key = p_shift_key);
    key integer;
begin
    insert into floor.shift_versions
        (shift_key, site_key, weekdays, start_local, length_min, valid_from, valid_to,
         recorded_at)
    values (p_shift_key, site, p_weekdays, time '00:00' + p_start_min * interval '1 minute',
            p_length_min, p_from, p_to, p_recorded_at)
    returning version_key into key;
    insert into floor.breaks (version_key, start_local, length_min)
    select key, time '00:00' + b.start_min * interval '1 minute', b.length_min
    from unnest(p_break_starts, p_break_lengths) as b (start_min, length_min);
    insert into floor.shift_week (version_key, site_key, week_minutes, valid)
    select key, site, m.minutes, tstzrange(p_from, p_to)
    from floor.week_minutes(p_weekdays, p_start_min, p_length_min) m;
end
$$;

create or replace function floor.end_shift_versions(
    p_shift_key integer, p_from timestamptz, p_recorded_at timestamptz)
returns integer
language plpgsql
set search_path = floor, pg_temp
as $$
-- From p_from on no version of the shift holds; what held before it stands in copies.
-- Returns how many versions were superseded.
declare
    v floor.shift_versions;
    ended integer := 0;
begin
    for v in
        select *
        from floor.shift_versions q
        where q.shift_key = p_shift_key and q.superseded_at is null and q.valid_to > p_from
        order by q.version_key
    loop
        update floor.shift_versions q
        set superseded_at = p_recorded_at
        where q.version_key = v.version_key;
        delete from floor.shift_week w where w.version_key = v.version_key;
        if v.valid_from < p_from then
            perform floor.add_shift_version(
                p_shift_key, v.weekdays, floor.minute_of_day(v.start_local), v.length_min,
                (select array_agg(floor.minute_of_day(b.start_local) order by b.start_local)
                 from floor.breaks b where b.version_key = v.version_key),
                (select array_agg(b.length_min order by b.start_local)
                 from floor.breaks b where b.version_key = v.version_key),
                v.valid_from, p_from, p_recorded_at);
        end if;
        ended := ended + 1;
    end loop;
    return ended;
end
$$;

create or replace function floor.minute_of_day(p_time time)
returns integer
language sql immutable strict parallel safe
as $$
    select (extract(epoch from p_time) / 60)::integer
$$;
