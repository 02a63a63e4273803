-- Verdicts of people on events: how they are taken.

create or replace function floor.event_type_name(p_event_type smallint)
returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- The word that stands for the number in floor.events.
    select (array['working', 'idle', 'absent', 'product_count'])[p_event_type + 1]
$$;

create or replace function ops.admit_validations(
    p_site_key integer, p_now timestamptz, p_rows integer[], p_workers text[],
    p_workstations text[], p_times timestamptz[], p_types smallint[], p_verdicts text[],
    p_labels text[], p_by text[], p_at timestamptz[], p_notes text[], p_source text)
returns table (said_row integer, outcome text, nearest timestamptz)
language plpgsql
set search_path = ops, pg_temp
set plan_cache_mode = force_custom_plan
as $$
-- Takes verdicts on events of one site. Outcome: stored, duplicate, or unknown_event (with the
-- nearest event of that worker and type within a second). Of several on one event that do not
-- say when (p_at null), the last row counts; one that only repeats what stands is a duplicate.
declare
    first_time timestamptz := (select min(u.time) from unnest(p_times) as u (time));
    last_time timestamptz := (select max(u.time) from unnest(p_times) as u (time));
begin
    perform pg_advisory_xact_lock(hashtext('floorpulse.validations'), p_site_key);
    return query
    with said as materialized (
        select u.*, w.worker_key, b.workstation_key
        from unnest(p_rows, p_workers, p_workstations, p_times, p_types, p_verdicts, p_labels,
                    p_by, p_at, p_notes)
            as u (nr, worker_id, workstation_id, time, event_type, verdict, label, said_by,
                  said_at, note)
        left join floor.workers w on w.site_key = p_site_key and w.worker_id = u.worker_id
        left join floor.workstations b
          on b.site_key = p_site_key and b.workstation_id = u.workstation_id
    ),
    found as materialized (
        select s.*, e.model_key, e.camera_key, e.confidence, e.confidence is not null as is_known
        from said s
        -- Lateral, with OFFSET: an index probe each, whatever the planner thinks of unnest.
        left join lateral (
            select q.model_key, q.camera_key, q.confidence
            from floor.events q
            where q.site_key = p_site_key and q.worker_key = s.worker_key and q.time = s.time
              and q.workstation_key = s.workstation_key and q.event_type = s.event_type
              and q.time between first_time and last_time
            offset 0
        ) e on true
    ),
    told as materialized (
        select f.*,
            case
                when not f.is_known then 'unknown_event'
                when f.said_at is null and row_number() over event_desc > 1 then 'duplicate'
                when f.said_at is not null and row_number() over same_words > 1 then 'duplicate'
                when exists (
                    select from ops.validations v
                    where v.site_key = p_site_key and v.time = f.time
                      and v.worker_key = f.worker_key and v.workstation_key = f.workstation_key
                      and v.event_type = f.event_type and v.verdict = f.verdict
                      and v.right_label is not distinct from f.label
                      and v.note is not distinct from f.note and v.validated_by = f.said_by
                      and case when f.said_at is null then v.stands
                               else v.validated_at = f.said_at end) then 'duplicate'
                else 'stored'
            end as became
        from found f
        window
            event_desc as (
                partition by f.worker_key, f.time, f.workstation_key, f.event_type,
                    f.said_at is null
                order by f.nr desc),
            same_words as (
                partition by f.worker_key, f.time, f.workstation_key, f.event_type, f.said_at,
                    f.said_by, f.verdict, f.label, f.note
                order by f.nr)
    ),
    kept as (
        insert into ops.validations
            (site_key, worker_key, time, workstation_key, event_type, model_key, camera_key,
             confidence, verdict, right_label, validated_by, validated_at, note, source)
        select p_site_key, t.worker_key, t.time, t.workstation_key, t.event_type,
            coalesce(t.model_key, 0), coalesce(t.camera_key, 0), t.confidence, t.verdict,
            t.label, t.said_by, coalesce(t.said_at, p_now), t.note, p_source
        from told t
        where t.became = 'stored'
        order by t.nr
    )
    select t.nr, t.became, n.time
    from told t
    left join lateral (
        select e.time
        from floor.events e
        where e.site_key = p_site_key and e.worker_key = t.worker_key
          and e.event_type = t.event_type
          and e.time between t.time - interval '1 second' and t.time + interval '1 second'
          and e.time between first_time - interval '1 second' and last_time + interval '1 second'
        order by abs(extract(epoch from e.time - t.time))
        limit 1
    ) n on t.became = 'unknown_event';
    perform ops.settle_validations(p_site_key, p_times);
end
$$;

create or replace function ops.settle_validations(p_site_key integer, p_times timestamptz[])
returns void
language plpgsql
set search_path = ops, pg_temp
as $$
-- Of the verdicts on each event of these times, the last one said stands. First those that do
-- no longer, then those that do: an index lets only one stand.
declare
    falls bigint[];
    rises bigint[];
begin
    with ranked as (
        select v.validation_key, v.stands, row_number() over (
            partition by v.worker_key, v.time, v.workstation_key, v.event_type
            order by v.validated_at desc, v.validation_key desc) = 1 as is_last
        from ops.validations v
        where v.site_key = p_site_key and v.time = any (p_times)
    )
    select
        array_agg(r.validation_key) filter (where r.stands and not r.is_last),
        array_agg(r.validation_key) filter (where r.is_last and not r.stands)
    into falls, rises
    from ranked r;
    update ops.validations v set stands = false where v.validation_key = any (falls);
    update ops.validations v set stands = true where v.validation_key = any (rises);
end
$$;
