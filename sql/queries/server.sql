-- name: facts --
-- One row, in the order of ServerFacts: what the server is and what we may do there.
select
    current_setting('server_version_num')::integer,
    current_setting('server_version'),
    current_database()::text,
    current_user::text,
    role.rolsuper,
    role.rolcreaterole or role.rolsuper,
    has_database_privilege(current_database(), 'CREATE'),
    (select extversion from pg_extension where extname = 'timescaledb'),
    (select default_version from pg_available_extensions where name = 'timescaledb'),
    current_setting('timescaledb.license', true)
from pg_roles as role
where role.rolname = current_user;
