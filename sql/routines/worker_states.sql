-- Where an open tail hangs: the last gated state of every worker.

create or replace function floor.note_worker_states(
    p_site_key integer, p_now timestamptz,
    p_workers integer[], p_ps timestamptz[], p_ns timestamptz[])
returns void
language plpgsql
set search_path = floor, pg_temp
set plan_cache_mode = force_custom_plan
as $$
-- Keeps the last gated state of every worker whose cut reached the open end.
declare
    first_p timestamptz := (select min(p) from unnest(p_ps, p_ns) as b (p, n) where n = 'infinity');
begin
    if first_p is null then
        return;
    end if;
    with open_ended as (
        select b.worker_key, b.p
        from unnest(p_workers, p_ps, p_ns) as b (worker_key, p, n)
        where b.n = 'infinity'
    ),
    last_states as materialized (
        select o.worker_key, l.*
        from open_ended o
        left join lateral (
            select
                e.time as state_at,
                e.time + coalesce(e.duration_s, s.max_state_s) * interval '1 second' as holds_until,
                e.workstation_key, e.event_type as state, e.confidence
            from floor.events e
            join floor.workstations w on w.workstation_key = e.workstation_key
            join floor.settings_spans s
              on s.site_key = p_site_key and e.time >= s.valid_from and e.time < s.valid_to
            where e.site_key = p_site_key and e.worker_key = o.worker_key
              and e.time >= o.p and e.time >= first_p and e.time <= p_now
              and e.event_type < 3 and e.confidence >= s.min_confidence
            order by e.time desc, e.event_type desc, w.workstation_id collate "C" desc
            limit 1
        ) l on true
    ),
    gone as (
        delete from floor.worker_states w
        using last_states l
        where w.site_key = p_site_key and w.worker_key = l.worker_key and l.state_at is null
          -- Before that it is, but its event has gone.
          and w.state_at < floor.events_kept_from(p_site_key) is not true
    )
    insert into floor.worker_states as w
        (site_key, worker_key, state_at, holds_until, workstation_key, state, confidence)
    select p_site_key, l.worker_key, l.state_at, l.holds_until, l.workstation_key, l.state, l.confidence
    from last_states l
    where l.state_at is not null
    on conflict (site_key, worker_key) do update
    set state_at = excluded.state_at, holds_until = excluded.holds_until,
        workstation_key = excluded.workstation_key, state = excluded.state,
        confidence = excluded.confidence
    where w.state_at <> excluded.state_at or w.holds_until <> excluded.holds_until
       or w.workstation_key <> excluded.workstation_key or w.state <> excluded.state
       or w.confidence <> excluded.confidence;
end
$$;
