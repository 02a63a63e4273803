-- Aggregates on TimescaleDB Community: real-time continuous aggregates, daily on hourly.
-- Same names as rollups.sql.

-- What a refresh and real-time aggregation read by.
-- Aggregates read pieces by hour. They come nearly in the order of time, so block ranges are
-- enough; a B-tree by time took two thirds of the time it takes to insert a backlog.
drop index if exists floor.activity_time;
create index if not exists activity_time_ranges on floor.activity using brin (time) with (autosummarize = on);

create materialized view if not exists floor.activity_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    site_key,
    public.time_bucket('1 hour', time) as hour,
    worker_key, workstation_key, production_date, shift_key,
    coalesce(sum(duration_us) filter (where state = 0 and not in_break), 0)::bigint as working_us,
    coalesce(sum(duration_us) filter (where state = 1 and not in_break), 0)::bigint as idle_us,
    coalesce(sum(duration_us) filter (where state = 2 and not in_break), 0)::bigint as absent_us,
    coalesce(sum(duration_us) filter (where in_break), 0)::bigint as break_us,
    sum(units) as units,
    sum(units_working) as units_working,
    sum(begins) as events
from floor.activity
group by site_key, public.time_bucket('1 hour', time),
    worker_key, workstation_key, production_date, shift_key
with no data;

create materialized view if not exists floor.site_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    site_key,
    public.time_bucket('1 hour', hour) as hour,
    production_date, shift_key,
    sum(working_us)::bigint as working_us,
    sum(idle_us)::bigint as idle_us,
    sum(units)::bigint as units
from floor.activity_hourly
group by site_key, public.time_bucket('1 hour', hour), production_date, shift_key
with no data;

create materialized view if not exists floor.activity_daily
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    site_key,
    public.time_bucket('1 day', hour) as day,
    worker_key, workstation_key, production_date, shift_key,
    sum(working_us)::bigint as working_us,
    sum(idle_us)::bigint as idle_us,
    sum(absent_us)::bigint as absent_us,
    sum(break_us)::bigint as break_us,
    sum(units)::bigint as units,
    sum(units_working)::bigint as units_working,
    sum(events)::bigint as events
from floor.activity_hourly
group by site_key, public.time_bucket('1 day', hour),
    worker_key, workstation_key, production_date, shift_key
with no data;

create materialized view if not exists floor.presence_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    site_key,
    public.time_bucket('1 hour', time) as hour,
    workstation_key, production_date, shift_key,
    floor.covered_us(range_agg(tstzrange(time, ends_at))) as occupied_us,
    coalesce(floor.covered_us(range_agg(tstzrange(time, ends_at)) filter (where state = 0)), 0) as operating_us
from floor.activity
where state < 2 and not in_break
group by site_key, public.time_bucket('1 hour', time),
    workstation_key, production_date, shift_key
with no data;

create materialized view if not exists floor.presence_daily
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    site_key,
    public.time_bucket('1 day', hour) as day,
    workstation_key, production_date, shift_key,
    sum(occupied_us)::bigint as occupied_us,
    sum(operating_us)::bigint as operating_us
from floor.presence_hourly
group by site_key, public.time_bucket('1 day', hour),
    workstation_key, production_date, shift_key
with no data;

create or replace function floor.watermark(p_aggregate text)
returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
-- Below it an aggregate answers from what is materialized, from it on from the source.
begin
    return coalesce(
        (select _timescaledb_functions.to_timestamp(
                    _timescaledb_functions.cagg_watermark(c.mat_hypertable_id))
         from _timescaledb_catalog.continuous_agg c
         where c.user_view_schema = 'floor' and c.user_view_name = p_aggregate),
        '-infinity');
end
$$;

