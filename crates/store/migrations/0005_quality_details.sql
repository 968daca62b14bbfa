-- What a report holds in figures, for trends; empty where a report was read before figures were kept.
alter table quality_report add column summary text not null default '';
-- What stands at which line of a change, and the output of its failing tests.
alter table quality_gate add column details text not null default '';
