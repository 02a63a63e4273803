-- Keys for a group of cameras: ids, or patterns of ids.
alter table ingest.api_keys add column cameras text[] check (cardinality(cameras) > 0);
comment on column ingest.api_keys.cameras is 'Cameras it may send for: ids, * in them for anything; null: all, and events that name none';
comment on column ingest.api_keys.camera_group is 'What people call these cameras';
