-- How the events that a trainer or a person gets to see are drawn.

create or replace function floor.draw(
    p_seed bigint, p_site text, p_worker text, p_workstation text, p_type smallint,
    p_time timestamptz)
returns double precision
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- A number in [0, 1) that depends on the seed and an event's identity alone, on every server:
-- the first 48 bits of a sha256.
    select ('x' || encode(substr(sha256(convert_to(
            p_seed || chr(10) || concat_ws(chr(31), p_site, p_worker, p_workstation, p_type,
                floor.micros(p_time)), 'UTF8')), 1, 6), 'hex'))::bit(48)::bigint
        / 281474976710656.0::double precision
$$;
