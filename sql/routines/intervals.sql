-- Shares, and differences between two samples, with their 95 % intervals, from sums alone.
-- Formulas and sources: docs/models.md.

create or replace function floor.wilson(
    p_hits double precision, p_trials double precision,
    out low double precision, out high double precision)
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- The 95 % score interval of a share (Wilson 1927, without continuity correction); null where
-- nothing was tried.
    select
        case when c.reach is not null then greatest(0, c.centre - c.reach) end,
        case when c.reach is not null then least(1, c.centre + c.reach) end
    from (
        select
            (q.share + q.z2 / (2 * q.n)) / (1 + q.z2 / q.n) as centre,
            sqrt(q.z2 * (q.share * (1 - q.share) + q.z2 / (4 * q.n)) / q.n)
                / (1 + q.z2 / q.n) as reach
        from (
            select p_hits / nullif(p_trials, 0) as share, nullif(p_trials, 0) as n,
                1.959963984540054 ^ 2 as z2
        ) q
    ) c
$$;

create or replace function floor.t_quantile(p_freedom double precision)
returns double precision
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- The 97.5 % point of Student's t (Abramowitz and Stegun 26.7.5); off by less than 0.0001 from
-- 10 degrees of freedom on, null below.
    select case when p_freedom >= 10 then
        q.z + (q.z ^ 3 + q.z) / (4 * p_freedom)
        + (5 * q.z ^ 5 + 16 * q.z ^ 3 + 3 * q.z) / (96 * p_freedom ^ 2)
        + (3 * q.z ^ 7 + 19 * q.z ^ 5 + 17 * q.z ^ 3 - 15 * q.z) / (384 * p_freedom ^ 3)
        + (79 * q.z ^ 9 + 776 * q.z ^ 7 + 1482 * q.z ^ 5 - 1920 * q.z ^ 3 - 945 * q.z)
            / (92160 * p_freedom ^ 4)
        end
    from (select 1.959963984540054::double precision as z) q
$$;

create or replace function floor.welch(
    p_n1 bigint, p_mean1 double precision, p_deviation1 double precision,
    p_n2 bigint, p_mean2 double precision, p_deviation2 double precision,
    out low double precision, out high double precision)
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Welch's interval of the second mean less the first. Two samples that do not vary at all have
-- one of no width.
    select q.d - q.reach, q.d + q.reach
    from (
        select p_mean2 - p_mean1 as d,
            case when v.v1 + v.v2 = 0 then 0
                 else sqrt(v.v1 + v.v2) * floor.t_quantile(
                     (v.v1 + v.v2) ^ 2 / (v.v1 ^ 2 / (p_n1 - 1) + v.v2 ^ 2 / (p_n2 - 1)))
            end as reach
        from (select p_deviation1 ^ 2 / nullif(p_n1, 0) as v1,
                  p_deviation2 ^ 2 / nullif(p_n2, 0) as v2) v
    ) q
$$;

create or replace function floor.newcombe(
    p_hits1 double precision, p_trials1 double precision, p_hits2 double precision,
    p_trials2 double precision,
    out low double precision, out high double precision)
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Newcombe's hybrid score interval of the second share less the first.
    select
        s.p2 - s.p1 - sqrt((s.p2 - w2.low) ^ 2 + (w1.high - s.p1) ^ 2),
        s.p2 - s.p1 + sqrt((w2.high - s.p2) ^ 2 + (s.p1 - w1.low) ^ 2)
    from (select p_hits1 / nullif(p_trials1, 0) as p1, p_hits2 / nullif(p_trials2, 0) as p2) s
    cross join lateral floor.wilson(p_hits1, p_trials1) w1
    cross join lateral floor.wilson(p_hits2, p_trials2) w2
$$;

create or replace function floor.key_of_model(p_site_key integer, p_version text)
returns integer
language plpgsql stable
set search_path = floor, pg_temp
as $$
-- The key of a site's model version, 0 for null or '' (events that name none), or an error
-- that names those there are.
declare
    key integer := (select m.model_key from floor.models m
                    where m.site_key = p_site_key and m.model_version = p_version);
begin
    if coalesce(p_version, '') = '' then
        return 0;
    end if;
    if key is null then
        raise exception 'this site has no model version %', quote_literal(p_version)
            using errcode = 'no_data_found', hint = 'It has ' || coalesce((
                select string_agg(m.model_version, ', ' order by m.model_key desc)
                from floor.models m where m.site_key = p_site_key), 'none') || '.';
    end if;
    return key;
end
$$;
