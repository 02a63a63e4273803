-- The same bytes can be two events: what they say depends on how their file was read (its
-- site, header, preset, zone). Parked rows that are read differently are not the same row.
alter table ingest.rejects add column reading_sha256 bytea not null default ''::bytea;
comment on column ingest.rejects.reading_sha256 is 'sha256 of how its load reads a row (ingest.loads.options without the part); empty: as it stands';
update ingest.rejects r
set reading_sha256 = sha256(convert_to((l.options::jsonb - 'part')::text, 'UTF8'))
from ingest.loads l
where l.load_id = r.load_id and starts_with(l.options, '{');
do $$
declare
    old name;
begin
    select c.conname into strict old
    from pg_constraint c
    where c.conrelid = 'ingest.rejects'::regclass and c.contype = 'u';
    execute format('alter table ingest.rejects drop constraint %I', old);
end;
$$;
alter table ingest.rejects add constraint rejects_identity
    unique (raw_sha256, code, source, reading_sha256);
