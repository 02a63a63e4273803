-- Requests to train a model anew, and their steps.

create or replace view analytics.retraining_requests as
select
    r.request_key as request_id, s.site_id, m.model_version, r.state as request_state, r.reason,
    r.requested_at, r.requested_by, r.state_at, r.evidence
from ops.retraining_requests r
join floor.sites s on s.site_key = r.site_key
left join floor.models m on m.model_key = r.model_key;

create or replace view analytics.retraining_steps as
select
    h.request_key as request_id, h.step_key as step_id, h.was, h.state as request_state, h.at,
    h.who, h.note, h.detail
from ops.retraining_steps h;

create or replace view analytics.retraining_calls as
select
    e.request_key as request_id, e.export_key as export_id, e.folder, e.exported_at, c.target,
    case when c.delivered_at is not null then 'delivered'
         when c.last_error = 'exported anew' then 'dropped'
         when c.gave_up_at is not null then 'given up'
         when c.target = 'webhook' and r.state <> 'exported' then 'dropped'
         else 'pending' end as call_state,
    c.attempts, c.next_at, c.delivered_at, c.answer, c.last_error, c.call_key as call_id,
    s.site_id, c.gave_up_at
from ops.retraining_calls c
join ops.retraining_exports e on e.export_key = c.export_key
join ops.retraining_requests r on r.request_key = e.request_key
join floor.sites s on s.site_key = r.site_key;

comment on view analytics.retraining_requests is 'Requests to train a model version anew, open and ended, see docs/retraining.md';
comment on column analytics.retraining_requests.request_id is 'Number of the request';
comment on column analytics.retraining_requests.model_version is 'The version to be trained anew; null: events that name none';
comment on column analytics.retraining_requests.request_state is 'requested, approved, exported, trained, deployed or rejected';
comment on column analytics.retraining_requests.reason is 'confidence (a signal held), accuracy (what people found), or person';
comment on column analytics.retraining_requests.requested_at is 'When it was raised';
comment on column analytics.retraining_requests.requested_by is 'Who asked; null: the signals';
comment on column analytics.retraining_requests.state_at is 'Since when it is in this state';
comment on column analytics.retraining_requests.evidence is 'Alerts, accuracy and confidence when it was raised';
comment on view analytics.retraining_steps is 'Every state that a retraining request came into';
comment on column analytics.retraining_steps.request_id is 'Number of the request';
comment on column analytics.retraining_steps.step_id is 'Number of the step, in their order';
comment on column analytics.retraining_steps.was is 'State before; null: it was raised';
comment on column analytics.retraining_steps.request_state is 'State after';
comment on column analytics.retraining_steps.at is 'When';
comment on column analytics.retraining_steps.who is 'By whom; null: the signals';
comment on column analytics.retraining_steps.note is 'What was said';
comment on column analytics.retraining_steps.detail is 'Where an export lies, which version came of it';
comment on view analytics.retraining_calls is 'Whom an export for a trainer was told to, or is still to be';
comment on column analytics.retraining_calls.request_id is 'Number of the request';
comment on column analytics.retraining_calls.export_id is 'Number of the export';
comment on column analytics.retraining_calls.folder is 'Where it was written, on the machine that wrote it';
comment on column analytics.retraining_calls.exported_at is 'When';
comment on column analytics.retraining_calls.target is 'webhook or mlflow';
comment on column analytics.retraining_calls.call_state is 'pending, delivered, given up, or dropped: exported anew, or the request went on without it';
comment on column analytics.retraining_calls.attempts is 'How often it was tried';
comment on column analytics.retraining_calls.next_at is 'When it is tried next, if pending';
comment on column analytics.retraining_calls.delivered_at is 'When it worked';
comment on column analytics.retraining_calls.answer is 'What came back: a status, or MLflow''s run';
comment on column analytics.retraining_calls.last_error is 'What went wrong the last time';
comment on column analytics.retraining_calls.call_id is 'Number of the call, in their order';
comment on column analytics.retraining_calls.gave_up_at is 'When it was given up';
