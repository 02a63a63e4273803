-- Who may do what. Roles belong to the server: where this role may not create them, the
-- rest still stands and `floorpulse doctor` says what is missing.
do $$
declare
    role_name text;
begin
    foreach role_name in array array['floorpulse_analyst', 'floorpulse_dashboard', 'floorpulse_ingest'] loop
        if not exists (select from pg_roles r where r.rolname = role_name) then
            begin
                -- LOGIN without a password: nobody can, until an owner sets one.
                execute format('create role %I login', role_name);
            exception
                when insufficient_privilege then
                    raise notice 'role % is missing and may not be created here', role_name;
                when duplicate_object or unique_violation then
                    null; -- another database's installer was faster
            end;
        end if;
        if exists (select from pg_roles r where r.rolname = role_name)
           and not pg_has_role(current_user, role_name, 'set') then
            begin
                execute format('grant %I to current_user', role_name);
            exception
                when insufficient_privilege then
                    raise notice 'the owner may not act as %', role_name;
            end;
        end if;
    end loop;

    if exists (select from pg_roles r where r.rolname = 'floorpulse_analyst') then
        grant usage on schema analytics to floorpulse_analyst;
        grant select on all tables in schema analytics to floorpulse_analyst;
        grant execute on all functions in schema analytics to floorpulse_analyst;
        begin
            alter role floorpulse_analyst set default_transaction_read_only = on;
            alter role floorpulse_analyst set statement_timeout = '60s';
            alter role floorpulse_analyst set lock_timeout = '5s';
            alter role floorpulse_analyst set idle_in_transaction_session_timeout = '60s';
            alter role floorpulse_analyst set search_path = analytics;
            alter role floorpulse_analyst set timezone = 'UTC';
        exception
            when insufficient_privilege then
                raise notice 'time-outs of floorpulse_analyst are not set: role may not be altered here';
            when internal_error then
                null; -- tuple concurrently updated: another database's installer sets the same
        end;
    end if;
    if exists (select from pg_roles r where r.rolname = 'floorpulse_dashboard') then
        grant usage on schema analytics to floorpulse_dashboard;
        grant select on all tables in schema analytics to floorpulse_dashboard;
        grant execute on all functions in schema analytics to floorpulse_dashboard;
    end if;
    if exists (select from pg_roles r where r.rolname = 'floorpulse_ingest') then
        grant usage on schema floor, ingest, ops to floorpulse_ingest;
        grant select on floor.installation, floor.sites, floor.site_settings, floor.settings_spans,
            floor.workers, floor.workstations, floor.models, floor.cameras, floor.partitions,
            floor.migrations, floor.retention, floor.events to floorpulse_ingest;
        grant insert on floor.events, floor.dirty, ingest.tallies, ops.audit_log to floorpulse_ingest;
        grant select, insert, update on ingest.loads, ingest.rejects, ops.job_runs
            to floorpulse_ingest;
    end if;
end
$$;

revoke all on all functions in schema analytics from public;
