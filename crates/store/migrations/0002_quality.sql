-- One report file of a job's attempt: what it holds as a versioned record, or why it cannot be read.
create table quality_report (
    id integer primary key,
    project_id bigint not null references project (id) on delete cascade,
    pipeline_id bigint not null references pipeline (id) on delete cascade,
    job_id bigint not null references job (id) on delete cascade,
    attempt bigint not null,
    job_name text not null,
    kind text not null,
    path text not null,
    commit_id text not null,
    tree_id text not null,
    format text not null,
    problem text,
    notes text not null default '[]',
    body text not null,
    created_at bigint not null,
    unique (job_id, attempt, kind, path)
);
create index quality_report_by_pipeline on quality_report (pipeline_id);
create index quality_report_by_commit on quality_report (project_id, commit_id);

-- How a finished pipeline of a merge request stands before the gate; made anew when the pipeline finishes again.
create table quality_gate (
    pipeline_id bigint primary key references pipeline (id) on delete cascade,
    finished_at bigint not null,
    judgement text not null
);

-- Who lets a merge request pass although its gate does not, and why; it holds for that one commit.
create table quality_override (
    id integer primary key,
    merge_request_id bigint not null references merge_request (id) on delete cascade,
    head_commit text not null,
    account_id bigint not null references account (id),
    reason text not null,
    created_at bigint not null
);
create index quality_override_by_merge_request on quality_override (merge_request_id);
