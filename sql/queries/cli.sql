-- name: role_settings --
-- What a login of a role sets, its name last; no row where we may not be the role.
select s.setting
from (
    select unnest(r.rolconfig) as setting, 1 as place
    from pg_roles r
    where r.rolname = %(role)s
    union all
    select 'role=' || r.rolname, 2
    from pg_roles r
    where r.rolname = %(role)s
) s
where (select pg_has_role(current_user, r.oid, 'set') from pg_roles r where r.rolname = %(role)s)
order by s.place

-- name: engine --
-- The two switches that were fixed at the first migrate.
select i.hypertables, i.continuous_aggregates, i.strict_sites, i.created_at
from floor.installation i

-- name: size --
-- How large the database is, in bytes.
select pg_database_size(current_database())

-- name: factory_metrics --
-- One row for a site, or for all.
select * from analytics.factory_metrics(%(site)s, %(from)s::timestamptz, %(to)s::timestamptz, %(shift)s)

-- name: worker_metrics --
-- A row per worker.
select * from analytics.worker_metrics(%(site)s, %(from)s::timestamptz, %(to)s::timestamptz, %(shift)s)

-- name: workstation_metrics --
-- A row per workstation.
select * from analytics.workstation_metrics(%(site)s, %(from)s::timestamptz, %(to)s::timestamptz, %(shift)s)

-- name: factory_metrics_by_date --
-- The same by production date, both dates included.
select * from analytics.factory_metrics_by_date(%(site)s, %(from)s::date, %(to)s::date, %(shift)s)

-- name: worker_metrics_by_date --
-- The same by production date, both dates included.
select * from analytics.worker_metrics_by_date(%(site)s, %(from)s::date, %(to)s::date, %(shift)s)

-- name: workstation_metrics_by_date --
-- The same by production date, both dates included.
select * from analytics.workstation_metrics_by_date(%(site)s, %(from)s::date, %(to)s::date, %(shift)s)

-- name: last_now --
-- Now of the metrics: the last refresh of a site, or the latest of all.
select max(f.last_at)
from analytics.freshness f
where f.stage = 'aggregated' and (%(site)s::text is null or f.site_id = %(site)s)

-- name: site_ids --
-- The sites that readers see.
select distinct f.site_id from analytics.freshness f order by 1
