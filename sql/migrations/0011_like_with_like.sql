-- Baselines are learnt camera by camera, in turn, and confidence too is compared with the
-- same camera at the same hour of the day. Free room of the server's disk, where it is known.

drop function if exists ops.hour_findings(integer, timestamptz);
drop function if exists ops.learn_weeks(integer, text, timestamptz);
drop table floor.model_bases;
truncate floor.model_weeks, floor.model_scales;

alter table floor.model_scales
    drop column first_at,
    add column base_to timestamptz not null,
    add column zone text not null,
    add column stale boolean not null default false;
comment on table floor.model_scales is 'What was learnt of a camera (-1: all of the model), and of which 30 days: those before base_to';
comment on column floor.model_scales.zone is 'The time zone that its hours were read in';
comment on column floor.model_scales.stale is 'Events came for those 30 days since then: to be learnt again';

create table floor.model_likes (
    site_key integer not null,
    model_key integer not null,
    camera_key integer not null,
    day_hour integer not null,
    events bigint not null,
    confidence_sum double precision not null,
    confidence_squares double precision not null,
    b00 bigint not null, b01 bigint not null, b02 bigint not null, b03 bigint not null,
    b04 bigint not null, b05 bigint not null, b06 bigint not null, b07 bigint not null,
    b08 bigint not null, b09 bigint not null, b10 bigint not null, b11 bigint not null,
    b12 bigint not null, b13 bigint not null, b14 bigint not null, b15 bigint not null,
    b16 bigint not null, b17 bigint not null, b18 bigint not null, b19 bigint not null,
    primary key (site_key, model_key, camera_key, day_hour)
);
comment on table floor.model_likes is 'Confidence of a camera by hour of the local day, in the 30 days of model_scales (span day)';

-- Four deviations are met by chance within weeks where 7 series of a site are looked at every
-- day (docs/drift.md). Who has set a value keeps it.
alter table ops.drift_settings alter column rate_shift set default 5;
update ops.drift_settings s
set rate_shift = 5
where s.rate_shift = 4
  and not exists (
      select from ops.audit_log a
      join floor.sites q on q.site_id = a.subject
      where q.site_key = s.site_key and a.action = 'drift set' and a.detail ? 'rate_shift');

create table ops.storage (
    folder text primary key,
    free_bytes bigint not null,
    least_bytes bigint not null,
    total_bytes bigint not null,
    measured_at timestamptz not null
);
comment on table ops.storage is 'Room on the disk of the local server, measured by the scheduler beside it';
comment on column ops.storage.least_bytes is 'Less than this is trouble';
