-- What the baselines are like, learnt camera by camera: at most so many in a check, those that
-- have waited longest. Until its turn comes, a camera is judged by what was learnt before.

create or replace function ops.zone_of(p_site_key integer, p_at timestamptz)
returns text
language sql stable
set search_path = floor, pg_temp
as $$
-- The time zone of a site at an instant.
    select v.timezone
    from floor.settings_spans v
    where v.site_key = p_site_key and p_at >= v.valid_from and p_at < v.valid_to
$$;

create or replace function ops.learn_due(
    p_site_key integer, p_now timestamptz, p_most integer default 32)
returns integer
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
-- Learns what is due: baselines that have gone on by a UTC day, that late events changed, or
-- that were read in another time zone. Camera -1 is all of a model together. What was learnt of
-- a camera that has left the baseline is forgotten. Returns how many.
declare
    its_zone text := ops.zone_of(p_site_key, p_now);
    turn record;
    learnt integer := 0;
begin
    for turn in
        with due as (
            select x.span, x.base_to, k.camera_key
            from (values
                ('day', date_trunc('day', floor.hour_of(p_now) - interval '24 hours')),
                ('week', date_trunc('day', p_now) - interval '7 days')) as x (span, base_to)
            cross join lateral (
                select q.model_key, q.camera_key from ops.known_series(p_site_key, x.base_to) q
                union
                select m.model_key, m.camera_key from floor.model_scales m
                where m.site_key = p_site_key and m.span = x.span
            ) k
            left join floor.model_scales c
              on c.site_key = p_site_key and c.span = x.span and c.model_key = k.model_key
             and c.camera_key = k.camera_key
            where c.base_to is distinct from x.base_to or c.stale or c.zone <> its_zone
            group by x.span, x.base_to, k.camera_key
            order by min(c.base_to) nulls first, k.camera_key, x.span
            limit p_most
        )
        select d.span, d.base_to, array_agg(d.camera_key) as cameras
        from due d
        group by d.span, d.base_to
    loop
        perform ops.learn_weeks(p_site_key, turn.span, turn.base_to, its_zone, turn.cameras);
        if turn.span = 'day' then
            perform ops.learn_likes(p_site_key, turn.base_to, turn.cameras);
        end if;
        learnt := learnt + cardinality(turn.cameras);
    end loop;
    return learnt;
end
$$;

create or replace function ops.learn_likes(
    p_site_key integer, p_to timestamptz, p_cameras integer[])
returns void
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
-- Confidence of cameras by hour of the local day, in the 30 days before p_to.
declare
    from_time timestamptz := p_to - interval '30 days';
begin
    delete from floor.model_likes k
    where k.site_key = p_site_key and k.camera_key = any (p_cameras);
    insert into floor.model_likes
    select p_site_key, h.model_key, h.camera_key, l.week_hour % 24, sum(h.events),
        sum(h.confidence_sum), sum(h.confidence_squares),
        sum(h.b00), sum(h.b01), sum(h.b02), sum(h.b03), sum(h.b04), sum(h.b05),
        sum(h.b06), sum(h.b07), sum(h.b08), sum(h.b09), sum(h.b10), sum(h.b11),
        sum(h.b12), sum(h.b13), sum(h.b14), sum(h.b15), sum(h.b16), sum(h.b17),
        sum(h.b18), sum(h.b19)
    from ops.local_hours(p_site_key, from_time, p_to) l
    join floor.model_hourly h on h.hour = l.hour
    where h.site_key = p_site_key and h.hour >= from_time and h.hour < p_to
      and h.camera_key = any (p_cameras)
    group by h.model_key, h.camera_key, l.week_hour % 24;
end
$$;

create or replace function ops.learn_weeks(
    p_site_key integer, p_span text, p_to timestamptz, p_zone text, p_cameras integer[])
returns void
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set work_mem = '64MB'
set jit = off
as $$
-- What each hour of the local week was like in the 30 days before p_to: states, the median of
-- units, and how far an hour and a day lie from it by chance.
declare
    from_time timestamptz := p_to - interval '30 days';
