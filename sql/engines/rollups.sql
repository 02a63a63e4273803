-- Aggregates without continuous aggregates: tables of the same columns, in which what was
-- touched is replaced. Same names as continuous_aggregates.sql.

create table if not exists floor.activity_hourly (
    site_key integer not null,
    hour timestamptz not null,
    worker_key integer not null,
    workstation_key integer not null,
    production_date date not null,
    shift_key integer not null,
    working_us bigint not null,
    idle_us bigint not null,
    absent_us bigint not null,
    break_us bigint not null,
    units bigint not null,
    units_working bigint not null,
    events bigint not null,
    primary key (site_key, hour, worker_key, workstation_key, production_date, shift_key)
);

create table if not exists floor.activity_daily (
    site_key integer not null,
    day timestamptz not null,
    worker_key integer not null,
    workstation_key integer not null,
    production_date date not null,
    shift_key integer not null,
    working_us bigint not null,
    idle_us bigint not null,
    absent_us bigint not null,
    break_us bigint not null,
    units bigint not null,
    units_working bigint not null,
    events bigint not null,
    primary key (site_key, day, worker_key, workstation_key, production_date, shift_key)
);

create table if not exists floor.presence_hourly (
    site_key integer not null,
    hour timestamptz not null,
    workstation_key integer not null,
    production_date date not null,
    shift_key integer not null,
    occupied_us bigint not null,
    operating_us bigint not null,
    primary key (site_key, hour, workstation_key, production_date, shift_key)
);

create table if not exists floor.presence_daily (
    site_key integer not null,
    day timestamptz not null,
    workstation_key integer not null,
    production_date date not null,
    shift_key integer not null,
    occupied_us bigint not null,
    operating_us bigint not null,
    primary key (site_key, day, workstation_key, production_date, shift_key)
);

create table if not exists floor.site_hourly (
    site_key integer not null,
    hour timestamptz not null,
    production_date date not null,
    shift_key integer not null,
    working_us bigint not null,
    idle_us bigint not null,
    units bigint not null,
    primary key (site_key, hour, production_date, shift_key)
);

create or replace function floor.roll_up_sites(p_site_key integer, p_hours timestamptz[])
returns void
language plpgsql
set search_path = floor, pg_temp
set plan_cache_mode = force_custom_plan
as $$
-- Replaces the rows of a site as a whole from its hourly rows; null: every hour of every site.
begin
    delete from floor.site_hourly h
    where p_hours is null or (h.site_key = p_site_key and h.hour = any (p_hours));
    insert into floor.site_hourly
    select h.site_key, h.hour, h.production_date, h.shift_key,
        sum(h.working_us), sum(h.idle_us), sum(h.units)
    from floor.activity_hourly h
    where p_hours is null or (h.site_key = p_site_key and h.hour = any (p_hours))
    group by h.site_key, h.hour, h.production_date, h.shift_key;
end
$$;

-- An installation that has hourly rows from before there was this table.
do $$
begin
    if not exists (select from floor.site_hourly) then
        perform floor.roll_up_sites(null, null);
    end if;
end
$$;

create or replace function floor.aggregation_steps(p_site_key integer, p_now timestamptz)
returns table (statement text)
language sql stable
set search_path = floor, pg_temp
as $$
-- The top-level statements that bring the aggregates of a site up to date, in order.
-- Each takes a bounded amount; the caller asks again until none is left.
    select format('select floor.roll_up(%s)', p_site_key)
    where exists (select from floor.touched t where t.site_key = p_site_key)
$$;

create or replace function floor.live_aggregation(p_site_key integer, p_now timestamptz)
returns boolean
language plpgsql
set search_path = floor, pg_temp
as $$
-- Aggregates within the cut's own transaction where that is cheap, so that readers see
-- both or neither. Returns whether nothing is left to aggregate.
begin
    if (select count(*) from (
            select from floor.touched t where t.site_key = p_site_key limit 20001) q) > 20000 then
        return false;
    end if;
    loop
        exit when floor.roll_up(p_site_key) = 0;
    end loop;
    return true;
end
$$;

create or replace function floor.roll_up(p_site_key integer)
returns bigint
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Replaces the rows of what was touched on one UTC day, the newest first and at most
-- 100,000 marks at a time, and returns how many it took. Taking and using are two statements.
declare
    the_day timestamptz := (
        select date_trunc('day', max(t.hour)) from floor.touched t where t.site_key = p_site_key);
    last_key bigint;
    taken bigint;
    workers integer[];
    hours timestamptz[];
    stations integer[];
    station_hours timestamptz[];
