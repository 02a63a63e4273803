-- name: create --
-- A new key; the name is free again once the key that had it is revoked.
insert into ingest.api_keys
    (key_id, name, secret_sha256, allows, sites, event_types, camera_group, cameras,
     events_per_s, created_by, expires_at)
values
    (%(key_id)s, %(name)s, %(secret_sha256)s, %(allows)s, %(sites)s, %(event_types)s,
     %(camera_group)s, %(cameras)s, %(events_per_s)s, %(who)s, %(expires_at)s)

-- name: list --
-- All keys that were ever made, without what checks them.
select k.key_id, k.name, k.allows, k.sites, k.event_types, k.camera_group, k.cameras,
    k.events_per_s, k.created_at, k.created_by, k.expires_at, k.revoked_at, k.revoked_by,
    case
        when k.revoked_at is not null then 'revoked'
        when k.expires_at <= clock_timestamp() then 'expired'
        else 'valid'
    end as state
from ingest.api_keys k
where %(all)s or k.revoked_at is null
order by k.created_at, k.key_id

-- name: revoke --
-- A key by its name or id; revoking it twice changes nothing.
update ingest.api_keys k
set revoked_at = clock_timestamp(), revoked_by = %(who)s
where k.revoked_at is null and %(key)s in (k.name, k.key_id)
returning k.key_id, k.name

-- name: valid --
-- What checks the keys that hold now.
select k.key_id, k.name, k.secret_sha256, k.allows, k.sites, k.event_types, k.cameras,
    k.events_per_s, k.expires_at
from ingest.api_keys k
where k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp())

-- name: audit --
-- Who did what.
insert into ops.audit_log (who, action, subject, detail)
values (%(who)s, %(action)s, %(subject)s, %(detail)s)