create or replace function floor.refresh_calls(p_hours timestamptz[], p_now timestamptz)
returns table (statement text)
language sql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- CALLs that materialize these hours, sources before what stands on them. Hours and days
-- still open at p_now stay with real-time aggregation, unless the watermark is past them
-- already: below it a change is invisible until refreshed. Ranges at most 3 hours apart
-- (3 days for the daily ones) are one call: a call costs 16 to 26 ms, an untouched hour
-- nothing.
    with aggregates (place, aggregate, step) as (
        values (1, 'activity_hourly', interval '1 hour'), (2, 'presence_hourly', interval '1 hour'),
               (3, 'site_hourly', interval '1 hour'),
               (4, 'activity_daily', interval '1 day'), (5, 'presence_daily', interval '1 day')
    ),
    buckets as (
        select distinct g.place, g.aggregate, g.step,
            date_bin(g.step, h.hour, '2000-01-01 00:00:00+00') as starts_at
        from aggregates g
        cross join unnest(p_hours) as h (hour)
        where date_bin(g.step, h.hour, '2000-01-01 00:00:00+00') + g.step <= p_now
           or date_bin(g.step, h.hour, '2000-01-01 00:00:00+00') < floor.watermark(g.aggregate)
    ),
    marked as (
        select b.*,
            b.starts_at - lag(b.starts_at) over (partition by b.aggregate order by b.starts_at)
                > 4 * b.step as is_new
        from buckets b
    ),
    numbered as (
        select m.*, count(*) filter (where m.is_new)
                        over (partition by m.aggregate order by m.starts_at) as stretch
        from marked m
    )
    -- A call that ends past the watermark moves it: whatever lies between the two must be
    -- in that call, or it would be neither materialized nor aggregated in real time.
    select format('call public.refresh_continuous_aggregate(''floor.%I'', %L, %L)', c.aggregate,
        case when c.ends_at <= c.watermark then c.starts_at
             when c.watermark > '1900-01-01' then least(c.starts_at, c.watermark) end,
        c.ends_at)
    from (
        select n.place, n.stretch, n.aggregate, floor.watermark(n.aggregate) as watermark,
            min(n.starts_at) as starts_at, max(n.starts_at) + max(n.step) as ends_at
        from numbered n
        group by n.place, n.stretch, n.aggregate
    ) c
    order by c.place, c.stretch
$$;

create or replace function floor.live_from(p_now timestamptz)
returns timestamptz
language sql stable
set search_path = floor, pg_temp
as $$
-- From here on real-time aggregation shows every change at once.
    select greatest(
        floor.watermark('activity_hourly'), floor.watermark('presence_hourly'),
        floor.watermark('site_hourly'), floor.watermark('activity_daily'), floor.watermark('presence_daily'),
        floor.hour_of(p_now))
$$;

create or replace function floor.aggregation_steps(p_site_key integer, p_now timestamptz)
returns table (statement text)
language plpgsql
set search_path = floor, pg_temp
as $$
-- The top-level statements that bring the aggregates of a site up to date, in order
-- (refresh_continuous_aggregate runs in no routine that has a SET and in no transaction).
-- Touched hours that are still live stay for a later refresh.
declare
    live_from timestamptz := floor.live_from(p_now);
    last_key bigint := (
        select max(t.touched_key) from floor.touched t
        where t.site_key = p_site_key and t.hour < live_from);
begin
    if last_key is null then
        return;
    end if;
    return query
    select c.statement
    from floor.refresh_calls(
        array(select distinct t.hour from floor.touched t
              where t.site_key = p_site_key and t.hour < live_from), p_now) c;
    return query
    select format('delete from floor.touched where site_key = %s and touched_key <= %s and hour < %L',
                  p_site_key, last_key, live_from);
end
$$;

create or replace function floor.live_aggregation(p_site_key integer, p_now timestamptz)
returns boolean
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Whether real-time aggregation shows all that was touched, within the cut's own
-- transaction. The live hours stay marked, a row each: when they close, or when another
-- site's refresh has moved the watermark over them meanwhile, the next refresh sees it.
declare
    live_from timestamptz := floor.live_from(p_now);
begin
    with live as (
        delete from floor.touched t
        where t.site_key = p_site_key and t.hour >= live_from
        returning t.hour
    )
    insert into floor.touched (site_key, hour, worker_key)
    select distinct p_site_key, l.hour, 0
    from live l;
    return not exists (
        select from floor.touched t where t.site_key = p_site_key and t.hour < live_from);
end
$$;

create or replace function floor.materialization_steps(p_now timestamptz)
returns table (statement text)
language sql stable
set search_path = floor, pg_temp
as $$
-- CALLs that materialize hours and days which have closed since the watermark.
    select c.statement
    from floor.refresh_calls(
        array(select generate_series(
            greatest(floor.watermark('activity_daily'), p_now - interval '7 days'),
            p_now, interval '1 hour')), p_now) c
$$;

