-- One site's refresh, step by step: dirty ranges and open tails into activity. A step is
-- one transaction; scheduler/refresh.py calls until none is left.

create or replace function floor.take_dirty(
    p_site_key integer, p_now timestamptz, p_events bigint, p_share integer, p_shares integer,
    out workers integer[], out froms timestamptz[], out tos timestamptz[], out events bigint)
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Takes about p_events worth of dirty ranges, live ones before late ones (newest day
-- first), each worker's overlapping ranges as one. What lies beyond now is written back.
-- Share i of n: the workers whose key leaves i when divided by n.
begin
    with queued as (
        select d.ctid as place,
            sum(d.events) over (
                order by date_trunc('day', d.from_time) desc, d.worker_key, d.from_time, d.ctid
                rows unbounded preceding) - d.events as before
        from floor.dirty d
        where d.site_key = p_site_key and d.from_time <= p_now
          and d.worker_key % p_shares = p_share
    ),
    taken as (
        delete from floor.dirty d
        where d.ctid = any (array(select q.place from queued q where q.before < p_events))
          and d.site_key = p_site_key
        returning d.worker_key, d.from_time, d.to_time, d.events
    ),
    beyond_now as (
        insert into floor.dirty (site_key, worker_key, from_time, to_time, events)
        select p_site_key, t.worker_key, p_now + interval '1 microsecond', t.to_time, t.events
        from taken t
        where t.to_time > p_now
    ),
    merged as (
        select m.worker_key, lower(m.span) as from_time, upper(m.span) as to_time
        from (
            select t.worker_key,
                unnest(range_agg(tstzrange(t.from_time, t.to_time, '[]'))) as span
            from taken t
            group by t.worker_key
        ) m
    )
    select array_agg(m.worker_key), array_agg(m.from_time), array_agg(m.to_time),
        (select sum(t.events) from taken t)
    into workers, froms, tos, events
    from merged m;
end
$$;

create or replace function floor.mark_tails_dirty(
    p_site_key integer, p_now timestamptz, p_cut_now timestamptz)
returns void
language plpgsql
set search_path = floor, pg_temp
as $$
-- What moves with now alone. Forward: states that were still running at the last now.
-- Backward: everything between the two, and again later what lies beyond the earlier now.
begin
    if p_now < floor.kept_from(p_site_key) then
        raise exception 'this site keeps events from % on: its metrics cannot count up to % any more',
            floor.kept_from(p_site_key), p_now
            using errcode = 'invalid_parameter_value', hint = 'Choose a later --now.';
    end if;
    if p_now > p_cut_now then
        insert into floor.dirty (site_key, worker_key, from_time, to_time)
        select p_site_key, w.worker_key, p_cut_now, p_now
        from floor.worker_states w
        where w.site_key = p_site_key and w.holds_until > p_cut_now;
    elsif p_now < p_cut_now then
        insert into floor.dirty (site_key, worker_key, from_time, to_time)
        select distinct p_site_key, b.worker_key, p_now, p_cut_now
        from (
            select e.worker_key from floor.events e
            where e.site_key = p_site_key and e.time >= p_now and e.time <= p_cut_now
            union all
            select a.worker_key from floor.activity a
            where a.site_key = p_site_key
              and a.time >= p_now - interval '1 hour' and a.time <= p_cut_now
        ) b;
    end if;
end
$$;

create or replace function floor.restate_step(p_site_key integer, p_now timestamptz)
returns bigint
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Cuts one more day of the oldest unfinished restatement again, newest day first; null
-- when there is nothing to restate.
declare
    r floor.restatements;
    window_from timestamptz;
    workers integer[];
    written bigint := 0;
begin
    select * into r
    from floor.restatements q
    where q.site_key = p_site_key and q.finished_at is null
    order by q.restatement_key
    limit 1;
    if not found then
        return null;
    end if;
    window_from := (
        select greatest(q.starts_at, date_trunc('day', least(q.ends_at, r.done_from)
                                                       - interval '1 microsecond'))
        from floor.partitions q
        where q.starts_at < r.done_from
        order by q.starts_at desc
        limit 1);
    window_from := greatest(r.from_time, coalesce(window_from, r.from_time));
    select array_agg(b.worker_key) into workers
    from (
        select e.worker_key from floor.events e
        where e.site_key = p_site_key and e.time >= window_from and e.time < r.done_from
        union
        select a.worker_key from floor.activity a
        where a.site_key = p_site_key and a.time >= floor.hour_of(window_from) -- the piece under way
          and a.ends_at > window_from and a.time < r.done_from
    ) b;
    if workers is not null then
        written := floor.cut_activity(
            p_site_key, p_now, workers,
            array_fill(window_from, array[cardinality(workers)]),
            array_fill(r.done_from, array[cardinality(workers)]), true);
    end if;
    update floor.restatements q
    set done_from = window_from,
        finished_at = case when window_from <= r.from_time then clock_timestamp() end
    where q.restatement_key = r.restatement_key;
    return written;
