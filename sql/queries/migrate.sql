-- name: lock --
-- One installer at a time, until the session ends.
select pg_advisory_lock(hashtext('floorpulse.migrate'))

-- name: create_ledgers --
-- Before the first migration: what was applied, and with which text.
create schema if not exists floor;
create table if not exists floor.migrations (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
);
create table if not exists floor.applied_files (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
);

-- name: read_migrations --
-- The ledger of migrations.
select name, sha256 from floor.migrations order by name

-- name: read_applied_files --
-- The ledger of what is applied again when its text changes.
select name, sha256 from floor.applied_files order by name

-- name: record_migration --
-- One line of the ledger.
insert into floor.migrations (name, sha256) values (%s, %s)

-- name: record_file --
-- One line of the other ledger.
insert into floor.applied_files (name, sha256) values (%s, %s)

-- name: foreign_schemas --
-- Schemas of our names in a database without our ledger. TimescaleDB brings none of them.
select nspname from pg_namespace where nspname in ('floor', 'ingest', 'analytics', 'ops') order by 1

-- name: installation --
-- The two switches.
select hypertables, continuous_aggregates from floor.installation

-- name: record_installation --
-- Fixed from now on.
insert into floor.installation (hypertables, continuous_aggregates) values (%s, %s)

-- name: timescaledb_installed --
-- The extension, where this database has it.
select extversion from pg_extension where extname = 'timescaledb'

-- name: timescaledb_loaded --
-- Preloaded (its loader defines this setting) and available to this database.
select 1
from pg_available_extensions
where name = 'timescaledb'
  and current_setting('timescaledb.max_background_workers', true) is not null

-- name: wake_timescaledb --
-- Loads the library into this session.
select count(*) from timescaledb_information.hypertables

-- name: timescaledb_license --
-- 'timescale' (Community) or 'apache'; null without the extension.
select current_setting('timescaledb.license', true)

-- name: drop_views --
-- Every view of schema analytics, in one statement so that their order is no matter.
select 'drop view ' || string_agg(format('analytics.%I', c.relname), ', ')
from pg_class c
where c.relnamespace = 'analytics'::regnamespace and c.relkind = 'v'
having count(*) > 0

-- name: drop_routines --
-- Every routine of ours that no table, index or aggregate stands on.
select 'drop routine ' || string_agg(p.oid::regprocedure::text, ', ')
from pg_proc p
where p.pronamespace in ('floor'::regnamespace, 'ingest'::regnamespace, 'analytics'::regnamespace,
                         'ops'::regnamespace)
  and not exists (
      select from pg_depend d
      where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid and d.deptype = 'n'
        and d.classid <> 'pg_proc'::regclass)
having count(*) > 0