create or replace function floor.waiting_hours(p_site_key integer)
returns bigint
language sql stable security definer
set search_path = floor, pg_temp
as $$
-- Touched hours that wait for their aggregates; live ones are shown anyway.
    select count(distinct t.hour) from floor.touched t
    where t.site_key = p_site_key
      and t.hour < floor.live_from((
          select r.cut_now from floor.refresh_state r where r.site_key = p_site_key))
$$;

create or replace function floor.folds_pieces()
returns boolean
language sql immutable
set search_path = floor, pg_temp
as $$
-- An hour is materialized anew for all sites at once, whoever touched it, and an hour whose
-- pieces are gone would be empty then. So pieces are put together, and never go altogether.
    select true
$$;

create or replace function floor.forget_pieces(
    p_site_key integer, p_from timestamptz, p_to timestamptz, p_rows integer,
    out gone bigint, out reached timestamptz)
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- Puts a site's pieces of whole hours together, about so many, and says up to where. What is
-- left says what the aggregates say and no more: they come out the same, to the microsecond,
-- whenever they are materialized again. Pieces of a kind become one row at the beginning of
-- their hour. It has no length, for presence counts the union of lengths; of each bench one
-- working row is as long as somebody worked there, one idle row as somebody was there.
begin
    reached := least(p_to, coalesce((
        select floor.hour_of(q.time) + interval '1 hour'
        from floor.activity q
        where q.site_key = p_site_key and q.time >= p_from and q.time < p_to
        order by q.time offset p_rows limit 1), p_to));
    with pieces as (
        delete from floor.activity a
        where a.site_key = p_site_key and a.time >= p_from and a.time < reached
        returning a.*, floor.hour_of(a.time) as hour
    ),
    present as (
        select p.hour, p.workstation_key, p.production_date, p.shift_key,
            floor.covered_us(range_agg(tstzrange(p.time, p.ends_at))) as occupied_us,
            coalesce(floor.covered_us(range_agg(tstzrange(p.time, p.ends_at))
                filter (where p.state = 0)), 0) as operating_us
        from pieces p
        where p.state < 2 and not p.in_break
        group by p.hour, p.workstation_key, p.production_date, p.shift_key
    ),
    -- 2,000 counts of a million units, the most there may be, are what an integer holds.
    numbered as (
        select p.*, row_number() over (
            partition by p.hour, p.worker_key, p.workstation_key, p.production_date, p.shift_key,
                p.state, p.in_break) / 2000 as part
        from pieces p
    ),
    folded as (
        select n.hour, n.worker_key, n.workstation_key, n.production_date, n.shift_key, n.state,
            n.in_break, sum(n.duration_us)::bigint as duration_us, sum(n.units)::integer as units,
            sum(n.units_working)::integer as units_working, sum(n.begins)::smallint as begins,
            row_number() over (
                partition by n.hour, n.workstation_key, n.production_date, n.shift_key, n.state,
                    n.in_break) as nth
        from numbered n
        group by n.hour, n.worker_key, n.workstation_key, n.production_date, n.shift_key, n.state,
            n.in_break, n.part
    ),
    kept as (
        insert into floor.activity
            (site_key, worker_key, time, ends_at, state_at, duration_us, workstation_key,
             shift_key, production_date, units, units_working, state, begins, in_break)
        select
            p_site_key, f.worker_key, f.hour,
            f.hour + interval '1 microsecond' * case
                when f.nth > 1 or f.in_break or f.state > 1 then 0
                when f.state = 0 then r.operating_us
                else r.occupied_us end,
            f.hour, f.duration_us, f.workstation_key, f.shift_key, f.production_date, f.units,
            f.units_working, f.state, f.begins, f.in_break
        from folded f
        left join present r
          on r.hour = f.hour and r.workstation_key = f.workstation_key
         and r.production_date = f.production_date and r.shift_key = f.shift_key
        order by f.worker_key, f.hour
    )
    select count(*) into gone from pieces;
end
$$;

create or replace function floor.tightened(p_from timestamptz, p_to timestamptz)
returns text
language sql stable
set search_path = floor, pg_temp
as $$
-- Gives back the room of a chunk of which every site's pieces were put together.
    select format('vacuum (full, analyze) %I.%I', c.chunk_schema, c.chunk_name)
    from timescaledb_information.chunks c
    where c.hypertable_schema = 'floor' and c.hypertable_name = 'activity'
      and c.range_start = p_from and c.range_end = p_to
$$;