end
$$;

create or replace function floor.cut_share(
    p_site_key integer, p_now timestamptz, p_events bigint, p_share integer, p_shares integer,
    out taken integer, out written bigint)
language plpgsql
set search_path = floor, pg_temp
as $$
-- Cuts about p_events worth of the dirty ranges of one share of the workers. Shares may be
-- cut side by side: no worker is in two.
declare
    workers integer[];
    froms timestamptz[];
    tos timestamptz[];
    events bigint;
begin
    select * into workers, froms, tos, events
    from floor.take_dirty(p_site_key, p_now, p_events, p_share, p_shares);
    taken := coalesce(cardinality(workers), 0);
    written := 0;
    if taken > 0 then
        perform floor.mark_model_hours(p_site_key, froms, tos);
        written := floor.cut_activity(p_site_key, p_now, workers, froms, tos, events > 20000);
        perform floor.note_first_event(p_site_key, workers, froms);
    end if;
end
$$;

create or replace function floor.begin_backlog(p_site_key integer, p_now timestamptz, p_events bigint)
returns boolean
language plpgsql
set search_path = floor, pg_temp
as $$
-- Whether at least p_events wait and may be cut in shares, side by side; if so, the site's
-- cut now is p_now from here on. Not where now goes backward: that is refresh_step's.
declare
    last_now timestamptz := (
        select s.cut_now from floor.refresh_state s where s.site_key = p_site_key);
begin
    if p_now < last_now or p_events > coalesce((
            select sum(d.events) from floor.dirty d
            where d.site_key = p_site_key and d.from_time <= p_now), 0) then
        return false;
    end if;
    perform floor.mark_tails_dirty(p_site_key, p_now, last_now);
    insert into floor.refresh_state as s (site_key, cut_now, cut_at)
    values (p_site_key, p_now, clock_timestamp())
    on conflict (site_key) do update set cut_now = excluded.cut_now, cut_at = excluded.cut_at;
    return true;
end
$$;

create or replace function floor.refresh_step(
    p_site_key integer, p_now timestamptz, p_events bigint,
    out taken integer, out written bigint, out cut_left boolean, out aggregated boolean)
language plpgsql
set search_path = floor, pg_temp
as $$
-- One transaction of a refresh: cuts about p_events worth of dirty ranges, then, when none
-- is left, a day of restating. cut_left: call again. aggregated: the aggregates are done
-- too, and the site's now has moved.
declare
    last_now timestamptz := (
        select s.cut_now from floor.refresh_state s where s.site_key = p_site_key);
begin
    perform floor.mark_tails_dirty(p_site_key, p_now, last_now);
    select * into taken, written from floor.cut_share(p_site_key, p_now, p_events, 0, 1);
    if taken = 0 then
        written := coalesce(floor.restate_step(p_site_key, p_now), 0);
    end if;
    insert into floor.refresh_state as s (site_key, cut_now, cut_at)
    values (p_site_key, p_now, clock_timestamp())
    on conflict (site_key) do update set cut_now = excluded.cut_now, cut_at = excluded.cut_at;
    cut_left := exists (
            select from floor.dirty d where d.site_key = p_site_key and d.from_time <= p_now)
        or exists (
            select from floor.restatements r where r.site_key = p_site_key and r.finished_at is null);
    aggregated := false;
    if not cut_left then
        aggregated := floor.live_aggregation(p_site_key, p_now);
        if aggregated then
            perform floor.move_now(p_site_key, p_now);
        end if;
    end if;
end
$$;

create or replace function floor.note_first_event(
    p_site_key integer, p_workers integer[], p_from timestamptz[])
returns void
language plpgsql
set search_path = floor, pg_temp
set plan_cache_mode = force_custom_plan
as $$
-- Keeps the time of the site's first event; ranges that begin before it are looked into.
declare
    known timestamptz := coalesce(
        (select s.first_event_at from floor.refresh_state s where s.site_key = p_site_key), 'infinity');
    earlier timestamptz;
begin
    if (select min(f) from unnest(p_from) as f) >= known then
        return; -- without planning a search of every chunk
    end if;
    select min(first.time) into earlier
    from unnest(p_workers, p_from) as r (worker_key, from_time)
    cross join lateral (
        select e.time from floor.events e
        where e.site_key = p_site_key and e.worker_key = r.worker_key and e.time >= r.from_time
        order by e.time
        limit 1
    ) first
    where r.from_time < known;
    if earlier < known then
        update floor.refresh_state s set first_event_at = earlier where s.site_key = p_site_key;
    end if;
end
$$;

create or replace function floor.move_now(p_site_key integer, p_now timestamptz)
returns void
language sql
set search_path = floor, pg_temp
as $$
-- The aggregates are done: from here on every metric counts up to p_now.
    update floor.refresh_state
    set aggregated_now = p_now, aggregated_at = clock_timestamp()
    where site_key = p_site_key
$$;