begin
    select max(k.touched_key), count(*) into last_key, taken
    from (
        select t.touched_key from floor.touched t
        where t.site_key = p_site_key and t.hour >= the_day and t.hour < the_day + interval '1 day'
        order by t.touched_key
        limit 100000
    ) k;
    if taken = 0 then
        return 0;
    end if;
    select array_agg(d.worker_key), array_agg(d.hour) into workers, hours
    from (
        select distinct t.worker_key, t.hour
        from floor.touched t
        where t.site_key = p_site_key and t.touched_key <= last_key
          and t.hour >= the_day and t.hour < the_day + interval '1 day'
    ) d;
    select r.stations, r.hours into stations, station_hours
    from floor.roll_up_workers(p_site_key, the_day, workers, hours) r;
    perform floor.roll_up_stations(p_site_key, the_day, stations, station_hours);
    delete from floor.touched t
    where t.site_key = p_site_key and t.touched_key <= last_key
      and t.hour >= the_day and t.hour < the_day + interval '1 day';
    return taken;
end
$$;

create or replace function floor.roll_up_workers(
    p_site_key integer, p_day timestamptz, p_workers integer[], p_hours timestamptz[],
    out stations integer[], out hours timestamptz[])
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set work_mem = '256MB'
set enable_nestloop = off
set enable_mergejoin = off -- by hour alone it meets every row with every pair
as $$
-- Hourly rows of these (worker, hour) pairs of one UTC day from their pieces, then the site's
-- rows of these hours and the daily rows of these workers. Within a day's rows a hash join is
-- right whatever the planner's statistics say; pieces are read by index where the pairs are
-- few. Returns the (workstation, hour) pairs of the rows that went or came.
begin
    with gone as (
        delete from floor.activity_hourly h
        using unnest(p_workers, p_hours) as t (worker_key, hour)
        where h.site_key = p_site_key and h.worker_key = t.worker_key and h.hour = t.hour
          and h.hour >= p_day and h.hour < p_day + interval '1 day'
        returning h.workstation_key, h.hour
    )
    select array_agg(d.workstation_key), array_agg(d.hour) into stations, hours
    from (select distinct g.workstation_key, g.hour from gone g) d;

    perform set_config('enable_nestloop',
        case when cardinality(p_workers) > 2000 then 'off' else 'on' end, true);
    with made as (
        insert into floor.activity_hourly
        select
            p_site_key, t.hour, a.worker_key, a.workstation_key, a.production_date, a.shift_key,
            coalesce(sum(a.duration_us) filter (where a.state = 0 and not a.in_break), 0),
            coalesce(sum(a.duration_us) filter (where a.state = 1 and not a.in_break), 0),
            coalesce(sum(a.duration_us) filter (where a.state = 2 and not a.in_break), 0),
            coalesce(sum(a.duration_us) filter (where a.in_break), 0),
            sum(a.units), sum(a.units_working), sum(a.begins)
        from unnest(p_workers, p_hours) as t (worker_key, hour)
        join floor.activity a
          on a.site_key = p_site_key and a.worker_key = t.worker_key
         and floor.hour_of(a.time) = t.hour -- for the many: a hash join
         and a.time >= t.hour and a.time < t.hour + interval '1 hour' -- for the few: the index
         and a.time >= p_day and a.time < p_day + interval '1 day'
        group by t.hour, a.worker_key, a.workstation_key, a.production_date, a.shift_key
        returning workstation_key, hour
    )
    select array_agg(d.workstation_key), array_agg(d.hour) into stations, hours
    from (
        select m.workstation_key, m.hour from made m
        union
        select * from unnest(stations, hours)
    ) d;

    perform floor.roll_up_sites(p_site_key, array(select distinct h.hour from unnest(p_hours) as h (hour)));

    delete from floor.activity_daily d
    where d.site_key = p_site_key and d.day = p_day and d.worker_key = any (p_workers);

    insert into floor.activity_daily
    select
        p_site_key, p_day, h.worker_key, h.workstation_key, h.production_date, h.shift_key,
        sum(h.working_us), sum(h.idle_us), sum(h.absent_us), sum(h.break_us),
        sum(h.units), sum(h.units_working), sum(h.events)
    from floor.activity_hourly h
    where h.site_key = p_site_key and h.hour >= p_day and h.hour < p_day + interval '1 day'
      and h.worker_key = any (p_workers)
    group by h.worker_key, h.workstation_key, h.production_date, h.shift_key;
