-- Events into activity: the one place where rows become time (metrics.md, From events to
-- activity). All intervals are half-open.

create or replace function floor.late_bounds(
    p_site_key integer, p_now timestamptz,
    p_workers integer[], p_from timestamptz[], p_to timestamptz[])
returns table (worker_key integer, p timestamptz, n timestamptz)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- Per range, p and n as cut_bounds has them, sought among the events. The search plans every
-- chunk there is: it is not begun for nothing.
begin
    if coalesce(cardinality(p_workers), 0) = 0 then
        return;
    end if;
    return query
    select
        l.worker_key,
        coalesce(before.time, l.from_time),
        coalesce(after.time, 'infinity')
    from unnest(p_workers, p_from, p_to) as l (worker_key, from_time, to_time)
    left join lateral (
        select e.time
        from floor.events e
        where e.site_key = p_site_key and e.worker_key = l.worker_key
          and e.time < l.from_time and e.event_type < 3
          and e.confidence >= (
              select s.min_confidence from floor.settings_spans s
              where s.site_key = p_site_key and e.time >= s.valid_from and e.time < s.valid_to)
        order by e.time desc
        limit 1
    ) before on true
    left join lateral (
        select e.time
        from floor.events e
        where e.site_key = p_site_key and e.worker_key = l.worker_key
          and e.time > l.to_time and e.time <= p_now and e.event_type < 3
          and e.confidence >= (
              select s.min_confidence from floor.settings_spans s
              where s.site_key = p_site_key and e.time >= s.valid_from and e.time < s.valid_to)
        order by e.time
        limit 1
    ) after on true;
end
$$;

create or replace function floor.cut_bounds(
    p_site_key integer, p_now timestamptz,
    p_workers integer[], p_from timestamptz[], p_to timestamptz[])
returns table (worker_key integer, p timestamptz, n timestamptz)
language plpgsql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
as $$
-- Per touched range: p, the last gated state before it, and n, the first after it; ranges
-- that meet are one. Where the range lies past the worker's last cut state, that state is p
-- and there is no n: no search. (An earlier p is always safe, as long as it is a state.)
begin
    return query
    with ranges as materialized (
        select r.worker_key, r.from_time, r.to_time, w.state_at as last_state_at
        from unnest(p_workers, p_from, p_to) as r (worker_key, from_time, to_time)
        left join floor.worker_states w
          on w.site_key = p_site_key and w.worker_key = r.worker_key
    ),
    live as (
        select r.worker_key, r.last_state_at as p, timestamptz 'infinity' as n
        from ranges r
        where r.from_time > r.last_state_at
    ),
    late as (
        select array_agg(r.worker_key) as workers,
            array_agg(r.from_time) as froms, array_agg(r.to_time) as tos
        from ranges r
        where r.from_time > r.last_state_at is not true
    ),
    both_kinds as (
        select * from live
        union all
        select b.*
        from late l
        cross join lateral floor.late_bounds(p_site_key, p_now, l.workers, l.froms, l.tos) b
    )
    select m.worker_key, lower(m.span), upper(m.span)
    from (
        select b.worker_key, unnest(range_agg(tstzrange(b.p, b.n))) as span
        from both_kinds b
        group by b.worker_key
    ) m;
end
$$;

create or replace function floor.remove_pieces(
    p_site_key integer, p_relations oid[], p_places tid[], p_times timestamptz[])
returns void
language plpgsql
set search_path = floor, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
as $$
-- Deletes the pieces at these places: hashed, and met in one pass over the time they span. A
-- nested loop would read that time once a piece where the planner takes it for nearly empty.
-- (By place alone, PostgreSQL 18 finds no way where there is one partition in sight.)
declare
    first_at timestamptz := (select min(t) from unnest(p_times) as t);
    last_at timestamptz := (select max(t) from unnest(p_times) as t);
begin
    if first_at is null then
        return;
    end if;
    delete from floor.activity a
    using unnest(p_relations, p_places, p_times) as g (relation, place, time)
    where a.tableoid = g.relation and a.ctid = g.place and a.time = g.time
      and a.site_key = p_site_key and a.time >= first_at and a.time <= last_at;
end
$$;

create or replace function floor.workstation_ranks(
    p_site_key integer, out before_first_key integer, out ranks integer[])
language sql stable
set search_path = floor, pg_temp
as $$
-- The place of each workstation in the byte order of their ids, by its key less the number
-- before the first: found without a join, event by event.
    with ranked as (
        select w.workstation_key,
            (row_number() over (order by w.workstation_id collate "C"))::integer as rank
        from floor.workstations w
        where w.site_key = p_site_key
    ),
    keys as (
        select generate_series(min(r.workstation_key), max(r.workstation_key)) as workstation_key
        from ranked r
    )
    select min(k.workstation_key) - 1, array_agg(r.rank order by k.workstation_key)
    from keys k
    left join ranked r on r.workstation_key = k.workstation_key
