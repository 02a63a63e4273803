-- Facts on TimescaleDB: chunks of both hypertables, made ahead of the transaction that
-- fills them. Same routine names as partitions.sql.

create or replace function floor.ensure_chunks(
    p_from timestamptz, p_to timestamptz, p_rows bigint default 0)
returns integer
language plpgsql
set search_path = floor, public, pg_temp
set timezone = 'UTC'
as $$
-- Makes what is missing of the chunks that hold [p_from, p_to], both tables alike, and
-- returns how many were made: a transaction that has created a chunk makes every other
-- chunk-creating writer wait until it ends, so this is a short one of its own. Days by
-- default; 30 days where the rows expected per day are few and the range is past.
declare
    per_day double precision;
    step interval := interval '1 day';
    at timestamptz;
    stop timestamptz;
    table_name text;
    made integer := 0;
begin
    if not exists (select from floor.missing_days(p_from, p_to)) then
        return 0;
    end if;
    perform pg_advisory_xact_lock(hashtext('floorpulse.chunks'), 0);
    per_day := p_rows / greatest(1, extract(epoch from p_to - p_from) / 86400);
    if per_day < 100000 and p_to - p_from > interval '3 days' then
        step := interval '30 days';
    end if;
    at := (select min(m.day) from floor.missing_days(p_from, p_to) m);
    while at is not null loop
        stop := at + interval '1 day';
        if step > interval '1 day' and at = date_bin(step, at, timestamptz 'epoch')
           and at + step < now() - interval '1 day'
           and not exists (select from floor.partitions q
                           where q.starts_at < at + step and q.ends_at > at) then
            stop := at + step;
        end if;
        foreach table_name in array array['events', 'activity'] loop
            perform _timescaledb_functions.create_chunk(
                format('floor.%I', table_name)::regclass,
                jsonb_build_object('time', jsonb_build_array(
                    (extract(epoch from at) * 1000000)::bigint,
                    (extract(epoch from stop) * 1000000)::bigint)));
        end loop;
        made := made + 1;
        at := (select min(m.day) from floor.missing_days(p_from, p_to) m where m.day >= stop);
    end loop;
    return made;
end
$$;

create or replace view floor.partitions as
select c.chunk_name as name, c.range_start as starts_at, c.range_end as ends_at
from timescaledb_information.chunks c
where c.hypertable_schema = 'floor' and c.hypertable_name = 'activity';
