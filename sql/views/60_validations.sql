-- What people say of events, and how right each model version is by that.

create or replace view analytics.validations as
select
    s.site_id, v.time, w.worker_id, b.workstation_id,
    floor.event_type_name(v.event_type) as event_type, m.model_version, c.camera_id,
    v.confidence, v.verdict, v.right_label, v.validated_by, v.validated_at, v.note, v.stands,
    v.recorded_at
from ops.validations v
join floor.sites s on s.site_key = v.site_key
join floor.workers w on w.worker_key = v.worker_key
join floor.workstations b on b.workstation_key = v.workstation_key
left join floor.models m on m.model_key = v.model_key
left join floor.cameras c on c.camera_key = v.camera_key;

create or replace view analytics.model_accuracy as
with counted as (
    select v.site_key, v.model_key, count(*) as validated,
        count(*) filter (where v.verdict = 'right') as right_verdicts,
        count(*) filter (where v.verdict = 'wrong') as wrong_verdicts,
        min(v.time) as first_event_at, max(v.time) as last_event_at,
        max(v.validated_at) as last_validated_at
    from ops.validations v
    where v.stands
    group by v.site_key, v.model_key
)
select
    s.site_id, m.model_version, q.validated, q.right_verdicts, q.wrong_verdicts,
    floor.ratio(q.right_verdicts, q.validated) as accuracy,
    i.low as accuracy_low, i.high as accuracy_high,
    q.first_event_at, q.last_event_at, q.last_validated_at
from counted q
cross join lateral floor.wilson(q.right_verdicts, q.validated) i
join floor.sites s on s.site_key = q.site_key
left join floor.models m on m.model_key = q.model_key;

comment on view analytics.validations is 'Every verdict of a person on an event, superseded ones included (stands: the one that counts), see docs/validations.md';
comment on view analytics.model_accuracy is 'Site x model version: how many of the events that people looked at were right';
comment on column analytics.validations.verdict is 'right or wrong, says a person';
comment on column analytics.validations.right_label is 'What the event should have said; null: not told, or the verdict is right';
comment on column analytics.validations.validated_by is 'Who said it';
comment on column analytics.validations.validated_at is 'When it was said';
comment on column analytics.validations.note is 'What else was said';
comment on column analytics.validations.stands is 'No later verdict on the same event supersedes it';
comment on column analytics.validations.recorded_at is 'When it came in, by the database''s clock';
comment on column analytics.model_accuracy.model_version is 'Version of the model; null: the events named none';
comment on column analytics.model_accuracy.validated is 'Events with a verdict; only the last one said of an event counts';
comment on column analytics.model_accuracy.right_verdicts is 'Events that people found right';
comment on column analytics.model_accuracy.wrong_verdicts is 'Events that people found wrong';
comment on column analytics.model_accuracy.accuracy is 'right / validated, a fraction of 1';
comment on column analytics.model_accuracy.accuracy_low is 'Lower end of the 95 % Wilson interval';
comment on column analytics.model_accuracy.accuracy_high is 'Upper end of the 95 % Wilson interval';
comment on column analytics.model_accuracy.first_event_at is 'Time of the earliest event among them';
comment on column analytics.model_accuracy.last_event_at is 'Time of the latest event among them';
comment on column analytics.model_accuracy.last_validated_at is 'When the latest of these verdicts was said';
