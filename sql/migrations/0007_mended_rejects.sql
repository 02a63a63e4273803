-- Parked events that were mended on their way back: how, beside by whom.
alter table ingest.rejects add column mended jsonb;
comment on column ingest.rejects.mended is 'What was changed of the event when it was sent again (state_by: by whom); null: nothing';
