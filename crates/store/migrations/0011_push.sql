-- Who pushed which commit, for good: who wrote a change does not approve it.
create table push (
    project_id bigint not null references project (id) on delete cascade,
    commit_id text not null,
    account_id bigint not null references account (id),
    primary key (project_id, commit_id, account_id)
);
drop index pipeline_by_head_commit;