begin
    delete from floor.model_weeks w
    where w.site_key = p_site_key and w.span = p_span and w.camera_key = any (p_cameras);
    delete from floor.model_scales c
    where c.site_key = p_site_key and c.span = p_span and c.camera_key = any (p_cameras);
    with hours as materialized (
        select l.* from ops.local_hours(p_site_key, from_time, p_to) l
    ),
    told as (
        select l.hour, l.week_hour, l.in_shift, h.model_key, h.camera_key, h.working, h.idle,
            h.absent, h.units
        from hours l
        join floor.model_hourly h on h.hour = l.hour
        where h.site_key = p_site_key and h.hour >= from_time and h.hour < p_to
          and h.camera_key = any (p_cameras)
        union all
        select l.hour, l.week_hour, l.in_shift, h.model_key, -1, sum(h.working), sum(h.idle),
            sum(h.absent), sum(h.units)
        from hours l
        join floor.model_hourly h on h.hour = l.hour
        where h.site_key = p_site_key and h.hour >= from_time and h.hour < p_to
          and -1 = any (p_cameras)
        group by l.hour, l.week_hour, l.in_shift, h.model_key
    ),
    weeks as materialized (
        select t.model_key, t.camera_key, t.week_hour,
            sum(t.working) as working, sum(t.idle) as idle, sum(t.absent) as absent,
            array_agg(t.units::double precision order by t.units, t.hour)
                filter (where t.in_shift) as units,
            array_agg(t.hour order by t.units, t.hour) filter (where t.in_shift) as hours
        from told t
        group by t.model_key, t.camera_key, t.week_hour
    ),
    -- Each hour against the median of its sisters without itself: the distance that an hour
    -- of the window has by chance. Two sisters at least.
    residuals as materialized (
        select w.model_key, w.camera_key, v.hour,
            v.units - (
                w.units[m.size / 2 + (m.size / 2 >= v.place)::integer]
                + w.units[(m.size + 1) / 2 + ((m.size + 1) / 2 >= v.place)::integer]) / 2 as residual
        from weeks w
        cross join lateral (select cardinality(w.units) as size) m
        cross join lateral unnest(w.units, w.hours) with ordinality as v (units, hour, place)
        where m.size >= 3
    ),
    by_hour as (
        select r.model_key, r.camera_key,
            -- The median misses benches that are empty now and then, the mean does not.
            greatest(1.4826 * percentile_cont(0.5) within group (order by abs(r.residual)),
                     1.2533 * avg(abs(r.residual))) as deviation
        from residuals r
        group by r.model_key, r.camera_key
    ),
    -- Hours of one day err together: days have a deviation of their own.
    by_day as (
        select d.model_key, d.camera_key, avg(d.hours) as hours,
            greatest(1.4826 * percentile_cont(0.5) within group (order by abs(d.residual)),
                     1.2533 * avg(abs(d.residual))) as deviation
        from (
            select r.model_key, r.camera_key, count(*) as hours, sum(r.residual) as residual
            from residuals r
            group by r.model_key, r.camera_key, date_trunc('day', r.hour)
        ) d
        group by d.model_key, d.camera_key
    ),
    scales as (
        insert into floor.model_scales
            (site_key, span, model_key, camera_key, base_to, zone, hour_deviation, day_deviation,
             day_hours)
        select p_site_key, p_span, w.model_key, w.camera_key, p_to, p_zone, max(h.deviation),
            max(d.deviation), max(d.hours)
        from weeks w
        left join by_hour h using (model_key, camera_key)
        left join by_day d using (model_key, camera_key)
        group by w.model_key, w.camera_key
    )
    insert into floor.model_weeks
        (site_key, span, model_key, camera_key, week_hour, working, idle, absent, units)
    select p_site_key, p_span, w.model_key, w.camera_key, w.week_hour, w.working, w.idle, w.absent,
        case when m.size >= 3 then (w.units[(m.size + 1) / 2] + w.units[(m.size + 2) / 2]) / 2 end
    from weeks w
    cross join lateral (select cardinality(w.units) as size) m;
end
$$;
