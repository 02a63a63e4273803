-- When the silence of a camera is more than nobody at its bench: against its own record of 30
-- days, learnt once a day, or against what a person says of it (docs/alerts.md).

create or replace function ops.learn_silences(
    p_site_key integer, p_now timestamptz, p_most integer default 8)
returns integer
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
-- Learns anew, up to the last UTC midnight, the cameras that sent since they were learnt: at
-- most so many in a check. So a camera that is dead keeps the record of its life.
declare
    today timestamptz := date_trunc('day', p_now);
    cameras integer[];
begin
    cameras := array(
        select d.camera_key
        from floor.model_daily d
        left join floor.camera_silences k
          on k.site_key = p_site_key and k.camera_key = d.camera_key
        where d.site_key = p_site_key and d.camera_key > 0 and d.day < today
          and d.day >= today - interval '30 days' and d.day >= coalesce(k.learnt_to, '-infinity')
        group by d.camera_key
        order by min(k.learnt_to) nulls first, d.camera_key
        limit p_most);
    if cardinality(cameras) > 0 then
        delete from floor.camera_silences k
        where k.site_key = p_site_key and k.camera_key = any (cameras);
        perform ops.learn_silence(p_site_key, cameras, today);
    end if;
    return cardinality(cameras);
end
$$;

create or replace function ops.counted_slices(
    p_site_key integer, p_from timestamptz, p_to timestamptz)
returns table (
    hour timestamptz, starts_at timestamptz, ends_at timestamptz, shift_key integer,
    shift_ends_at timestamptz, counted boolean)
language sql stable
set search_path = floor, pg_temp
as $$
-- The calendar of these hours. Time counts in shifts, breaks left out, in hours in which the
-- site sent at all: a silent site says nothing of its cameras.
    select c.hour, c.starts_at, c.ends_at, c.shift_key, c.shift_ends_at,
        c.shift_key > 0 and not c.in_break
            and exists (select from floor.model_hourly h
                        where h.site_key = p_site_key and h.hour = c.hour)
    from floor.calendar_slices c
    where c.site_key = p_site_key and c.hour >= p_from and c.hour < p_to
$$;

create or replace function ops.learn_silence(
    p_site_key integer, p_cameras integer[], p_to timestamptz)
returns void
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set jit = off
set enable_mergejoin = off
as $$
-- From first and last events of hours alone: between two hours with events, a camera is silent
-- from the last of the one to the first of the other. Silence is read off two clocks, one of
-- the time that counts, one of the same time by the camera's usual share of each hour. (Nothing
-- is known of what was just summed up: a merge by camera alone would meet every hour.)
declare
    from_time timestamptz := p_to - interval '30 days';
