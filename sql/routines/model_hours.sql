-- Every event into sums by hour, model and camera: what windows of any length are added up
-- from, so that no check of a model ever reads events.

create or replace function floor.mark_model_hours(
    p_site_key integer, p_from timestamptz[], p_to timestamptz[])
returns void
language sql
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Notes the hours in which a cut found events: its ranges, before they are gone. Never those
-- of which events were deleted: their sums stay.
    insert into floor.model_touched (site_key, hour)
    select distinct p_site_key, h.hour
    from (
        select unnest(range_agg(tstzrange(r.from_time, r.to_time, '[]'))) as span
        from unnest(p_from, p_to) as r (from_time, to_time)
    ) m
    cross join lateral generate_series(
        floor.hour_of(greatest(lower(m.span), floor.kept_from(p_site_key))), upper(m.span),
        interval '1 hour') as h (hour)
$$;

create or replace function floor.bin_of(p_confidence real)
returns integer
language sql immutable strict parallel safe
as $$
-- 0 to 19: the twentieth of [0, 1] that a confidence lies in, 1 in the last. In the stored
-- type, so that 0.7 begins a bin. (No SET: it must stay inlinable.)
    select least(19, (pg_catalog.floor(p_confidence * 20::real))::integer)
$$;

create or replace function floor.roll_up_models(p_site_key integer, p_hours integer default 240)
returns integer
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set work_mem = '64MB'
set jit = off
as $$
-- Takes touched hours, the newest first, and makes their rows anew; returns how many it took.
-- Taking and reading are two statements: whatever was committed before a mark is read.
declare
    hours timestamptz[];
    stretch record;
    newest timestamptz;
begin
    perform pg_advisory_xact_lock(hashtext('floorpulse.models'), p_site_key);
    with taken as (
        delete from floor.model_touched t
        where t.site_key = p_site_key
          and t.hour = any (array(
              select distinct q.hour from floor.model_touched q
              where q.site_key = p_site_key order by q.hour desc limit p_hours))
        returning t.hour
    )
    select array_agg(distinct t.hour) into hours from taken t;
    if hours is null then
        return 0;
    end if;
    newest := (select greatest(max(h.hour), max(u.hour))
               from unnest(hours) as u (hour)
               left join (select max(q.hour) as hour from floor.model_hourly q
                          where q.site_key = p_site_key) h on true);
    delete from floor.model_hourly h where h.site_key = p_site_key and h.hour = any (hours);
    delete from floor.model_tails t
    where t.site_key = p_site_key
      and (t.hour = any (hours) or t.hour < newest - interval '2 days');
    -- Hours in a row, of one UTC day: one read of the events each.
    for stretch in
        select lower(s.span) as from_time, upper(s.span) as to_time
        from (
            select unnest(range_agg(tstzrange(u.hour, u.hour + interval '1 hour'))) as span
            from unnest(hours) as u (hour)
            group by date_trunc('day', u.hour)
        ) s
    loop
        perform floor.roll_up_stretch(
            p_site_key, stretch.from_time, stretch.to_time,
            stretch.to_time > newest - interval '2 days');
    end loop;
    -- A baseline in which something changed is to be learnt again.
    update floor.model_scales c
    set stale = true
    where c.site_key = p_site_key and not c.stale
      and exists (select from unnest(hours) as u (hour)
                  where u.hour < c.base_to and u.hour >= c.base_to - interval '30 days');
    perform floor.roll_up_model_days(
        p_site_key, array(select distinct date_trunc('day', u.hour) from unnest(hours) as u (hour)));
    return cardinality(hours);
end
$$;

create or replace function floor.roll_up_stretch(
    p_site_key integer, p_from timestamptz, p_to timestamptz, p_tails boolean)
