create table drink (
    id bigint generated always as identity primary key,
    name text not null unique
);

create table purchase (
    drink bigint not null references drink,
    at timestamptz not null default now()
);
