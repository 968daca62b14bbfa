insert into drink (name) values ('coffee'), ('tea'), ('water');
insert into purchase (drink) select id from drink where name in ('coffee', 'tea');
insert into purchase (drink) select id from drink where name = 'tea';
