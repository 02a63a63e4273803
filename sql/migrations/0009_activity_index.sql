-- What a cut replaces is found by worker and time and told by its state: with the state's time
-- in the index, no piece is read that stays.
drop index floor.activity_worker_time;
create index activity_worker_time on floor.activity (site_key, worker_key, time, state_at);
