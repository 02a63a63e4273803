-- What the engines' chunk makers share.
create or replace function floor.missing_days(p_from timestamptz, p_to timestamptz)
returns table (day timestamptz)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- UTC days that touch [p_from, p_to] and lie in no partition or chunk yet.
begin
    return query
    with standing as materialized (select p.starts_at, p.ends_at from floor.partitions p)
    select d.day
    from generate_series(date_trunc('day', p_from), p_to, interval '1 day') as d (day)
    where not exists (
        select from standing s where s.starts_at <= d.day and s.ends_at > d.day);
end
$$;

create or replace function floor.is_sparse(p_from timestamptz, p_to timestamptz, p_rows bigint)
returns boolean
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Whether so many rows between two instants are too few for a chunk a day.
    select p_to - p_from > interval '3 days'
       and p_rows / greatest(1, extract(epoch from p_to - p_from) / 86400) < 100000
$$;

create or replace function floor.covered_us(p_ranges tstzmultirange)
returns bigint
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Length of a union of time ranges, in microseconds.
    select coalesce(sum(extract(epoch from upper(r) - lower(r)) * 1000000), 0)::bigint
    from unnest(p_ranges) as r
$$;

create or replace function floor.hour_of(p_time timestamptz)
returns timestamptz
language sql immutable strict parallel safe
as $$
-- UTC hour that an instant lies in. (date_trunc follows the session's zone. No SET here:
-- it would keep the planner from inlining what runs once a row.)
    select pg_catalog.date_bin('1 hour', p_time, '2000-01-01 00:00:00+00')
$$;
