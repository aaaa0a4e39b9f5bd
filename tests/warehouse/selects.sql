-- one select a line, of what can be written in many ways; test_lineage_holds.py asks DuckDB what each depends on
select * from core.people
from core.people
select * exclude (dx) from core.people
select * replace (age + 1 as dx) from core.people
select * replace (dx || age as id) from core.people
select * rename (dx as was) from core.people
with a as (select * rename (dx as age, age as dx) from core.people) select dx from a
select p.* exclude (dx), n.event from core.people as p join core.notes as n using (id)
with a as (select * exclude (dx), age as dx from core.people) select dx from a
select columns('d.*') from core.people
with a as (select columns('d.*') from core.people) select dx from a
with a as (select columns(lambda c: c like 'd%') from core.people) select * from a
with a as (select columns('d.*'), age as q from core.people) select a.dx from a
select columns(* exclude (dx)) from core.people
select max(columns(*)) from core.people
select coalesce(*columns(* exclude (id, age))) as c from core.people
select * like 'd%' from core.people
select struct_pack(a := dx, b := id) as s from core.people
select row(dx, id) as r from core.people as p
select to_json(struct_pack(*columns(*))) as r from core.people
select p from core.people as p
select to_json(p) as j from core.people as p
with a as (select to_json(p) as j from core.people as p) select j ->> 'dx' as x from a
with a as (select people as p from core.people) select p.dx as x from a
with a as (select {'code': dx} as s, id from core.people) select s.code as x, id from a
with a as (select {'code': dx} as s, id from core.people) select unnest(s), id from a
with a as (select unnest({'code': dx}), id from core.people) select code from a
select id, row_number() over w as n from core.people window w as (order by dx desc)
select id, sum(age) over (w rows unbounded preceding) as n from core.people window w as (order by dx desc)
select id from core.people qualify row_number() over (order by dx) = 1
with t(a, dx) as (select dx, id from core.people) select a from t
with t(dx, id) as (select id, dx from core.people) select id from t
with t(x) as (select * from core.people) select x, dx from t
select t.b from (select id, dx from core.people) as t(a, b)
select t.b from core.people as t(a, b, c)
with recursive r(n, v) as (select id, dx from core.people union all select n + 9, v from r where n < 9) select v from r
with recursive r as (select id, dx from core.people union all select r.id + 9, n.event from r join core.notes as n using (id)) select dx from r
select id, dx from core.people union all select id, event from core.notes
select id, dx from core.people union all by name select event as dx, id from core.notes
select dx, id::varchar as id from core.people union all by name select id::varchar as id, event as dx from core.notes
select dx from core.people except select dx from core.notes
select id from core.people intersect select id from core.notes
pivot core.people on age using max(dx)
select x."10" from core.people pivot (max(dx) for age in (10, 20)) as x
with a as (pivot core.people on age using max(dx)) select "10" from a
select * from (unpivot (select id, dx, event from core.notes) on dx, event into name n value v)
select * from query('select dx from core.people')
select p.id, u.x from core.people as p, unnest([p.dx]) as u(x)
select p.id, l.y from core.people as p, lateral (select p.dx as y) as l
select p.id, l.y from core.people as p, (select p.dx as y) as l
select (select dx) as z from core.people
select (select max(n.event) from core.notes as n where n.id = p.age // 10) as e from core.people as p
select id from core.people as p where exists (select 1 from core.notes as n where n.dx > p.dx and n.event = 'visit')
select id from core.people where dx in (select event from core.notes)
select id from core.people where (id, dx) in (select id, event from core.notes)
select id from core.people where dx > any (select event from core.notes)
select id from core.people order by dx desc limit 1
select first(id order by dx desc) as f from core.people
select arg_max(id, dx) as f from core.people
select count(*) filter (where dx = 'a') as n from core.people
select age > 15 as old, max(dx) as m from core.people group by all
select max(id) as m from core.people group by dx
select max(id) as m from core.people group by age > 15 having max(dx) > 'b'
select distinct on (age > 15) id from core.people order by dx desc
select id + 1 as more, more * 2 as most from core.people
select dx as age from core.people where age > 15
select case when dx = 'a' then id end as x from core.people
select p.id from core.people as p join core.notes as n on p.id = n.id and n.event = 'visit'
select p.id, n.event from core.people as p left join core.notes as n on p.id = n.id and n.dx > 'x'
select p.id, n.event from core.notes as n right join core.people as p on p.id = n.id and n.dx > 'x'
select coalesce(p.id, n.id) as i, n.event from core.people as p full join core.notes as n on p.age = n.id
select p.id from core.people as p semi join core.notes as n on p.dx = n.event
select p.id from core.people as p anti join core.notes as n on p.dx = n.event
select * from core.people positional join core.notes
select p.id, n.event from core.people as p asof join core.notes as n on p.id >= n.id
select list_transform([1], lambda x: x + age) as l from core.people
select [x for x in [dx] if x > 'a'] as l from core.people
select p.id from core.people as p join (select id as i, event from core.notes where dx > 'x') as n on p.id = n.i
with a as materialized (select dx from core.people), b as (select a.dx, n.event from a, core.notes as n) select event from b where dx = 'a'
with unused as (select dx from core.people) select id from core.notes
with a as (with b as (select dx, id from core.people) select dx, id from b) select id from a where dx = 'a'
select id from (select id, rank() over (order by dx) as r from core.people) where r = 1
select id from core.events where event = 'other'
with a as (select * replace (note as event) from core.events) select id from a where event = 'other'
with a as (select * exclude (event), note as event from core.events) select id from a where event = 'other'
with a as (select * exclude (note), 1 as x from core.events) select id from a where event = 'other'
with a as (select * rename (event as was, note as event) from core.events) select id from a where event = 'other'
with a as (select * rename (event as name) from core.events) select id from a where name = 'other'
with a as (select n.*, e.note from core.events as e join core.notes as n using (id)) select note from a where event = 'other'
with a as (select n.*, e.note from core.notes as n join core.events as e on true) select note from a where event = 'other'
with a as (select event, note from core.events union all select note, event from core.events) select * from a where event = 'other'
with a as (select event, note from core.events union all by name select note, event from core.events) select * from a where event = 'other'
with t(event) as (select note, event from core.events) select * from t where event = 'other'
with t(a, event) as (select note, event from core.events) select a from t where event = 'other'
with a as (select columns('note|id') from core.events) select note from a where note = 'other'
with a as (select lower(note) as event, id from core.events) select id from a where event = 'other'
with a as (select note as event, event as note, id from core.events) select id from a where event = 'other'
select id from core.events where type = 'identify'
select id from core.events where event = 'other' or type = 'page'
select id, lag(event) over (order by id) as l from core.events qualify event = 'other'
with a as (select event, count(*) over () as n from core.events) select n from a where event = 'other'
with a as (select event, lag(event) over (order by id) as n from core.events) select n from a where event = 'other'
select id from core.notes where id in (select id from core.events where event = 'other')
select id from core.notes where id not in (select id from core.events where event <> 'visit')
select id from core.notes where (select count(*) from core.events) > 3
select dx, count(*) as n, max(id) as m from core.people group by 1
with a as (select dx, max(id) as m from core.people group by 1) select m from a
with a as (select max(id) as m, dx from core.people group by rollup (2)) select m from a
with a as (select *, count(*) as n from core.people group by 1, 2, 3) select n, id from a
with a as (select max(id) as m, dx from core.people group by all) select m from a
select id, dx from core.people order by 2 desc limit 1
select id, dx from core.people order by 2 desc offset 2
select id, age, dx from core.people order by all desc limit 1
select dx, id from core.people order by all desc limit 1
with a as (select distinct dx from core.people) select count(*) as n from a
with a as (select distinct * exclude (id, age) from core.people) select count(*) as n from a
with a as (select dx from core.people union select event from core.notes) select count(*) as n from a
with a as (select dx from core.people except select event from core.notes) select count(*) as n from a
with a as (select dx, id from core.people union all select event, id from core.notes order by 1 limit 3) select id from a
select count(distinct dx) as n from core.people
select list(id order by dx) as l from core.people
select id from core.people where age > (select min(id) from core.notes where dx > 'w')
select string_agg(dx, ',') over (partition by age > 15 order by id) as s from core.people
select max(id) filter (dx > 'a') as m from core.people
select if(dx > 'a', 1, 2) as x, age from core.people
select p.id from core.people as p, core.notes as n where p.id = n.id and n.event = 'visit'
select p.id from core.people as p cross join (select max(dx) as m from core.notes) as n where n.m = p.dx
select id from core.people natural join core.notes
select id, n.event from core.people as p join core.notes as n using (id, dx)
with a as (select id, event from core.events where event = 'other'), b as (select id from core.events) select b.id from b left join a using (id)
with a as (select id, event, row_number() over (partition by event order by id) as n from core.events) select id, n from a where event = 'other'
with a as (select event, count(*) as n from core.events group by event) select n from a where event = 'other'
with a as (select event, count(*) as n from core.events group by 1) select n from a where event = 'other'
with a as (select any_value(event) as event, count(*) as n from core.events) select n from a where event = 'other'
with a as (select distinct on (id > 2) event, id from core.events order by id) select id from a where event = 'other'
with a as (select event, id from core.events order by id limit 2) select id from a where event = 'other'
with a as (select event, id from core.events order by id offset 1) select id from a where event = 'other'
with a as (select event, id, first(id) over () as f from core.events qualify f = 1) select id from a where event = 'other'
with a as (select event, id from core.events where id > (select avg(id) from core.events)) select id from a where event = 'other'
with a as (select event, id from core.events except select event, id + 1 from core.events) select id from a where event = 'other'
with a as (select e.event, e.id, d.note from core.events as e join core.events as d on d.id = e.id + 1) select id from a where event = 'other'
with a as (select e.event, e.id from core.events as e where exists (select 1 from core.events as d where d.id < e.id and d.event = 'visit')) select id from a where event = 'other'
with a as (select e.event, e.id from core.events as e where not exists (select 1 from core.events as d where d.id < e.id)) select id from a where event = 'other'
with a as (select event, (select count(*) from core.events) as n from core.events) select n from a where event = 'other'
with b as (select note, event, id from core.events), a as (select * rename (note as event) from b) select id from a where event = 'other'
with a as (select note as event, event, id from core.events) select id from a where event = 'other'
with t(note, event) as (select event, note from core.events union all select event, note from core.events) select * from t where event = 'other'
with a as (select event, (select list(note order by id) from core.events) as n from core.events) select n from a where event = 'other'
select p.* exclude (dx), n.event from core.people as p join core.notes as n using (id) order by 3 desc limit 1
with a as (select dx from core.people except all select event from core.notes) select count(*) as n from a
with a as (select dx from core.people intersect all select event from core.notes) select count(*) as n from a
select (select max(to_json(n)::varchar) from core.notes as n) as c from (select 1 as n) as o
with recursive r(n, a, b, c) as (select 1, dx, 'x', 'y' from core.people union all select n + 1, b, c, a from r where n < 4) select c from r
with recursive r(n, a) as (select 1, dx from core.people union all select n + 1, event from r, core.notes where n < 3 and r.a > 'b') select count(*) as n from r
with recursive r as (select id, dx from core.people union select id + 1, dx from r where id < 6) select id from r where dx = 'a'
with recursive r as (select id, event from core.events union all select id + 10, event from r where id < 10) select id from r where event = 'other'
