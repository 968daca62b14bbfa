-- An analysis at SonarQube whose end is asked for.
create table quality_sonarqube_task (
    project_id bigint not null references project (id) on delete cascade,
    task text not null,
    commit_id text not null,
    name text not null,
    attempts bigint not null default 0,
    next_at bigint not null,
    created_at bigint not null,
    primary key (project_id, task)
);
