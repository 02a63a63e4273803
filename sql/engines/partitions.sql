-- Facts on plain PostgreSQL: native range partitions by time, made ahead.
-- Same routine names as hypertables.sql.

create or replace function floor.ensure_chunks(
    p_from timestamptz, p_to timestamptz, p_rows bigint default 0)
returns integer
language plpgsql security definer
set search_path = floor, pg_temp
set timezone = 'UTC'
as $$
-- Makes what is missing of the partitions that hold [p_from, p_to], both tables alike, and
-- returns how many were made. Days by default; a month where the rows expected per day are
-- few and the month is past (one project had 291 chunks for 42,856 rows). CREATE and then
-- ATTACH: CREATE .. PARTITION OF would block readers.
declare
    sparse boolean;
    at timestamptz;
    stop timestamptz;
    table_name text;
    part text;
    made integer := 0;
begin
    if not exists (select from floor.missing_days(p_from, p_to)) then
        return 0;
    end if;
    perform pg_advisory_xact_lock(hashtext('floorpulse.chunks'), 0);
    sparse := floor.is_sparse(p_from, p_to, p_rows);
    at := (select min(m.day) from floor.missing_days(p_from, p_to) m);
    while at is not null loop
        stop := at + interval '1 day';
        if sparse and date_trunc('month', at) = at
           and at + interval '1 month' < now() - interval '1 day'
           and not exists (select from floor.partitions q
                           where q.starts_at < at + interval '1 month' and q.ends_at > at) then
            stop := at + interval '1 month';
        end if;
        foreach table_name in array array['events', 'activity'] loop
            part := format('%s_%s', table_name, to_char(at, 'YYYYMMDD'));
            execute format('create table floor.%I (like floor.%I including defaults including constraints)',
                           part, table_name);
            execute format('alter table floor.%I attach partition floor.%I for values from (%L) to (%L)',
                           table_name, part, at, stop);
        end loop;
        made := made + 1;
        at := (select min(m.day) from floor.missing_days(p_from, p_to) m where m.day >= stop);
    end loop;
    return made;
end
$$;

create or replace function floor.drop_chunk(
    p_site_key integer, p_from timestamptz, p_to timestamptz)
returns boolean
language plpgsql
set search_path = floor, pg_temp
set timezone = 'UTC'
set lock_timeout = '300ms'
as $$
-- Drops the partitions of that time, both tables alike, unless a site other than this one
-- keeps rows there. Who comes meanwhile waits for us as long as we wait for others at the
-- most: the caller tries again. (DETACH CONCURRENTLY waits without holding anybody up, but
-- one table at a time, and leaves half a partition behind where it is killed.)
declare
    part text;
begin
    lock table only floor.events, only floor.activity in access exclusive mode;
    if floor.others_keep(p_site_key, p_from, p_to) then
        return false;
    end if;
    for part in
        select q.name from floor.partitions q where q.starts_at >= p_from and q.ends_at <= p_to
    loop
        execute format('drop table floor.%I, floor.%I',
                       part, regexp_replace(part, '^activity', 'events'));
    end loop;
    return true;
end
$$;

create or replace view floor.partitions as
select
    c.relname as name,
    (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(.*?)''\)'))[1]::timestamptz as starts_at,
    (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''(.*?)''\)'))[1]::timestamptz as ends_at
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'floor.activity'::regclass;
