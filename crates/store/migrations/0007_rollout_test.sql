-- A job that ran against the nodes of a rollout.
create table rollout_test (
    rollout_id bigint not null references rollout (id) on delete cascade,
    job_id bigint not null references job (id) on delete cascade,
    primary key (rollout_id, job_id)
);