begin
    insert into floor.camera_silences
    with sent as materialized (
        select h.camera_key, h.hour, min(h.first_at) as first_at, max(h.last_at) as last_at
        from floor.model_hourly h
        where h.site_key = p_site_key and h.camera_key = any (p_cameras)
          and h.hour >= from_time and h.hour < p_to
        group by h.camera_key, h.hour
    ),
    known as (
        select s.camera_key, min(s.hour) as first_hour, max(s.hour) as last_hour
        from sent s
        group by s.camera_key
    ),
    slices as materialized (
        select c.*, sum(c.length_s) over (order by c.starts_at) as until_s
        from (
            select q.*, extract(hour from q.hour)::integer as day_hour,
                case when q.counted
                     then extract(epoch from q.ends_at - q.starts_at)::double precision
                     else 0 end as length_s
            from ops.counted_slices(p_site_key, from_time, p_to) q
        ) c
    ),
    shares as (
        select k.camera_key, c.day_hour, count(s.hour)::double precision / count(*) as share
        from known k
        join (select distinct q.hour, q.day_hour from slices q where q.counted) c
          on c.hour >= k.first_hour and c.hour <= k.last_hour
        left join sent s on s.camera_key = k.camera_key and s.hour = c.hour
        group by k.camera_key, c.day_hour
    ),
    clocks as materialized (
        select k.camera_key, c.hour, c.starts_at, c.ends_at, c.shift_key, c.counted, c.until_s,
            coalesce(u.share, 0) as share,
            sum(coalesce(u.share, 0) * c.length_s) over (
                partition by k.camera_key order by c.starts_at) as usual_until_s,
            max(c.until_s) over (
                partition by k.camera_key, c.shift_ends_at) as shift_until_s
        from known k
        cross join slices c
        left join shares u on u.camera_key = k.camera_key and u.day_hour = c.day_hour
    ),
    read_off as (
        select s.camera_key, s.hour, l.shift_key, l.shift_until_s,
            f.until_s - q.first_rest_s as first_s,
            f.usual_until_s - f.share * q.first_rest_s as first_usual_s,
            l.until_s - q.last_rest_s as last_s,
            l.usual_until_s - l.share * q.last_rest_s as last_usual_s
        from sent s
        join clocks f
          on f.camera_key = s.camera_key and f.hour = s.hour
         and f.starts_at <= s.first_at and f.ends_at > s.first_at
        join clocks l
          on l.camera_key = s.camera_key and l.hour = s.hour
         and l.starts_at <= s.last_at and l.ends_at > s.last_at
        cross join lateral (
            select case when f.counted then extract(epoch from f.ends_at - s.first_at) else 0 end
                    ::double precision as first_rest_s,
                case when l.counted then extract(epoch from l.ends_at - s.last_at) else 0 end
                    ::double precision as last_rest_s
        ) q
    ),
    silences as (
        select r.camera_key, r.shift_key,
            lead(r.first_usual_s) over w - r.last_usual_s as missed_s,
            least(lead(r.first_s) over w, r.shift_until_s) - r.last_s as stopped_s
        from read_off r
        window w as (partition by r.camera_key order by r.hour)
    ),
    missed as (
        select s.camera_key,
            (array_agg(s.missed_s order by s.missed_s desc nulls last))[1:2] as most
        from silences s
        group by s.camera_key
    ),
    stopped as (
        select q.camera_key, array_agg(q.shift_key order by q.shift_key) as shift_keys,
            array_agg(coalesce(q.most[2], 0) order by q.shift_key) as stopped_s
        from (
            select s.camera_key, s.shift_key,
                (array_agg(s.stopped_s order by s.stopped_s desc))[1:2] as most
            from silences s
            where s.shift_key > 0
            group by s.camera_key, s.shift_key
        ) q
        group by q.camera_key
    )
    select p_site_key, k.camera_key, p_to,
        array(select coalesce(u.share, 0)
              from generate_series(0, 23) n
              left join shares u on u.camera_key = k.camera_key and u.day_hour = n
              order by n),
        coalesce(m.most[1], 0), coalesce(m.most[2], 0),
        coalesce(t.shift_keys, '{}'), coalesce(t.stopped_s, '{}')
    from known k
    left join missed m on m.camera_key = k.camera_key
    left join stopped t on t.camera_key = k.camera_key;
end
$$;

create or replace function ops.allowed_silences(
    p_site_key integer, p_least_s double precision)
returns table (
    camera_key integer, usual double precision[], missed_s double precision,
    shift_keys integer[], stopped_s double precision[])
language sql stable
set search_path = floor, pg_temp
as $$
-- What each camera may miss, and for how long it may stop in a shift: 3.5 times its longest but
-- one of 30 days. It may miss 1.25 times what cameras of the site do, too (the worst in twenty
-- left out, one at least): somebody may be away for a shift at any bench, and for days somewhere
-- among many. So at most 8 hours of that for each ten cameras, 40 in all. Nothing less than
-- p_least_s.
    with site as (
        select case when count(*) > 0 then
            least(min(q.longest_s), 28800 * least(5, ceil(max(q.cameras) / 10.0))) end as longest_s
        from (
            select k.longest_s, row_number() over (order by k.longest_s desc) as place,
                count(*) over () as cameras
            from floor.camera_silences k
            where k.site_key = p_site_key
              and k.learnt_to > (select max(n.learnt_to) - interval '30 days'
                                 from floor.camera_silences n where n.site_key = p_site_key)
        ) q
        where q.place <= 1 + ceil(q.cameras / 20.0) and q.cameras > 1
    )
    select k.camera_key, k.usual, greatest(p_least_s, 3.5 * k.missed_s, 1.25 * s.longest_s),
        k.shift_keys,
        array(select greatest(p_least_s, 3.5 * u.s)
              from unnest(k.stopped_s) with ordinality as u (s, n) order by u.n)
    from floor.camera_silences k
    cross join site s
    where k.site_key = p_site_key
