-- name: began --
-- A consumer begins; its row in the ledger says how it fares.
insert into ops.job_runs (job, detail)
values ('consume', %(detail)s::jsonb)
returning run_id

-- name: going --
-- It is alive, and this is what it did.
update ops.job_runs
set detail = %(detail)s::jsonb
where run_id = %(run_id)s

-- name: ended --
-- It ended: well, or with an error.
update ops.job_runs
set finished_at = clock_timestamp(), ok = %(error)s::text is null, error = %(error)s,
    detail = %(detail)s::jsonb
where run_id = %(run_id)s
