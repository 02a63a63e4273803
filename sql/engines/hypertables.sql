-- Facts on TimescaleDB: chunks of both hypertables, made ahead of the transaction that
-- fills them. Same routine names as partitions.sql.

create or replace function floor.ensure_chunks(
    p_from timestamptz, p_to timestamptz, p_rows bigint default 0)
returns integer
language plpgsql security definer
set search_path = floor, public, pg_temp
set timezone = 'UTC'
as $$
-- Makes what is missing of the chunks that hold [p_from, p_to], both tables alike, and
-- returns how many were made: a transaction that has created a chunk makes every other
-- chunk-creating writer wait until it ends, so this is a short one of its own. Days by
-- default; 30 days where the rows expected per day are few and the range is past.
declare
    sparse boolean;
    day timestamptz;
    made integer := 0;
begin
    if not exists (select from floor.missing_days(p_from, p_to)) then
        return 0;
    end if;
    perform pg_advisory_xact_lock(hashtext('floorpulse.chunks'), 0);
    sparse := floor.is_sparse(p_from, p_to, p_rows);
    loop
        day := (select min(m.day) from floor.missing_days(p_from, p_to) m);
        exit when day is null;
        perform floor.make_chunks(day, case
            when sparse and day < now() - interval '31 days' then interval '30 days'
            else interval '1 day' end);
        made := made + 1;
    end loop;
    return made;
end
$$;

create or replace function floor.make_chunks(p_day timestamptz, p_length interval)
returns void
language plpgsql
set search_path = floor, public, pg_temp
as $$
-- The chunks that hold this instant, of this length where their neighbours leave the room.
-- A row that comes and goes makes them: the function that would is not in the Apache edition.
begin
    if p_length <> interval '1 day' then
        perform set_chunk_time_interval('floor.events', p_length);
        perform set_chunk_time_interval('floor.activity', p_length);
    end if;
    insert into floor.events (site_key, worker_key, time, workstation_key, confidence, event_type)
    values (0, 0, p_day, 0, 0, 0);
    delete from floor.events e where e.site_key = 0 and e.time = p_day;
    insert into floor.activity (site_key, worker_key, time, ends_at, state_at, duration_us,
        workstation_key, shift_key, production_date, units, units_working, state, begins, in_break)
    values (0, 0, p_day, p_day, p_day, 0, 0, 0, '2000-01-01', 0, 0, 3, 0, false);
    delete from floor.activity a where a.site_key = 0 and a.time = p_day;
    if p_length <> interval '1 day' then
        perform set_chunk_time_interval('floor.events', interval '1 day');
        perform set_chunk_time_interval('floor.activity', interval '1 day');
    end if;
end
$$;

create or replace function floor.drop_chunk(
    p_site_key integer, p_from timestamptz, p_to timestamptz)
returns boolean
language plpgsql
set search_path = floor, public, pg_temp
set timezone = 'UTC'
set lock_timeout = '300ms'
as $$
-- Drops the chunks of that time, of activity too unless its pieces are folded, where no site
-- other than this one keeps rows there. The caller tries again where a lock is not to be had.
declare
    facts regclass[] := case
        when floor.folds_pieces() then array['floor.events'::regclass]
        else array['floor.events'::regclass, 'floor.activity'::regclass] end;
    fact regclass;
    chunk regclass;
begin
    foreach fact in array facts loop
        for chunk in select show_chunks(fact, older_than => p_to, newer_than => p_from) loop
            execute format('lock table %s in access exclusive mode', chunk);
        end loop;
    end loop;
    if floor.others_keep(p_site_key, p_from, p_to) then
        return false;
    end if;
    foreach fact in array facts loop
        perform drop_chunks(fact, older_than => p_to, newer_than => p_from);
    end loop;
    return true;
end
$$;

create or replace view floor.partitions as
select c.chunk_name as name, c.range_start as starts_at, c.range_end as ends_at
from timescaledb_information.chunks c
where c.hypertable_schema = 'floor' and c.hypertable_name = 'activity';
