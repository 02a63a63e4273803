-- How long the mean of the last 100 events must have been low: two checks in a row at the pace
-- of the scheduler, so that a broken lens is told of within an hour (docs/drift.md).
alter table ops.drift_settings
    add column rolling_hold_s integer not null default 600
        check (rolling_hold_s between 0 and 86400);
comment on column ops.drift_settings.rolling_hold_s is 'Seconds for which check after check must have found the last 100 events low or dropped';

-- Keys of the HTTP API may ask for and answer retraining, too.
alter table ingest.api_keys drop constraint api_keys_allows_check;
alter table ingest.api_keys add constraint api_keys_allows_check
    check (cardinality(allows) > 0
           and allows <@ array['ingest', 'files', 'read', 'rejects', 'validate', 'retrain']);