returns void
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set work_mem = '64MB'
set jit = off
as $$
-- The rows of hours within one UTC day. Events are found worker by worker: their index, and
-- the order they were stored in.
begin
    with seen as materialized (
        select
            floor.hour_of(e.time) as hour, coalesce(e.model_key, 0) as model_key,
            coalesce(e.camera_key, 0) as camera_key, e.time, e.confidence, e.event_type,
            e.count, floor.bin_of(e.confidence) as bin
        from floor.workers w
        cross join lateral (
            select q.time, q.confidence, q.event_type, q.count, q.model_key, q.camera_key
            from floor.events q
            where q.site_key = p_site_key and q.worker_key = w.worker_key
              and q.time >= p_from and q.time < p_to
            offset 0
        ) e
        where w.site_key = p_site_key
    ),
    rows_made as (
        insert into floor.model_hourly
        select
            p_site_key, s.hour, s.model_key, s.camera_key, min(s.time), max(s.time), count(*),
            count(*) filter (where s.event_type = 0),
            count(*) filter (where s.event_type = 1),
            count(*) filter (where s.event_type = 2),
            sum(s.count), sum(s.confidence::double precision),
            sum(s.confidence::double precision * s.confidence),
        count(*) filter (where s.bin = 0), count(*) filter (where s.bin = 1),
        count(*) filter (where s.bin = 2), count(*) filter (where s.bin = 3),
        count(*) filter (where s.bin = 4), count(*) filter (where s.bin = 5),
        count(*) filter (where s.bin = 6), count(*) filter (where s.bin = 7),
        count(*) filter (where s.bin = 8), count(*) filter (where s.bin = 9),
        count(*) filter (where s.bin = 10), count(*) filter (where s.bin = 11),
        count(*) filter (where s.bin = 12), count(*) filter (where s.bin = 13),
        count(*) filter (where s.bin = 14), count(*) filter (where s.bin = 15),
        count(*) filter (where s.bin = 16), count(*) filter (where s.bin = 17),
        count(*) filter (where s.bin = 18), count(*) filter (where s.bin = 19)
        from seen s
        group by s.hour, s.model_key, s.camera_key
    ),
    both_levels as (
        select s.hour, s.model_key, s.camera_key, s.time, s.confidence
        from seen s
        where p_tails and s.camera_key > 0
        union all
        select s.hour, s.model_key, -1, s.time, s.confidence
        from seen s
        where p_tails
    ),
    numbered as (
        select b.*, row_number() over (
            partition by b.hour, b.model_key, b.camera_key
            order by b.time desc, b.confidence) as nth
        from both_levels b
    )
    insert into floor.model_tails
    select p_site_key, n.hour, n.model_key, n.camera_key,
        array_agg(n.confidence order by n.nth desc)
    from numbered n
    where n.nth <= 100
    group by n.hour, n.model_key, n.camera_key;
end
$$;

create or replace function floor.roll_up_model_days(p_site_key integer, p_days timestamptz[])
returns void
language plpgsql
set search_path = floor, pg_temp
set plan_cache_mode = force_custom_plan
as $$
-- Days are summed from their hours.
begin
    delete from floor.model_daily d where d.site_key = p_site_key and d.day = any (p_days);
    insert into floor.model_daily
    select
        p_site_key, d.day, h.model_key, h.camera_key, min(h.first_at), max(h.last_at),
        sum(h.events),
        sum(h.working), sum(h.idle), sum(h.absent), sum(h.units),
        sum(h.confidence_sum), sum(h.confidence_squares),
        sum(h.b00), sum(h.b01), sum(h.b02), sum(h.b03), sum(h.b04), sum(h.b05), sum(h.b06),
        sum(h.b07), sum(h.b08), sum(h.b09), sum(h.b10), sum(h.b11), sum(h.b12), sum(h.b13),
        sum(h.b14), sum(h.b15), sum(h.b16), sum(h.b17), sum(h.b18), sum(h.b19)
    from unnest(p_days) as d (day)
    join floor.model_hourly h
      on h.site_key = p_site_key and h.hour >= d.day and h.hour < d.day + interval '24 hours'
    group by d.day, h.model_key, h.camera_key;
end
$$;
