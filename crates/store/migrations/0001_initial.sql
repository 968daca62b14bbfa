create table account (
    id integer primary key,
    username text not null unique,
    name text not null,
    email text not null,
    password_hash text,
    admin integer not null default 0,
    created_at bigint not null
);

-- Credentials are kept as SHA-256 of the secret; kind: token, session, login (one-time link), job.
create table credential (
    id integer primary key,
    account_id bigint not null references account (id) on delete cascade,
    kind text not null,
    name text not null,
    secret_hash text not null unique,
    created_at bigint not null,
    expires_at bigint
);

create table project (
    id integer primary key,
    path text not null unique,
    name text not null,
    default_branch text not null,
    created_at bigint not null
);

create table protected_branch (
    project_id bigint not null references project (id) on delete cascade,
    name text not null,
    push_allowed integer not null,
    primary key (project_id, name)
);

create table project_variable (
    project_id bigint not null references project (id) on delete cascade,
    key text not null,
    value text not null,
    environment_scope text not null default '*',
    masked integer not null default 0,
    protected integer not null default 0,
    raw integer not null default 0,
    file integer not null default 0,
    primary key (project_id, key, environment_scope)
);

-- The refs as last seen; the difference to the repository makes the events.
create table ref (
    project_id bigint not null references project (id) on delete cascade,
    name text not null,
    commit_id text not null,
    primary key (project_id, name)
);

-- Who pushes which commit to which ref and with which options, noted before the push is carried out.
create table push_note (
    project_id bigint not null references project (id) on delete cascade,
    ref_name text not null,
    commit_id text not null,
    account_id bigint not null,
    options text not null,
    created_at bigint not null,
    primary key (project_id, ref_name, commit_id)
);

create table merge_request (
    id integer primary key,
    project_id bigint not null references project (id) on delete cascade,
    iid bigint not null,
    title text not null,
    description text not null,
    source_branch text not null,
    target_branch text not null,
    state text not null,
    author_id bigint not null references account (id),
    head_commit text not null,
    target_commit text not null,
    merge_status text not null,
    conflicts text not null default '[]',
    merge_when_pipeline_succeeds integer not null default 0,
    merge_commit text,
    merged_by bigint,
    created_at bigint not null,
    updated_at bigint not null,
    merged_at bigint,
    unique (project_id, iid)
);
create index merge_request_by_branch on merge_request (project_id, state, source_branch);

create table pipeline (
    id integer primary key,
    project_id bigint not null references project (id) on delete cascade,
    iid bigint not null,
    cause text not null unique,
    source text not null,
    ref_name text not null,
    commit_id text not null,
    tree_id text not null,
    merge_request_id bigint references merge_request (id),
    head_commit text,
    target_commit text,
    account_id bigint not null references account (id),
    title text not null,
    name text,
    status text not null,
    problem text,
    stages text not null,
    variables text not null,
    auto_cancel text not null,
    created_at bigint not null,
    started_at bigint,
    finished_at bigint,
    unique (project_id, iid)
);
create index pipeline_by_commit on pipeline (project_id, commit_id);
create index pipeline_by_merge_request on pipeline (merge_request_id);
create index pipeline_unfinished on pipeline (status) where finished_at is null;

create table job (
    id integer primary key,
    pipeline_id bigint not null references pipeline (id) on delete cascade,
    project_id bigint not null,
    position bigint not null,
    name text not null,
    stage bigint not null,
    status text not null,
    attempt bigint not null default 0,
    retries bigint not null default 0,
    fence bigint not null default 0,
    lease_until bigint,
    failure text,
    failure_note text,
    exit_code bigint,
    allowed_to_fail integer not null default 0,
    scheduled_at bigint,
    enqueued_at bigint,
    started_at bigint,
    finished_at bigint,
    cancel_requested_at bigint,
    plan text not null,

    dotenv text not null default '[]',
    coverage double precision,
    unique (pipeline_id, position)
);
create index job_by_status on job (status);

-- Effects that are to be carried out; a row goes away in the transaction that records its result. Its number is never
-- given twice: it names what the effect caused.
create table outbox (
    id integer primary key autoincrement,
    kind text not null,
    payload text not null,
    created_at bigint not null,
    attempts bigint not null default 0,
    not_before bigint not null default 0,
    problem text
);

-- One release a tree: built once, promoted everywhere.
create table release (
    id integer primary key,
    project_id bigint not null references project (id) on delete cascade,
    tree_id text not null,
    digest text not null,
    commit_id text not null,
    pipeline_id bigint not null,
    service text not null,
    created_at bigint not null,
    unique (project_id, tree_id)
);

create table environment (
    id integer primary key,
    project_id bigint not null references project (id) on delete cascade,
    name text not null,
    config text not null,
    listen text,
    routes_revision bigint not null default 0,
    created_at bigint not null,
    unique (project_id, name)
);

create table rollout (
    id integer primary key,
    environment_id bigint not null references environment (id) on delete cascade,
    project_id bigint not null,
    pipeline_id bigint not null,
    kind text not null,
    digest text not null,
    commit_id text not null,
    phase text not null,
    state text not null,
    current integer not null,
    milestones text not null default '[]',
    outcome text,
    created_at bigint not null,
    updated_at bigint not null,
    finished_at bigint
);
create unique index rollout_current on rollout (environment_id) where current = 1;

-- What the judge saw and said, one row a tick.
create table judge_tick (
    rollout_id bigint not null references rollout (id) on delete cascade,
    round bigint not null,
    tick bigint not null,
    at bigint not null,
    samples text not null,
    answer text not null,
    primary key (rollout_id, round, tick)
);

-- What people are told.
create table notice (
    id integer primary key,
    project_id bigint not null references project (id) on delete cascade,
    at bigint not null,
    kind text not null,
    message text not null,
    link text
);

-- What is known of a commit: verified, or refused, and why.
create table commit_mark (
    project_id bigint not null references project (id) on delete cascade,
    commit_id text not null,
    mark text not null,
    note text not null,
    at bigint not null,
    primary key (project_id, commit_id)
);