end
$$;

create or replace function floor.roll_up_stations(
    p_site_key integer, p_day timestamptz, p_stations integer[], p_hours timestamptz[])
returns void
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set work_mem = '256MB'
set enable_nestloop = off
set enable_mergejoin = off -- by hour alone it meets every row with every pair
as $$
-- The same for presence. Who was at a bench in an hour is told by the hourly rows just
-- made: pieces need no index by workstation.
declare
    visits integer;
    workers integer[];
    stations integer[];
    hours timestamptz[];
begin
    delete from floor.presence_hourly h
    using unnest(p_stations, p_hours) as t (workstation_key, hour)
    where h.site_key = p_site_key and h.workstation_key = t.workstation_key and h.hour = t.hour
      and h.hour >= p_day and h.hour < p_day + interval '1 day';

    select count(*), array_agg(v.worker_key), array_agg(v.workstation_key), array_agg(v.hour)
    into visits, workers, stations, hours
    from (
        select distinct h.worker_key, h.workstation_key, h.hour
        from unnest(p_stations, p_hours) as t (workstation_key, hour)
        join floor.activity_hourly h
          on h.site_key = p_site_key and h.workstation_key = t.workstation_key and h.hour = t.hour
        where h.hour >= p_day and h.hour < p_day + interval '1 day'
    ) v;

    perform set_config('enable_nestloop', case when visits > 2000 then 'off' else 'on' end, true);
    insert into floor.presence_hourly
    select
        p_site_key, t.hour, a.workstation_key, a.production_date, a.shift_key,
        floor.covered_us(range_agg(tstzrange(a.time, a.ends_at))),
        coalesce(floor.covered_us(range_agg(tstzrange(a.time, a.ends_at)) filter (where a.state = 0)), 0)
    from unnest(workers, stations, hours) as t (worker_key, workstation_key, hour)
    join floor.activity a
      on a.site_key = p_site_key and a.worker_key = t.worker_key
     and a.workstation_key = t.workstation_key
     and floor.hour_of(a.time) = t.hour
     and a.time >= t.hour and a.time < t.hour + interval '1 hour'
     and a.time >= p_day and a.time < p_day + interval '1 day'
    where a.state < 2 and not a.in_break
    group by t.hour, a.workstation_key, a.production_date, a.shift_key;

    delete from floor.presence_daily d
    where d.site_key = p_site_key and d.day = p_day and d.workstation_key = any (p_stations);

    insert into floor.presence_daily
    select
        p_site_key, p_day, h.workstation_key, h.production_date, h.shift_key,
        sum(h.occupied_us), sum(h.operating_us)
    from floor.presence_hourly h
    where h.site_key = p_site_key and h.hour >= p_day and h.hour < p_day + interval '1 day'
      and h.workstation_key = any (p_stations)
    group by h.workstation_key, h.production_date, h.shift_key;
end
$$;

create or replace function floor.materialization_steps(p_now timestamptz)
returns table (statement text)
language sql stable
set search_path = floor, pg_temp
as $$
-- Nothing is ever left for later here: roll_up replaces rows in the refresh itself.
    select null::text where false
$$;

create or replace function floor.waiting_hours(p_site_key integer)
returns bigint
language sql stable security definer
set search_path = floor, pg_temp
as $$
-- Touched hours that wait for their aggregates.
    select count(distinct t.hour) from floor.touched t
    where t.site_key = p_site_key
$$;

create or replace function floor.folds_pieces()
returns boolean
language sql immutable
set search_path = floor, pg_temp
as $$
-- Rows of a site are made anew from that site's touched hours alone: old pieces may go.
    select false
$$;

create or replace function floor.forget_pieces(
    p_site_key integer, p_from timestamptz, p_to timestamptz, p_rows integer,
    out gone bigint, out reached timestamptz)
language plpgsql
set search_path = floor, pg_temp
as $$
-- Deletes up to so many of a site's pieces in that time; up to where none is left.
begin
    gone := floor.delete_some('floor.activity', p_site_key, p_from, p_to, p_rows);
    reached := case when gone < p_rows then p_to else p_from end;
end
$$;

create or replace function floor.tightened(p_from timestamptz, p_to timestamptz)
returns text
language sql immutable
set search_path = floor, pg_temp
as $$
-- Whole partitions and chunks are dropped here.
    select null::text
$$;
