-- Spans of a worker in which he was not seen for long: a cut does not touch their every hour.

create or replace function floor.longest_span()
returns interval
language sql immutable
set search_path = floor, pg_temp
as $$
-- A span up to this is touched hour by hour; a longer one where there are events.
    select interval '7 days'
$$;

create or replace function floor.hours_of_long_spans(
    p_site_key integer, p_workers integer[], p_from timestamptz[], p_to timestamptz[])
returns table (worker_key integer, hour timestamptz)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- The hours, bounds included, of those of the spans that are longer than longest_span(),
-- without the days that no piece can reach: one lies less than three days after its state.
-- A camera whose clock once stood at the year 2000 costs its own days, not a quarter century.
declare
    workers integer[];
    froms timestamptz[];
    tos timestamptz[];
begin
    select array_agg(s.worker), array_agg(s.from_time), array_agg(s.to_time)
    into workers, froms, tos
    from unnest(p_workers, p_from, p_to) as s (worker, from_time, to_time)
    where s.to_time - s.from_time > floor.longest_span();
    if workers is null then
        return;
    end if;
    return query
    select s.worker, h.hour
    from unnest(workers, froms, tos) as s (worker, from_time, to_time)
    cross join lateral generate_series(
        date_trunc('day', s.from_time), s.to_time, interval '1 day') as d (day)
    cross join lateral (
        select
        from floor.events e
        where e.site_key = p_site_key and e.worker_key = s.worker
          and e.time >= d.day - floor.longest_reach() and e.time < d.day + interval '1 day'
        limit 1
    ) seen
    cross join lateral generate_series(
        greatest(d.day, floor.hour_of(s.from_time)),
        least(d.day + interval '23 hours', s.to_time), interval '1 hour') as h (hour);
end
$$;
