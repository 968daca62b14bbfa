-- A release is a tree and what else its image is built of (`inputs`, a digest; empty where the tree says all). `content` is
-- the address of its files. A pipeline deploys the release that it packaged, whatever else was packaged of its tree.
create table release_next (
    id integer primary key,
    project_id bigint not null references project (id) on delete cascade,
    tree_id text not null,
    inputs text not null default '',
    digest text not null,
    content text not null,
    commit_id text not null,
    pipeline_id bigint not null,
    service text not null,
    created_at bigint not null,
    image text,
    unique (project_id, tree_id, inputs)
);
insert into release_next (id, project_id, tree_id, digest, content, commit_id, pipeline_id, service, created_at, image)
    select id, project_id, tree_id, digest, digest, commit_id, pipeline_id, service, created_at, image from release;
drop table release;
alter table release_next rename to release;
create index release_of_digest on release (project_id, digest);

create table release_of_pipeline (
    pipeline_id bigint primary key references pipeline (id) on delete cascade,
    release_id bigint not null references release (id) on delete cascade
);

-- What is said of a release's image or files, by their digest: `sbom` (CycloneDX) and `provenance` (in-toto, SLSA).
create table release_statement (
    release_id bigint not null references release (id) on delete cascade,
    subject text not null,
    kind text not null,
    body text not null,
    created_at bigint not null,
    primary key (release_id, subject, kind)
);
