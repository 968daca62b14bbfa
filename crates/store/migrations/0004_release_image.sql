-- The image of a release, by the engine's id; releases of services without a Dockerfile have none.
alter table release add column image text;