$$;

create or replace function ops.learnt_silences(
    p_site_key integer, p_began_at timestamptz, p_now timestamptz, p_cameras integer[],
    p_last_at timestamptz[], p_least_s double precision)
returns table (
    camera_key integer, stops boolean, current_s double precision,
    allowed_s double precision, bad boolean)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
-- Cameras that are silent in the shift that began then, since their last event: against what
-- they may miss, and, where they were sending in this shift (in two of its hours and three in
-- four of them until then), against for how long they may stop. The one that says more.
declare
    its_shift integer;
begin
    select i.shift_key into its_shift
    from floor.shift_instances i
    where i.site_key = p_site_key and i.starts_at = p_began_at;
    return query
    with silent as materialized (
        select q.camera_key, q.last_at, a.usual, a.missed_s,
            a.stopped_s[array_position(a.shift_keys, its_shift)] as stopped_s
        from unnest(p_cameras, p_last_at) as q (camera_key, last_at)
        join ops.allowed_silences(p_site_key, p_least_s) a on a.camera_key = q.camera_key
    ),
    slices as materialized (
        select c.starts_at, c.ends_at, extract(hour from c.hour)::integer as day_hour
        from ops.counted_slices(
            p_site_key, (select floor.hour_of(min(s.last_at)) from silent s), p_now) c
        where c.counted
    ),
    sums as (
        select s.camera_key, sum(p.passed_s) as passed_s,
            sum(p.passed_s * s.usual[1 + c.day_hour]) as missed_s
        from silent s
        join slices c on c.ends_at > s.last_at and c.starts_at < p_now
        cross join lateral (
            select extract(epoch from least(c.ends_at, p_now) - greatest(c.starts_at, s.last_at))
                ::double precision as passed_s
        ) p
        group by s.camera_key
    ),
    sending as (
        select s.camera_key
        from silent s
        join floor.model_hourly h
          on h.site_key = p_site_key and h.camera_key = s.camera_key
         and h.hour >= floor.hour_of(p_began_at) and h.hour <= s.last_at
        where s.last_at >= p_began_at
        group by s.camera_key, s.last_at
        having count(distinct h.hour) >= greatest(2, 0.75 * (1 + extract(epoch from
            floor.hour_of(s.last_at) - floor.hour_of(p_began_at)) / 3600))
    )
    select s.camera_key, w.stops, w.current_s, w.allowed_s, w.current_s > w.allowed_s
    from silent s
    join sums m on m.camera_key = s.camera_key
    left join sending g on g.camera_key = s.camera_key
    cross join lateral (
        select v.stops, v.current_s, v.allowed_s
        from (values
            (false, m.missed_s, s.missed_s),
            (true, case when g.camera_key is not null then m.passed_s end, s.stopped_s)
        ) as v (stops, current_s, allowed_s)
        where v.current_s is not null and v.allowed_s is not null
        order by v.current_s > v.allowed_s desc, v.current_s / v.allowed_s desc
        limit 1
    ) w;
end
$$;

create or replace function ops.expect_camera(
    p_site_key integer, p_camera_key integer, p_expected text, p_who text)
returns void
language plpgsql
set search_path = ops, pg_temp
as $$
-- A person's word on a camera, from now on. Of one that is never expected, an alert is over.
begin
    update floor.cameras c
    set expected = p_expected, expected_at = clock_timestamp(), expected_by = p_who
    where c.site_key = p_site_key and c.camera_key = p_camera_key;
    insert into ops.audit_log (who, action, subject, detail)
    select p_who, 'camera expect', s.site_id,
        jsonb_build_object('camera', c.camera_id, 'expected', p_expected)
    from floor.cameras c
    join floor.sites s on s.site_key = c.site_key
    where c.camera_key = p_camera_key;
    if p_expected = 'never' then
        perform ops.resolve_alert(
            a.alert_key, clock_timestamp(), p_who, 'the camera is not expected to send')
        from ops.alerts a
        join floor.cameras c on c.camera_key = p_camera_key
        where a.site_key = p_site_key and a.signal = 'silent_camera'
          and a.subject = c.camera_id and a.state <> 'resolved';
    end if;
end
$$;
