-- What a token may: `api` all that its owner may, `read_api` read alone.
alter table credential add column scope text not null default 'api';

-- Who wrote a change is looked for by its commits.
create index merge_request_by_merge_commit on merge_request (project_id, merge_commit);
create index pipeline_by_head_commit on pipeline (project_id, head_commit);
