-- Old events go, what was counted of them stays (docs/retention.md).

create or replace function floor.retention_goal(p_site_key integer, p_now timestamptz)
returns timestamptz
language sql stable
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Where kept_from should be; null where nothing is old enough, or the setting is not a day
-- old. The whole day more is for what the door took a while ago and has yet to commit.
    select g.goal
    from floor.sites s
    join floor.refresh_state f on f.site_key = s.site_key
    cross join lateral (
        select date_trunc('day', p_now - s.retention_days * interval '1 day')
            - interval '1 day' as goal
    ) g
    where s.site_key = p_site_key and s.retention_set_at <= p_now - interval '1 day'
      and f.first_event_at < g.goal
$$;

create or replace function floor.unfinished_before(p_site_key integer, p_time timestamptz)
returns text
language sql stable
set search_path = floor, pg_temp
as $$
-- What has still to be done with the events before an instant; null: nothing.
    select case
        when not exists (
            select from floor.refresh_state f
            where f.site_key = p_site_key and least(f.aggregated_now, f.cut_now) >= p_time
              and f.aggregated_now is not null and f.cut_now is not null) then 'a refresh'
        when exists (
            select from floor.restatements r
            where r.site_key = p_site_key and r.finished_at is null and r.from_time < p_time)
            then 'a restatement'
        when exists (
            select from floor.dirty d where d.site_key = p_site_key and d.from_time < p_time)
            or exists (
            select from floor.touched t where t.site_key = p_site_key and t.hour < p_time)
            then 'a refresh'
        when exists (
            select from floor.model_touched t where t.site_key = p_site_key and t.hour < p_time)
            then 'a drift check'
    end
$$;

create or replace function floor.keep_from(
    p_site_key integer, p_now timestamptz, out kept_from timestamptz, out waits_for text)
language plpgsql
set search_path = floor, pg_temp
set lock_timeout = '2s'
as $$
-- Moves kept_from ahead, once all that is older is counted. Neither a refresh of the site nor
-- a change of its settings is under way meanwhile: the one would write behind the mark, the
-- other leave a restatement of what goes.
declare
    was timestamptz := floor.kept_from(p_site_key);
    goal timestamptz := floor.retention_goal(p_site_key, p_now);
begin
    kept_from := was;
    if goal is null or goal <= was then
        return;
    end if;
    begin
        perform pg_advisory_xact_lock(hashtext('floorpulse.refresh'), p_site_key);
        perform pg_advisory_xact_lock(hashtext('floorpulse.site'), p_site_key);
        waits_for := floor.unfinished_before(p_site_key, goal);
    exception
        when lock_not_available then
            waits_for := 'a refresh';
    end;
    -- Asked again: it may have been taken back while we waited for the locks.
    goal := floor.retention_goal(p_site_key, p_now);
    if waits_for is null and goal is not null and goal <= was is not true then
        insert into floor.retention as r (site_key, kept_from)
        values (p_site_key, goal)
        on conflict (site_key) do update
        set kept_from = excluded.kept_from, moved_at = excluded.moved_at;
        insert into ops.audit_log (action, subject, detail)
        select 'retention', s.site_id, jsonb_build_object('kept_from', goal, 'before', was)
        from floor.sites s where s.site_key = p_site_key;
        kept_from := goal;
    end if;
end
$$;

create or replace function floor.others_keep(
    p_site_key integer, p_from timestamptz, p_to timestamptz)
returns boolean
language plpgsql stable
set search_path = floor, pg_temp
set plan_cache_mode = force_custom_plan
as $$
-- Whether another site has rows there that it keeps.
begin
    return exists (
        select
        from floor.sites o
        where o.site_key <> p_site_key
          and p_to <= floor.events_kept_from(o.site_key) is not true
          and (exists (
                  select from floor.events e
                  where e.site_key = o.site_key and e.time >= p_from and e.time < p_to)
               or exists (
                  select from floor.activity a
                  where a.site_key = o.site_key and a.time >= p_from and a.time < p_to)));
end
$$;

create or replace function floor.delete_some(
    p_table regclass, p_site_key integer, p_from timestamptz, p_to timestamptz, p_rows integer)
returns bigint
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Deletes so many rows of a site, within one partition or chunk, at the most.
declare
    leaf regclass;
    gone bigint;
begin
    execute format(
        'select r.tableoid from %s r
         where r.site_key = %s and r.time >= %L and r.time < %L limit 1',
        p_table, p_site_key, p_from, p_to) into leaf;
    if leaf is null then
        return 0;
    end if;
    execute format(
        'delete from %1$s where ctid = any (array(
             select r.ctid from %1$s r
             where r.site_key = %2$s and r.time >= %3$L and r.time < %4$L limit %5$s))',
        leaf, p_site_key, p_from, p_to, p_rows);
    get diagnostics gone = row_count;
    return gone;
end
$$;

create or replace function floor.forget_step(
    p_site_key integer, p_rows integer,
    out what text, out gone bigint, out statement text)
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- One short transaction of deleting what a site keeps no longer, the oldest chunk first:
-- whole where nobody else keeps rows in it, else row by row. what: 'chunk', 'pieces' or
-- 'events', of which so many are gone; 'busy': a lock was not to be had; null: all is done.
-- statement: to be run at the top level, if any. Each step commits how far it came.
declare
    mark floor.retention;
    goal timestamptz;
    chunk record;
    upto timestamptz;
    reached timestamptz;
    is_free boolean;
begin
    perform pg_advisory_xact_lock(hashtext('floorpulse.retention'), 0);
    select * into mark from floor.retention r where r.site_key = p_site_key;
    goal := floor.events_kept_from(p_site_key);
    if not found or least(mark.pieces_to, mark.events_to) >= goal then
        return;
    end if;
    select q.starts_at, q.ends_at into chunk
    from floor.partitions q
    where q.ends_at > least(mark.pieces_to, mark.events_to) and q.starts_at < goal
    order by q.starts_at
    limit 1;
    if not found then
        update floor.retention r set pieces_to = goal, events_to = goal
        where r.site_key = p_site_key;
        return;
    end if;
    upto := least(chunk.ends_at, goal);
    is_free := upto = chunk.ends_at
        and not floor.others_keep(p_site_key, chunk.starts_at, chunk.ends_at);
    gone := 0;
    if is_free and mark.events_to < upto then
        begin
            what := 'chunk';
            if not floor.drop_chunk(p_site_key, chunk.starts_at, chunk.ends_at) then
                return; -- somebody's rows came in between
            end if;
        exception
            when lock_not_available or deadlock_detected then
                what := 'busy';
                return;
        end;
        gone := 1;
        mark.events_to := upto;
        if not floor.folds_pieces() then
            mark.pieces_to := upto;
        end if;
    elsif mark.pieces_to < upto then
        what := 'pieces';
        select f.gone, f.reached into gone, reached
        from floor.forget_pieces(
            p_site_key, greatest(chunk.starts_at, mark.pieces_to), upto, p_rows) f;
        mark.pieces_to := greatest(mark.pieces_to, reached);
        if is_free and reached = upto then
            statement := floor.tightened(chunk.starts_at, chunk.ends_at);
        end if;
    else
        what := 'events';
        gone := floor.delete_some('floor.events', p_site_key,
            greatest(chunk.starts_at, mark.events_to), upto, p_rows);
        if gone < p_rows then
            mark.events_to := upto;
        end if;
    end if;
    update floor.retention r set pieces_to = mark.pieces_to, events_to = mark.events_to
    where r.site_key = p_site_key;
end
$$;