$$;

create or replace function floor.cut_activity(
    p_site_key integer, p_now timestamptz,
    p_workers integer[], p_from timestamptz[], p_to timestamptz[], p_bulk boolean default false)
returns bigint
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set work_mem = '256MB'
set enable_nestloop = on
set enable_mergejoin = off -- would meet whole workers where a hash meets single states
as $$
-- Cuts the touched ranges (bounds included) of these workers again and returns the number
-- of rows written. Range by range: rows of states in [p, n) go, and come again from events.
-- Before kept_from no row goes or comes: the events that would tell are gone, or will be.
-- p_bulk: many events stand behind the ranges, whatever the planner's statistics say.
declare
    kept timestamptz := floor.kept_from(p_site_key);
    workers integer[];
    ps timestamptz[];
    ns timestamptz[];
    firsts timestamptz[];
    ends timestamptz[];
    stops timestamptz[];
    open_stop timestamptz;
    first_p timestamptz;
    last_stop timestamptz;
    gone_relations oid[];
    gone_places tid[];
    gone_times timestamptz[];
    gone_workers integer[];
    before_first_key integer;
    ranks integer[]; -- of workstation_id, by workstation_key
    written bigint;
begin
    -- No row lies past any now there was. A piece lies after its state by its hold and a
    -- gap at the most: under three days. That is not the rule by which rows go, only what
    -- spares the scan of every later chunk; what a later range has cut already may stand
    -- among them, so the first piece of a later state is no bound. (Bounds are finite:
    -- TimescaleDB's chunk exclusion adds to them.)
    -- What is restated may have rows past an earlier now, of states that no gate keeps now.
    open_stop := interval '1 second' + greatest(p_now, (
        select s.cut_now from floor.refresh_state s where s.site_key = p_site_key), (
        select max(r.to_time) from floor.restatements r
        where r.site_key = p_site_key and r.finished_at is null));
    select array_agg(b.worker_key), array_agg(b.p), array_agg(b.n), array_agg(least(b.n, p_now)),
        array_agg(b.stop), min(b.p), max(b.stop), array_agg(greatest(b.p, kept))
    into workers, ps, ns, ends, stops, first_p, last_stop, firsts
    from (
        select c.*, case when c.n < open_stop - floor.longest_reach() then c.n + floor.longest_reach()
                         else open_stop end as stop
        from floor.cut_bounds(p_site_key, p_now, p_workers, p_from, p_to) c
    ) b;
    if workers is null then
        return 0;
    end if;

    -- Rows go, and come again, in these hours: of those that go, and from p to n or now.
    select array_agg(r.relation), array_agg(r.place), array_agg(r.time), array_agg(r.worker_key)
    into gone_relations, gone_places, gone_times, gone_workers
    from unnest(workers, ps, ns, stops) as b (worker_key, p, n, stop)
    cross join lateral (
        select a.tableoid as relation, a.ctid as place, a.time, a.worker_key
        from floor.activity a
        where a.site_key = p_site_key and a.worker_key = b.worker_key
          and a.time >= b.p and a.time < b.stop
          and a.state_at >= b.p and a.state_at < b.n
          and a.time >= greatest(first_p, kept) and a.time < last_stop
        offset 0 -- always by the index, which tells the state, too
    ) r;
    perform floor.remove_pieces(p_site_key, gone_relations, gone_places, gone_times);
    insert into floor.touched (site_key, hour, worker_key)
    select p_site_key, floor.hour_of(g.time), g.worker_key
    from unnest(gone_times, gone_workers) as g (time, worker_key)
    union
    select p_site_key, come.hour, b.worker_key
    from unnest(workers, firsts, ends) as b (worker_key, from_time, ends_at)
    cross join lateral generate_series(
        floor.hour_of(b.from_time), b.ends_at, interval '1 hour') as come (hour)
    where b.ends_at - b.from_time <= floor.longest_span()
    union
    select p_site_key, come.hour, come.worker_key
    from floor.hours_of_long_spans(p_site_key, workers, firsts, ends) come;

    select r.before_first_key, r.ranks into before_first_key, ranks
    from floor.workstation_ranks(p_site_key) r;

    if p_bulk then
        perform set_config('enable_nestloop', 'off', true); -- until this function returns
    end if;
    insert into floor.activity
        (site_key, worker_key, time, ends_at, state_at, duration_us, workstation_key,
         shift_key, production_date, units, units_working, state, begins, in_break)
    with
    -- Per range, read backwards, the least time so far is that of the next state (n, at the
    -- end). Counts sort after the states of their instant. Rules hold for stretches of a
    -- range: no event has to ask which are its own.
    followed as materialized (
        select b.worker_key, g.*
        from unnest(workers, ps, ns) as b (worker_key, p, n)
        cross join lateral (
            select
                s.gap_state = 'idle' as fills_gap, e.workstation_key, e.time, e.event_type, e.count,
                e.time + coalesce(e.duration_s, s.max_state_s) * interval '1 second' as hold_ends_at,
                coalesce(min(e.time) filter (where e.event_type < 3) over (
                    order by e.time desc, e.event_type desc,
                        ranks[e.workstation_key - before_first_key] desc
                    rows between unbounded preceding and 1 preceding), b.n) as following_at
            from floor.settings_spans s
            cross join lateral (
                select e.workstation_key, e.time, e.event_type, e.count, e.duration_s
                from floor.events e
                where e.site_key = p_site_key and e.worker_key = b.worker_key
                  and e.time >= greatest(b.p, s.valid_from) and e.time < least(b.n, s.valid_to)
                  and e.time >= first_p and e.time < last_stop and e.time <= p_now
                  and e.confidence >= s.min_confidence
                offset 0 -- always by the index, worker by worker
            ) e
            where s.site_key = p_site_key and s.valid_from < b.n and s.valid_to > b.p
        ) g
    ),
    -- Of several states at one instant the last holds: the others end as they begin.
    holding as not materialized (
        select f.worker_key, f.workstation_key, f.time, f.event_type, f.hold_ends_at, f.fills_gap,
            f.following_at as next_at,
            least(f.following_at, f.hold_ends_at, p_now) as state_ends_at
        from followed f
        where f.event_type < 3 and f.following_at > f.time
    ),
    gaps as (
        select h.worker_key, h.workstation_key, h.hold_ends_at as starts_at,
            least(h.next_at, sl.shift_ends_at) as ends_at, h.time as state_at
        from holding h
        join floor.calendar_slices sl
          on sl.site_key = p_site_key and sl.hour = floor.hour_of(h.hold_ends_at)
         and sl.starts_at <= h.hold_ends_at and sl.ends_at > h.hold_ends_at
        where h.fills_gap and h.hold_ends_at < h.next_at and h.next_at < 'infinity'
          and sl.shift_ends_at > h.hold_ends_at
    ),
    pieces as not materialized (
        select h.worker_key, h.workstation_key, h.time as starts_at, h.state_ends_at as ends_at,
            h.time as state_at, h.event_type as state, true as is_event
        from holding h
        where h.state_ends_at > h.time
        union all
        select g.worker_key, g.workstation_key, g.starts_at, g.ends_at, g.state_at, 1::smallint, false
        from gaps g
    ),
    hours as (
        select p.*, floor.hour_of(p.starts_at) as hour
        from pieces p
        union all
        select p.*, later.hour
        from pieces p
        cross join lateral generate_series(
            floor.hour_of(p.starts_at) + interval '1 hour',
            p.ends_at - interval '1 microsecond', interval '1 hour') as later (hour)
        where p.ends_at > floor.hour_of(p.starts_at) + interval '1 hour'
    ),
    state_rows as (
        select
            h.worker_key,
            greatest(h.starts_at, sl.starts_at) as starts_at,
            least(h.ends_at, sl.ends_at) as ends_at,
            h.state_at, h.workstation_key, sl.shift_key, sl.production_date, h.state,
            (h.is_event and sl.starts_at <= h.state_at)::int::smallint as begins,
            sl.in_break
        from hours h
        join floor.calendar_slices sl
          on sl.site_key = p_site_key and sl.hour = h.hour
         and sl.starts_at < h.ends_at and sl.ends_at > h.starts_at
    ),
    -- A count belongs to the last state not later than it: the same state follows both.
    count_rows as (
        select
            c.worker_key, c.time, c.workstation_key, sl.shift_key, sl.production_date, c.count,
            case when h.event_type = 0 and h.hold_ends_at > c.time then c.count else 0 end
                as units_working,
            sl.in_break
        from followed c
        join floor.calendar_slices sl
          on sl.site_key = p_site_key and sl.hour = floor.hour_of(c.time)
         and sl.starts_at <= c.time and sl.ends_at > c.time
        left join holding h on h.worker_key = c.worker_key and h.next_at = c.following_at
        where c.event_type = 3
    )
    select
        p_site_key, r.worker_key, r.starts_at, r.ends_at, r.state_at,
        (date_part('epoch', r.ends_at - r.starts_at) * 1e6)::bigint, -- an hour at most: exact
        r.workstation_key, r.shift_key, r.production_date, 0, 0, r.state, r.begins, r.in_break
    from state_rows r
    where r.starts_at >= kept is not false
    union all
    select
        p_site_key, c.worker_key, c.time, c.time, c.time, 0::bigint,
        c.workstation_key, c.shift_key, c.production_date, c.count, c.units_working,
        3::smallint, 0::smallint, c.in_break
    from count_rows c
    where c.time >= kept is not false
    order by 2, 3; -- as the index has them
    get diagnostics written = row_count;

    perform set_config('enable_nestloop', 'on', true);
    perform floor.note_worker_states(p_site_key, p_now, workers, ps, ns);
    return written;
end
$$;
