-- The trigger job that made a pipeline.
alter table pipeline add column upstream_job_id bigint references job (id) on delete set null;
create index pipeline_by_upstream_job on pipeline (upstream_job_id);
