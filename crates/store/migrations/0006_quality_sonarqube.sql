-- What SonarQube says of a commit, by its own project.
create table quality_sonarqube (
    project_id bigint not null references project (id) on delete cascade,
    commit_id text not null,
    name text not null,
    status text not null,
    conditions text not null,
    created_at bigint not null,
    primary key (project_id, commit_id, name)
);
