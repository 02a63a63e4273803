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

create or replace function floor.aggregation_steps(p_site_key integer, p_now timestamptz)
returns table (statement text)
language sql stable
set search_path = floor, pg_temp
as $$
-- The top-level statements that bring the aggregates of a site up to date, in order.
-- Each takes a bounded amount; the caller asks again until none is left.
    select format('select floor.roll_up(%s, %L)', p_site_key, p_now)
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
    perform floor.roll_up(p_site_key, p_now);
    return true;
end
$$;

create or replace function floor.roll_up(p_site_key integer, p_now timestamptz)
returns bigint
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set work_mem = '256MB'
set enable_nestloop = on
as $$
-- Replaces the hourly and daily rows of what was touched, at most 100,000 touched rows at
-- a time, and returns how many it took. Taking and using are two statements.
declare
    last_key bigint;
    taken bigint;
    from_hour timestamptz;
    to_hour timestamptz;
    from_day timestamptz;
    to_day timestamptz;
begin
    select max(k.touched_key), count(*), min(k.hour), max(k.hour)
    into last_key, taken, from_hour, to_hour
    from (select t.touched_key, t.hour from floor.touched t
          where t.site_key = p_site_key order by t.touched_key limit 100000) k;
    if taken = 0 then
        return 0;
    end if;
    -- Many touched rows, whatever the planner's statistics say of these tables.
    perform set_config('enable_nestloop', case when taken > 5000 then 'off' else 'on' end, true);
    from_day := date_trunc('day', from_hour);
    to_day := date_trunc('day', to_hour);

    delete from floor.activity_hourly h
    using (select distinct t.worker_key, t.hour from floor.touched t
           where t.site_key = p_site_key and t.touched_key <= last_key) t
    where h.site_key = p_site_key and h.worker_key = t.worker_key and h.hour = t.hour
      and h.hour between from_hour and to_hour;

    insert into floor.activity_hourly
    select
        p_site_key, t.hour, a.worker_key, a.workstation_key, a.production_date, a.shift_key,
        coalesce(sum(a.duration_us) filter (where a.state = 0 and not a.in_break), 0),
        coalesce(sum(a.duration_us) filter (where a.state = 1 and not a.in_break), 0),
        coalesce(sum(a.duration_us) filter (where a.state = 2 and not a.in_break), 0),
        coalesce(sum(a.duration_us) filter (where a.in_break), 0),
        sum(a.units), sum(a.units_working), sum(a.begins)
    from (select distinct t.worker_key, t.hour from floor.touched t
          where t.site_key = p_site_key and t.touched_key <= last_key) t
    join floor.activity a
      on a.site_key = p_site_key and a.worker_key = t.worker_key
     and floor.hour_of(a.time) = t.hour -- for the many: a hash join
     and a.time >= t.hour and a.time < t.hour + interval '1 hour' -- for the few: the index
     and a.time >= from_hour and a.time < to_hour + interval '1 hour'
    group by t.hour, a.worker_key, a.workstation_key, a.production_date, a.shift_key;

    delete from floor.presence_hourly h
    using (select distinct t.workstation_key, t.hour from floor.touched t
           where t.site_key = p_site_key and t.touched_key <= last_key) t
    where h.site_key = p_site_key and h.workstation_key = t.workstation_key and h.hour = t.hour
      and h.hour between from_hour and to_hour;

    insert into floor.presence_hourly
    select
        p_site_key, t.hour, a.workstation_key, a.production_date, a.shift_key,
        floor.covered_us(range_agg(tstzrange(a.time, a.ends_at))),
        coalesce(floor.covered_us(range_agg(tstzrange(a.time, a.ends_at)) filter (where a.state = 0)), 0)
    from (
        -- The hourly rows just made tell who was there: no index by workstation needed.
        select distinct h.worker_key, h.workstation_key, h.hour
        from (select distinct q.workstation_key, q.hour from floor.touched q
              where q.site_key = p_site_key and q.touched_key <= last_key) q
        join floor.activity_hourly h
          on h.site_key = p_site_key and h.hour = q.hour and h.workstation_key = q.workstation_key
        where h.hour between from_hour and to_hour
    ) t
    join floor.activity a
      on a.site_key = p_site_key and a.worker_key = t.worker_key
     and a.workstation_key = t.workstation_key
     and floor.hour_of(a.time) = t.hour
     and a.time >= t.hour and a.time < t.hour + interval '1 hour'
     and a.time >= from_hour and a.time < to_hour + interval '1 hour'
    where a.state < 2 and not a.in_break
    group by t.hour, a.workstation_key, a.production_date, a.shift_key;

    delete from floor.activity_daily d
    using (select distinct t.worker_key, date_trunc('day', t.hour) as day from floor.touched t
           where t.site_key = p_site_key and t.touched_key <= last_key) t
    where d.site_key = p_site_key and d.worker_key = t.worker_key and d.day = t.day
      and d.day between from_day and to_day;

    insert into floor.activity_daily
    select
        p_site_key, t.day, h.worker_key, h.workstation_key, h.production_date, h.shift_key,
        sum(h.working_us), sum(h.idle_us), sum(h.absent_us), sum(h.break_us),
        sum(h.units), sum(h.units_working), sum(h.events)
    from (select distinct t.worker_key, date_trunc('day', t.hour) as day from floor.touched t
          where t.site_key = p_site_key and t.touched_key <= last_key) t
    join floor.activity_hourly h
      on h.site_key = p_site_key and h.worker_key = t.worker_key
     and date_trunc('day', h.hour) = t.day
    where h.hour >= from_day and h.hour < to_day + interval '1 day'
    group by t.day, h.worker_key, h.workstation_key, h.production_date, h.shift_key;

    delete from floor.presence_daily d
    using (select distinct t.workstation_key, date_trunc('day', t.hour) as day from floor.touched t
           where t.site_key = p_site_key and t.touched_key <= last_key) t
    where d.site_key = p_site_key and d.workstation_key = t.workstation_key and d.day = t.day
      and d.day between from_day and to_day;

    insert into floor.presence_daily
    select
        p_site_key, t.day, h.workstation_key, h.production_date, h.shift_key,
        sum(h.occupied_us), sum(h.operating_us)
    from (select distinct t.workstation_key, date_trunc('day', t.hour) as day from floor.touched t
          where t.site_key = p_site_key and t.touched_key <= last_key) t
    join floor.presence_hourly h
      on h.site_key = p_site_key and h.workstation_key = t.workstation_key
     and date_trunc('day', h.hour) = t.day
    where h.hour >= from_day and h.hour < to_day + interval '1 day'
    group by t.day, h.workstation_key, h.production_date, h.shift_key;

    delete from floor.touched t
    where t.site_key = p_site_key and t.touched_key <= last_key;
    return taken;
end
$$;

create or replace function floor.materialization_steps(p_now timestamptz)
returns table (statement text)
language sql stable
set search_path = floor, pg_temp
as $$
-- Nothing is ever left for later here: roll_up replaces rows in the refresh itself.
    select null::text where p_now is null and false
$$;

create or replace function floor.waiting_hours(p_site_key integer)
returns bigint
language sql stable
set search_path = floor, pg_temp
as $$
-- Touched hours that wait for their aggregates.
    select count(distinct t.hour) from floor.touched t
    where t.site_key = p_site_key
$$;
